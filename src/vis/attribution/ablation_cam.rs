//! Ablation-CAM: the maps of a layer, weighted by what their removal costs.

use super::layer_maps::{AtLayers, Maps, positive_map};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;

/// Where a layer's evidence for a class lies: its maps, each weighted by the part of the score that is lost when the channel
/// is set to 0. Only what stands behind the layer is run again.
///
/// ```rhai
/// ablation_cam(photo("chelsea"))
/// ```
#[function(source = "Desai and Ramaswamy, Ablation-CAM, 2020, doi:10.1109/WACV45572.2020.9093360")]
pub fn ablation_cam(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] maps: &Maps,
    #[options] explain: &Explain,
) -> Result<AtLayers> {
    maps.each(job, "Ablation-CAM", image, explain, |prediction, layer| {
        let activations = layer.activations(&prediction.input, job.interrupt())?;
        let (_, channels, height, width) = activations.dims4()?;
        let scores = prediction.scores_from(job, "Ablation-CAM", &layer, &activations, channels, |channel, x| {
            x[channel * height * width..][..height * width].fill(0.0);
            Ok(())
        })?;
        let whole = f64::from(prediction.score);
        let planes: Vec<Vec<f32>> = activations.squeeze(0)?.flatten_from(1)?.to_vec2()?;
        let mut map = vec![0f64; height * width];
        for (plane, score) in planes.iter().zip(scores) {
            let weight = (whole - f64::from(score)) / whole;
            map.iter_mut().zip(plane).for_each(|(sum, value)| *sum += weight * f64::from(*value));
        }
        let map: Vec<f32> = map.into_iter().map(|value| value as f32).collect();
        let map = candle_core::Tensor::from_vec(map, (1, height, width), activations.device())?;
        positive_map("Ablation-CAM", prediction, layer, &map)
    })
}
