//! How far an image's features are from those of another image, place by place.

use candle_core::Tensor;

use super::reference::{Reference, Size};
use super::{Goal, Objective, only};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::model::{LayerName, Model, NodeId};

/// ‖Φ − Φ₀‖² / ‖Φ₀‖² of a layer's activations Φ, and those of another image at the same size, Φ₀: 0 where both are
/// equal, 1 for activations that are all zero.
#[derive(Clone, Debug)]
pub struct FeatureDistance(Reference);

impl FeatureDistance {
    /// To an image, in a layer; without one, in the network's last that has places.
    pub fn new(image: Image, layer: Option<LayerName>) -> Self {
        Self(Reference::new(image, layer))
    }

    /// The other image's activations, and one over their squared length.
    fn other(&self) -> Result<(Tensor, f64)> {
        let other = self.0.activations()?;
        let square = f64::from(other.sqr()?.sum_all()?.to_scalar::<f32>()?);
        Ok((other, 1.0 / square.max(1e-12)))
    }
}

impl Objective for FeatureDistance {
    fn model(&self) -> Option<&Model> {
        self.0.model()
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        let (_, _, height, width) = input.dims4()?;
        self.0.look(job, model, Size::Input([height, width]))?;
        Ok(vec![self.0.layer(model)?.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let (other, factor) = self.other()?;
        let difference = only(activations)?.broadcast_sub(&other)?;
        Ok((difference.sqr()?.flatten_from(1)?.sum(1)? * factor)?)
    }

    fn gradients(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        let (other, factor) = self.other()?;
        Ok(vec![(only(activations)?.broadcast_sub(&other)? * (2.0 * factor))?])
    }

    fn description(&self, model: &Model) -> String {
        format!("distance of features in {}", self.0.label(model))
    }
}

/// How far an image's features are from those of another image, place by place, as an objective:
/// ‖Φ − Φ₀‖² / ‖Φ₀‖² of a layer's activations. It is 0 for the other image itself; to come near it, subtract it.
///
/// ```rhai
/// visualize(-match("fire2", photo("chelsea")), size=64, steps=4, transforms="none")
/// ```
#[function(name = "match", source = "Mahendran and Vedaldi, 2015, arXiv:1412.0035")]
pub fn feature_distance(
    /// The layer.
    layer: LayerName,
    /// The other image; it is resized to the image that is looked at.
    image: Image,
) -> Result<Goal> {
    Ok(Goal::new(FeatureDistance::new(image, Some(layer))))
}
