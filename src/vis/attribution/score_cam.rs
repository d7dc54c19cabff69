//! Score-CAM: the maps of a layer, weighted by the score of the image that each lets through.

use super::layer_maps::{AtLayers, Maps, positive_map};
use crate::error::Result;
use crate::image::{Filter, resample};
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;

/// Where a layer's evidence for a class lies: each map, enlarged to the image and scaled from 0 to 1, masks the image, and
/// the softmax of the scores is its weight. No gradient is needed.
///
/// It takes one run for each channel; `channels=10` takes the ten whose maps vary most (Faster Score-CAM).
///
/// ```rhai
/// score_cam(photo("chelsea"), channels=10)
/// ```
#[function(
    source = "Wang et al., Score-CAM, 2019, arXiv:1910.01279; jacobgil/pytorch-grad-cam; tabayashi0117/Score-CAM (faster)"
)]
pub fn score_cam(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// How many channels are tried, those that vary most; all if not given.
    #[default]
    #[range(1..)]
    channels: Option<usize>,
    #[options] maps: &Maps,
    #[options] explain: &Explain,
) -> Result<AtLayers> {
    maps.each(job, "Score-CAM", image, explain, |prediction, layer| {
        let activations = layer.activations(&prediction.input, job.interrupt())?.squeeze(0)?;
        let (_, height, width) = activations.dims3()?;
        let planes: Vec<Vec<f32>> = activations.flatten_from(1)?.to_vec2()?;
        let chosen = most_varied(&planes, channels.unwrap_or(planes.len()));
        let (_, _, rows, columns) = prediction.input.dims4()?;
        let scores = prediction.scores(job, "Score-CAM", chosen.len(), |index, pixels| {
            let mask = resample(&planes[chosen[index]], (width, height), (columns, rows), Filter::Bilinear)?;
            let low = mask.iter().copied().fold(f32::INFINITY, f32::min);
            let span = mask.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low + 1e-8;
            for plane in pixels.chunks_exact_mut(rows * columns) {
                plane.iter_mut().zip(&mask).for_each(|(pixel, mask)| *pixel *= (mask - low) / span);
            }
            Ok(())
        })?;
        let mut map = vec![0f64; height * width];
        for (channel, weight) in chosen.iter().zip(softmax(&scores)) {
            map.iter_mut().zip(&planes[*channel]).for_each(|(sum, value)| *sum += weight * f64::from(*value));
        }
        let map: Vec<f32> = map.into_iter().map(|value| value as f32).collect();
        let map = candle_core::Tensor::from_vec(map, (1, height, width), activations.device())?;
        positive_map("Score-CAM", prediction, layer, &map)
    })
}

/// The channels whose maps have the largest standard deviation, in ascending order.
fn most_varied(planes: &[Vec<f32>], count: usize) -> Vec<usize> {
    let variance = |plane: &[f32]| {
        let mean = plane.iter().map(|value| f64::from(*value)).sum::<f64>() / plane.len().max(1) as f64;
        plane.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>()
    };
    let mut order: Vec<(f64, usize)> = planes.iter().map(|plane| variance(plane)).zip(0..).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<usize> = order.into_iter().take(count).map(|(_, channel)| channel).collect();
    chosen.sort_unstable();
    chosen
}

fn softmax(scores: &[f32]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f64> = scores.iter().map(|score| f64::from(score - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
