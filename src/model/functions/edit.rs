//! Lesions: networks with channels switched off, scaled, or given the values of another image.

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{ChannelNumbers, Input, Layer, LayerName, Model, Network};

/// The network with some channels of a layer switched off: whatever reads them reads 0.
///
/// It is a model as any other, which every function takes, and shares its weights with the first. The layer keeps its name
/// and its value; what reads it reads a layer `….without` behind it.
///
/// ```rhai
/// let m = model("squeezenet1_1");
/// classify(photo("chelsea"), model=m.without("fire6", [12, 40]))
/// ```
///
/// ```rhai
/// layer("fire6").without(12)
/// ```
#[function(source = "Morcos et al., On the Importance of Single Directions, 2018, arXiv:1803.06959")]
fn without(
    job: &Job,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: LayerName,
    /// The channel, or a list of channels; of a row of numbers, its places.
    channels: ChannelNumbers,
    #[options] network: &Network,
) -> Result<Model> {
    let layer = found(job, &layer, network)?;
    layer.model().without(layer.id(), &channels.0)
}

/// The network with some channels of a layer multiplied by a factor; otherwise as `without`. Edits follow each other.
///
/// ```rhai
/// let m = model("squeezenet1_1");
/// m.scaled("fire6", 12, 0.5).scaled("fire6", [3, 4], 2)
/// ```
#[function]
fn scaled(
    job: &Job,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: LayerName,
    /// The channel, or a list of channels.
    channels: ChannelNumbers,
    /// What they are multiplied by.
    factor: f64,
    #[options] network: &Network,
) -> Result<Model> {
    let layer = found(job, &layer, network)?;
    layer.model().scaled(layer.id(), &channels.0, factor as f32)
}

/// Activation patching: the network in which a layer, or some of its channels, has the values that it has for another image,
/// whatever image is shown. What the answer then keeps of the image passes this layer by, or other channels.
///
/// It takes images of the network's own size. Otherwise it is as `without`.
///
/// ```rhai
/// let m = model("squeezenet1_1");
/// classify(photo("chelsea"), model=m.patched("fire8", from=photo("coffee"), channels=[0, 1, 2]))
/// ```
#[function(
    source = "Meng et al., Locating and Editing Factual Associations in GPT, 2022, arXiv:2202.05262 (causal tracing)"
)]
fn patched(
    job: &Job,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: LayerName,
    /// The other image, or a tensor in the network's input space.
    from: &Input,
    /// The channel or channels that are replaced; all if not given.
    #[default]
    channels: Option<ChannelNumbers>,
    #[options] network: &Network,
) -> Result<Model> {
    let layer = found(job, &layer, network)?;
    let channels = channels.as_ref().map(|channels| channels.of(&layer)).transpose()?;
    let model = layer.model();
    let x = from.tensor(model).map_err(|error| error.at_argument("from"))?;
    let x = if x.rank() == 3 { x.unsqueeze(0)? } else { x };
    let (height, width) = (model.recipe().height, model.recipe().width);
    if !matches!(*x.dims(), [1, _, h, w] if (h, w) == (height, width)) {
        let message = format!("patched: `from` is one image of {width}×{height} pixels, not a tensor {:?}", x.dims());
        let error = Error::new(Kind::Argument, message).at_argument("from");
        return Err(error.with_hint("an image is brought to that size; of a tensor, take [1, channels, height, width]"));
    }
    let all = layer.activations(&x, job.interrupt())?.squeeze(0)?;
    let values = match channels {
        Some(channels) => {
            let index: Vec<u32> = channels.iter().filter_map(|channel| u32::try_from(*channel).ok()).collect();
            let count = index.len();
            all.index_select(&candle_core::Tensor::from_vec(index, count, all.device())?, 0)?
        }
        None => all,
    };
    model.patched(layer.id(), channels, &values)
}

/// The layer that is edited.
fn found(job: &Job, layer: &LayerName, network: &Network) -> Result<Layer> {
    let model = network.clone().or(layer.handle().map(Layer::model)).get(job)?;
    layer.find(&model).map_err(|error| error.at_argument("layer"))
}
