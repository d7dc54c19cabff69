//! One unit of a layer, at one place.

use candle_core::Tensor;

use super::channel::{channel_of, label};
use super::{Goal, Objective, only};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Layer, LayerName, Model, NodeId};

/// The activation of one channel of a layer at one place.
#[derive(Clone, Debug)]
pub struct Neuron {
    /// The layer.
    pub layer: LayerName,
    /// Number of the channel.
    pub channel: usize,
    /// Row; the middle one if not given.
    pub y: Option<usize>,
    /// Column; the middle one if not given.
    pub x: Option<usize>,
}

impl Neuron {
    /// Its row and column in a map of a size.
    fn place(&self, height: usize, width: usize) -> Result<(usize, usize)> {
        let (y, x) = (self.y.unwrap_or(height / 2), self.x.unwrap_or(width / 2));
        if y < height && x < width {
            return Ok((y, x));
        }
        let message = format!("there is no place y={y}, x={x} in maps of {height}×{width} (height×width)");
        Err(Error::new(Kind::Argument, message).with_hint("both count from 0").at_argument("target"))
    }
}

impl Objective for Neuron {
    fn model(&self) -> Option<&Model> {
        self.layer.handle().map(Layer::model)
    }

    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        let layer = channel_of(&self.layer, self.channel, model)?;
        match layer.shape() {
            [_, height, width] => drop(self.place(*height, *width)?),
            _ => drop(self.place(1, 1)?),
        }
        Ok(vec![layer.id()])
    }

    fn channels(&self, _: &Model) -> Result<Option<Vec<usize>>> {
        Ok(Some(vec![self.channel]))
    }

    fn unit(&self, model: &Model) -> Result<Option<(Layer, usize)>> {
        Ok(Some((channel_of(&self.layer, self.channel, model)?, self.channel)))
    }

    fn unrectified(&self, model: &Model) -> Result<Option<Goal>> {
        let layer = channel_of(&self.layer, self.channel, model)?;
        let found = model.before_rectifier(layer.id(), self.channel, false);
        Ok(found.map(|(layer, channel)| Goal::new(Self { layer: layer.into(), channel, ..*self })))
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let unit = only(activations)?.narrow(1, self.channel, 1)?.squeeze(1)?;
        if unit.rank() == 1 {
            return Ok(unit);
        }
        let (_, height, width) = unit.dims3()?;
        let (y, x) = self.place(height, width)?;
        Ok(unit.narrow(1, y, 1)?.narrow(2, x, 1)?.squeeze(2)?.squeeze(1)?)
    }

    fn description(&self, model: &Model) -> String {
        let place = match (self.y, self.x) {
            (Some(y), Some(x)) => format!("y={y}, x={x}"),
            (Some(y), None) => format!("y={y}"),
            (None, Some(x)) => format!("x={x}"),
            (None, None) => "the middle".to_owned(),
        };
        format!("{}, unit {} at {place}", label(&self.layer, model), self.channel)
    }
}

/// The activation of one unit of a layer, at one place, as an objective.
///
/// ```rhai
/// saliency(photo("chelsea"), target=neuron("fire5", 12, y=10, x=14))
/// ```
#[function]
pub fn neuron(
    /// The layer.
    layer: LayerName,
    /// The number of the channel, from 0.
    #[range(0..)]
    channel: usize,
    /// The row, from 0; the middle one if not given.
    #[default]
    y: Option<usize>,
    /// The column, from 0; the middle one if not given.
    #[default]
    x: Option<usize>,
) -> Result<Goal> {
    Ok(Goal::new(Neuron { layer, channel, y, x }))
}
