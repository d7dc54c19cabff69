//! Which channels of an earlier layer feed some channels of a later one.

use super::channel_attribution::by_channel;
use super::crp::named;
use super::relevance::Passage;
use super::{ChannelShares, Composite};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{ChannelNumbers, Input, LayerName, Model};
use crate::vis::Explain;

/// What feeds some channels of a layer: the part of the score that passes through them, shared out among the channels of an
/// earlier layer by relevance propagation.
///
/// ```rhai
/// let koala = gallery("mammal/koala");
/// let carried = channel_attribution(koala, "fire6").channels;
/// layer_to_layer(koala, "fire6", [carried[0], carried[1]], "fire4")
/// ```
#[function(
    source = "Achtibat et al., 2022, arXiv:2206.03208; Olah et al., The Building Blocks of Interpretability, 2018"
)]
pub fn layer_to_layer(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layer that is fed: a layer, which decides the network, or the name of one.
    layer: &LayerName,
    /// Its channel, or a list of its channels.
    channels: &ChannelNumbers,
    /// The earlier layer, whose channels feed them.
    from: &LayerName,
    /// Which rule each layer has, as for `lrp`.
    #[default("EpsilonPlusFlat")]
    composite: Composite,
    #[options] explain: &Explain,
) -> Result<ChannelShares> {
    let layer = explain.layer(job, layer)?;
    let channels = channels.of(&layer)?;
    let from = from.find(layer.model()).map_err(|error| error.at_argument("from"))?;
    if from.id() >= layer.id() {
        let message = format!("{} does not stand before {}", from.name(), layer.name());
        return Err(Error::new(Kind::Argument, message).with_hint("`from` is the earlier layer").at_argument("from"));
    }
    let (prediction, layer) = explain.prediction_at(job, image, Some(&layer.into()), Model::default_cam_layer)?;
    let passage = Passage::of(job, &prediction, &composite, &layer)?;
    let through = passage.only(channels)?;
    let passes: f64 = by_channel(&through)?.iter().sum();
    let fed = passage.down(job, &prediction, through, Some(&from)).map_err(|error| error.at_argument("from"))?;
    let unit = format!("part of the {}", prediction.score_name());
    let shares = ChannelShares::new("Relevance", &prediction, &from, by_channel(&fed)?, unit);
    let through = format!("{} of {}", named(channels), layer.known_as());
    Ok(ChannelShares { through: Some(through.clone()), ..shares }
        .noted(format!("{passes:.4} of the {} passes through {through}.", prediction.score_name())))
}
