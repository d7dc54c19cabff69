//! Eigen-CAM: what the maps of a layer have most in common.

use candle_core::Tensor;

use super::layer_maps::{AtLayers, Maps, positive_map};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;

/// Steps of the power iteration, at most.
const STEPS: usize = 1000;

/// Where a layer is most active as a whole: the first principal component of its maps. It needs no gradient and asks about no
/// class: it shows what the layer saw, whatever the answer. The sign, which a component does not have, is the one with the
/// larger peak.
///
/// ```rhai
/// eigen_cam(photo("chelsea"))
/// ```
#[function(source = "Muhammad and Yeasin, Eigen-CAM, 2020, arXiv:2008.00299; jacobgil/pytorch-grad-cam")]
pub fn eigen_cam(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] maps: &Maps,
    #[options] explain: &Explain,
) -> Result<AtLayers> {
    maps.each(job, "Eigen-CAM", image, explain, |prediction, layer| {
        let activations = layer.activations(&prediction.input, job.interrupt())?.squeeze(0)?;
        let (channels, height, width) = activations.dims3()?;
        let centred = activations.flatten_from(1)?;
        let centred = centred.broadcast_sub(&centred.mean_keepdim(1)?)?;
        let rows: Vec<Vec<f32>> = centred.to_vec2()?;
        let component = first_component(&rows, height * width);
        let map = Tensor::from_vec(component, (1, height, width), activations.device())?;
        let attribution = positive_map("Eigen-CAM", prediction, layer, &map)?;
        let unit = format!("projection on the first component of {channels} channels");
        Ok(Attribution { unit, ..attribution })
    })
}

use super::Attribution;

/// The places' coordinates along the first principal component of channels × places, whose rows have mean 0.
fn first_component(rows: &[Vec<f32>], places: usize) -> Vec<f32> {
    // the component's channels: the eigenvector of rows · rowsᵀ, by power iteration from the strongest row
    let norm = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    let strongest = rows.iter().max_by(|a, b| {
        let energy = |row: &[f32]| row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        energy(a).total_cmp(&energy(b))
    });
    let mut along: Vec<f64> =
        strongest.map_or_else(Vec::new, |row| row.iter().map(|value| f64::from(*value)).collect());
    along.resize(places, 0.0);
    for _ in 0..STEPS {
        let length = norm(&along);
        if length == 0.0 {
            break;
        }
        along.iter_mut().for_each(|value| *value /= length);
        let mut next = vec![0f64; places];
        for row in rows {
            let weight: f64 = row.iter().zip(&along).map(|(value, along)| f64::from(*value) * along).sum();
            next.iter_mut().zip(row).for_each(|(next, value)| *next += weight * f64::from(*value));
        }
        let length = norm(&next);
        let change: f64 =
            next.iter().zip(&along).map(|(next, along)| (next / length.max(f64::MIN_POSITIVE) - along).powi(2)).sum();
        // along the component the length of the projection is the singular value
        let scale = length.sqrt() / length.max(f64::MIN_POSITIVE);
        along = next.into_iter().map(|value| value * scale).collect();
        if change < 1e-18 {
            break;
        }
    }
    let peak = along.iter().copied().fold(0.0, |peak: f64, value| if value.abs() > peak.abs() { value } else { peak });
    let sign = if peak < 0.0 { -1.0 } else { 1.0 };
    along.into_iter().map(|value| (sign * value) as f32).collect()
}
