//! How alike an image is to another one, as a layer sees both.

use candle_core::{D, Tensor};

use super::reference::{Reference, Size};
use super::{Goal, Objective, only};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::model::{LayerName, Model, NodeId};

/// The cosine between the features of an image and those of another one: the means of each channel over all places.
#[derive(Clone, Debug)]
pub struct Similarity(Reference);

impl Similarity {
    /// To an image, in a layer; without one, in the network's last that has places.
    pub fn new(image: Image, layer: Option<LayerName>) -> Self {
        Self(Reference::new(image, layer))
    }
}

impl Objective for Similarity {
    fn model(&self) -> Option<&Model> {
        self.0.model()
    }

    fn taps(&self, job: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        self.0.look(job, model, Size::Network)?;
        Ok(vec![self.0.layer(model)?.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let other = pooled(&self.0.activations()?)?.squeeze(0)?;
        let own = pooled(only(activations)?)?;
        let product = own.broadcast_mul(&other)?.sum(1)?;
        let other_norm = f64::from(other.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?);
        let norms = ((own.sqr()?.sum(1)?.sqrt()? * other_norm)? + 1e-12)?;
        Ok((product / norms)?)
    }

    fn description(&self, model: &Model) -> String {
        format!("similarity in {}", self.0.label(model))
    }
}

/// The mean of each channel, `[N, channels]`.
fn pooled(activations: &Tensor) -> Result<Tensor> {
    if activations.rank() == 2 {
        return Ok(activations.clone());
    }
    Ok(activations.flatten_from(2)?.mean(D::Minus1)?)
}

/// How alike an image is to another one, as an objective: the cosine between their features, from -1 to 1. What
/// explains it shows what both have in common.
///
/// ```rhai
/// saliency(gallery("mammal/koala"), target=similarity(gallery("mammal/elephant")))
/// ```
#[function]
pub fn similarity(
    /// The other image.
    image: Image,
    /// The layer whose channels are compared, each by its mean; the network's last that has places, if not given.
    #[default]
    layer: Option<LayerName>,
) -> Result<Goal> {
    Ok(Goal::new(Similarity::new(image, layer)))
}
