//! What each channel of a layer contributes to the score.

use candle_core::Tensor;

use super::knockout::score_drops;
use super::relevance::Passage;
use super::{ChannelShares, Composite};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{choices, function};
use crate::model::{Input, LayerName, Model};
use crate::tensor::{sum_of, with_values};
use crate::vis::Explain;

/// How the contribution of a channel is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By relevance propagation.
    Relevance,
    /// By gradient × activation.
    Gradient,
    /// By removing it.
    Ablation,
}

choices!(By { "relevance" => Relevance, "gradient" => Gradient, "ablation" => Ablation });

/// Which channels of a layer carried the answer: what each contributes to the score, summed over its places.
///
/// By relevance, the numbers of a layer that everything passes add up to the score, but for what biases keep above it. By
/// gradient × activation each is the slope of the score times the activation; by ablation it is what `knockout` says.
///
/// ```rhai
/// channel_attribution(photo("chelsea"), "fire6")
/// ```
///
/// ```rhai
/// channel_attribution(gallery("mammal/koala"), "fire6", by="gradient", class="koala").channels[0]
/// ```
#[function(
    source = "Achtibat et al., From Attribution Maps to Human-Understandable Explanations through Concept Relevance \
              Propagation, 2022, arXiv:2206.03208; Olah et al., The Building Blocks of Interpretability, 2018"
)]
pub fn channel_attribution(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: &LayerName,
    /// How it is measured: "relevance", "gradient" or "ablation".
    #[default("relevance")]
    by: By,
    /// Which rule each layer has if it is measured by relevance, as for `lrp`.
    #[default("EpsilonPlusFlat")]
    composite: Composite,
    #[options] explain: &Explain,
) -> Result<ChannelShares> {
    let (prediction, layer) = explain.prediction_at(job, image, Some(layer), Model::default_cam_layer)?;
    let score = prediction.score_name();
    let (method, values, unit) = match by {
        By::Relevance => {
            let passage = Passage::of(job, &prediction, &composite, &layer)?;
            ("Relevance", by_channel(&passage.relevance)?, format!("part of the {score}"))
        }
        By::Gradient => {
            let (activations, gradient) = prediction.gradient_at(job, &layer)?;
            ("Gradient × activation", by_channel(&(activations * gradient)?)?, format!("part of the {score}"))
        }
        By::Ablation => {
            let drops = score_drops(job, "channel attribution", &prediction, &layer)?;
            ("Ablation", drops, format!("drop of the {score}"))
        }
    };
    let note = format!("The score is {}.", prediction.verdict());
    let shares = ChannelShares::new(method, &prediction, &layer, values, unit).noted(note);
    Ok(if by == By::Ablation { shares.apart() } else { shares })
}

/// The sum over the places of each channel of `[1, channels, …]`.
pub(super) fn by_channel(values: &Tensor) -> Result<Vec<f64>> {
    let channels = values.dim(1)?;
    with_values(values, |values| {
        values.chunks((values.len() / channels.max(1)).max(1)).map(|plane| sum_of(plane, f64::from)).collect()
    })
}
