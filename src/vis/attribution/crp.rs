//! Concept relevance propagation: the part of the score that passes through some channels, down to the pixels.

use super::channel_attribution::by_channel;
use super::relevance::Passage;
use super::{Attribution, Composite, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{ChannelNumbers, Input, LayerName, Model};
use crate::tensor::{sum_of, with_values};
use crate::vis::Explain;

/// Where in the image the part of the score comes from that passes through some channels of a layer: relevance is handed
/// back from the score to the layer, kept for these channels alone, and handed on to the pixels.
///
/// It is linear: the maps of all channels of a layer add up to that of the layer, which is `lrp`'s if everything passes it.
/// What passes the layer by, such as the other side of a residual sum, is left out. How much of the score goes through the
/// channels is stated.
///
/// ```rhai
/// let koala = gallery("mammal/koala");
/// crp(koala, "fire6", channel_attribution(koala, "fire6").channels[0])
/// ```
#[function(
    source = "Achtibat et al., From Attribution Maps to Human-Understandable Explanations through Concept Relevance \
              Propagation, 2022, arXiv:2206.03208; zennit-crp"
)]
pub fn crp(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: &LayerName,
    /// The channel, or a list of channels.
    channels: &ChannelNumbers,
    /// Which rule each layer has, as for `lrp`.
    #[default("EpsilonPlusFlat")]
    composite: Composite,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let layer = explain.layer(job, layer)?;
    let channels = channels.of(&layer)?;
    let (prediction, layer) = explain.prediction_at(job, image, Some(&layer.into()), Model::default_cam_layer)?;
    let passage = Passage::of(job, &prediction, &composite, &layer)?;
    let through = passage.only(channels)?;
    let passes: f64 = by_channel(&through)?.iter().sum();
    let values = passage.down(job, &prediction, through, None)?.squeeze(0)?;
    let arrived = with_values(&values, |values| sum_of(values, f64::from))?;
    let unit = format!("part of the {} through {}", prediction.score_name(), named(channels));
    let note = format!(
        "Of {:.4}, {passes:.4} passes through {} of {}, and {arrived:.4} arrives at the image.",
        prediction.score,
        named(channels),
        layer.known_as()
    );
    let method = format!("relevance through {} of {}", named(channels), layer.known_as());
    let attribution = Attribution::new(&method, &prediction, values, Sign::Signed, unit);
    Ok(attribution.with_completeness_error(arrived - passes).noted(note))
}

/// Channels in words, not too many.
pub(super) fn named(channels: &[usize]) -> String {
    match channels {
        [one] => format!("channel {one}"),
        [first @ .., last] if channels.len() <= 4 => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("channels {} and {last}", first.join(", "))
        }
        many => format!("{} channels", many.len()),
    }
}
