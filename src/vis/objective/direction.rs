//! A direction in the space of a layer's channels.

use candle_core::{D, Device, Tensor};

use super::channel::label;
use super::{Goal, Objective, only};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Layer, LayerName, Model, NodeId};
use crate::tensor::TensorValue;

/// What a cosine below it counts as, so that a picture which points elsewhere has a way to turn.
const LEAST_COSINE: f64 = 0.1;

/// The mean over all places of the dot product of a layer's activations with a vector, times a power of their cosine.
#[derive(Clone, Debug)]
pub struct Direction {
    layer: LayerName,
    vector: Vec<f32>,
    power: f64,
}

impl Direction {
    /// A vector of one number for each channel of the layer.
    ///
    /// # Errors
    /// A number is not finite, or all are zero.
    pub fn new(layer: LayerName, vector: Vec<f32>, power: f64) -> Result<Self> {
        let wrong = |message: &str| Err(Error::new(Kind::Argument, message).at_argument("vector"));
        if vector.iter().any(|value| !value.is_finite()) {
            return wrong("the direction has numbers that are not finite");
        }
        if vector.iter().all(|value| *value == 0.0) {
            return wrong("a direction of zeros points nowhere");
        }
        Ok(Self { layer, vector, power })
    }
}

impl Objective for Direction {
    fn model(&self) -> Option<&Model> {
        self.layer.handle().map(Layer::model)
    }

    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        let layer = self.layer.find(model)?;
        if layer.units() == self.vector.len() {
            return Ok(vec![layer.id()]);
        }
        let message = format!(
            "layer {} has {} channels, the direction {} numbers",
            layer.name(),
            layer.units(),
            self.vector.len()
        );
        Err(Error::new(Kind::Argument, message).at_argument("target"))
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let activations = only(activations)?;
        let maps = if activations.rank() == 2 { activations.unsqueeze(2)? } else { activations.flatten_from(2)? };
        let vector = Tensor::from_slice(&self.vector, (1, self.vector.len(), 1), &Device::Cpu)?;
        let dots = maps.broadcast_mul(&vector)?.sum(1)?;
        if self.power == 0.0 {
            return Ok(dots.mean(D::Minus1)?);
        }
        let length = self.vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let lengths = (maps.sqr()?.sum(1)? + 1e-12)?.sqrt()?;
        let cosines = (&dots / (lengths * length)?)?.maximum(LEAST_COSINE)?;
        Ok((dots * cosines.powf(self.power)?)?.mean(D::Minus1)?)
    }

    fn description(&self, model: &Model) -> String {
        let power = if self.power == 0.0 { String::new() } else { format!(", cosine to the power {}", self.power) };
        format!("{}, a direction{power}", label(&self.layer, model))
    }
}

/// How far a layer's activations go in a direction of its channels, as an objective: the mean over all places of the dot
/// product with a vector, times the cosine between both to a power. With a power, other activations beside the direction
/// count less, so the picture shows the direction alone.
///
/// ```rhai
/// let v = zeros([128]);
/// v[3] = 1.0; v[7] = 0.5;
/// saliency(photo("chelsea"), target=direction("fire2", v, cosine_power=2.0))
/// ```
#[function(
    source = "Olah et al., The Building Blocks of Interpretability, Distill 2018; tensorflow/lucid, objectives.py"
)]
pub fn direction(
    /// The layer.
    layer: LayerName,
    /// A tensor of one number for each channel.
    vector: TensorValue,
    /// The power of the cosine; 0 leaves it out. A cosine below 0.1 counts as 0.1.
    #[default(0.0)]
    #[range(0.0..=16.0)]
    cosine_power: f64,
) -> Result<Goal> {
    let values = vector.inner().flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1()?;
    Ok(Goal::new(Direction::new(layer, values, cosine_power)?))
}
