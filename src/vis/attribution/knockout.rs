//! What the removal of each channel of a layer does to the score.

use super::ChannelShares;
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Layer, LayerName, Model};
use crate::vis::{Explain, Prediction};

/// What the removal of each channel of a layer does to the score: by how much it drops when that channel alone is set to 0,
/// as in `m.without(layer, channel)`. A positive number is a channel that speaks for what is explained.
///
/// The layer's activations are kept, and only what stands behind it runs again.
///
/// ```rhai
/// knockout(photo("chelsea"), "fire6")
/// ```
#[function(
    source = "Morcos et al., On the Importance of Single Directions, 2018, arXiv:1803.06959; Zhou et al., 2018, arXiv:1806.02891"
)]
pub fn knockout(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: &LayerName,
    #[options] explain: &Explain,
) -> Result<ChannelShares> {
    let (prediction, layer) = explain.prediction_at(job, image, Some(layer), Model::default_cam_layer)?;
    let drops = score_drops(job, "knockout", &prediction, &layer)?;
    let unit = format!("drop of the {}", prediction.score_name());
    let note = format!("The whole network gives {}.", prediction.verdict());
    Ok(ChannelShares::new("Knockout", &prediction, &layer, drops, unit).apart().noted(note))
}

/// By how much the score drops without each channel of a layer.
pub(super) fn score_drops(job: &Job, label: &str, prediction: &Prediction, layer: &Layer) -> Result<Vec<f64>> {
    let activations = layer.activations(&prediction.input, job.interrupt())?;
    let channels = activations.dim(1)?;
    let plane = activations.elem_count() / channels.max(1);
    // the last one has them all, so that channels that were 0 change exactly nothing
    let scores = prediction.scores_from(job, label, layer, &activations, channels + 1, |channel, x| {
        if channel < channels {
            x[channel * plane..][..plane].fill(0.0);
        }
        Ok(())
    })?;
    let whole = f64::from(scores.last().copied().unwrap_or(prediction.score));
    Ok(scores.iter().take(channels).map(|score| whole - f64::from(*score)).collect())
}
