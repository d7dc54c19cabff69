//! The mean of one channel of a layer.

use candle_core::{D, Tensor};

use super::{Goal, Objective, only};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Layer, LayerName, Model, NodeId};

/// The mean activation of one channel of a layer, over all its places.
#[derive(Clone, Debug)]
pub struct Channel {
    /// The layer.
    pub layer: LayerName,
    /// Number of the channel.
    pub channel: usize,
}

impl Objective for Channel {
    fn model(&self) -> Option<&Model> {
        self.layer.handle().map(Layer::model)
    }

    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        Ok(vec![channel_of(&self.layer, self.channel, model)?.id()])
    }

    fn channels(&self, _: &Model) -> Result<Option<Vec<usize>>> {
        Ok(Some(vec![self.channel]))
    }

    fn unit(&self, model: &Model) -> Result<Option<(Layer, usize)>> {
        Ok(Some((channel_of(&self.layer, self.channel, model)?, self.channel)))
    }

    fn unrectified(&self, model: &Model) -> Result<Option<Goal>> {
        let layer = channel_of(&self.layer, self.channel, model)?;
        let found = model.before_rectifier(layer.id(), self.channel, true);
        Ok(found.map(|(layer, channel)| Goal::new(Self { layer: layer.into(), channel })))
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let map = only(activations)?.narrow(1, self.channel, 1)?;
        Ok(map.flatten_from(1)?.mean(D::Minus1)?)
    }

    fn description(&self, model: &Model) -> String {
        format!("{}, channel {}", label(&self.layer, model), self.channel)
    }
}

/// The mean activation of one channel of a layer as an objective.
///
/// ```rhai
/// saliency(photo("chelsea"), target=channel("fire5", 12))
/// ```
#[function]
pub fn channel(
    /// The layer.
    layer: LayerName,
    /// The number of the channel, from 0.
    #[range(0..)]
    channel: usize,
) -> Result<Goal> {
    Ok(Goal::new(Channel { layer, channel }))
}

/// The layer of a network that has such a channel.
pub(super) fn channel_of(layer: &LayerName, channel: usize, model: &Model) -> Result<Layer> {
    let found = layer.find(model)?;
    if channel < found.units() {
        return Ok(found);
    }
    let message = format!("layer {} has channels 0 to {}, no {channel}", found.name(), found.units().saturating_sub(1));
    Err(Error::new(Kind::Argument, message).at_argument("target"))
}

/// What a layer is called in a title.
pub(super) fn label(layer: &LayerName, model: &Model) -> String {
    match layer {
        LayerName::Name(name) => name.clone(),
        LayerName::Handle(layer) if layer.model().same(model) => layer.label().to_owned(),
        LayerName::Handle(layer) => layer.name().to_owned(),
    }
}
