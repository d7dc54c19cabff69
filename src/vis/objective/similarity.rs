//! How alike an image is to another one, as a layer sees both.

use std::cell::RefCell;

use candle_core::{D, Tensor};

use super::channel::label;
use super::{Goal, Objective, only};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Layer, LayerName, Model, NodeId};

/// The cosine between the features of an image and those of another one: the means of each channel over all places.
#[derive(Clone, Debug)]
pub struct Similarity {
    image: Image,
    layer: Option<LayerName>,
    /// The features of the other image `[channels]`, once the network is known.
    features: RefCell<Option<Tensor>>,
}

impl Similarity {
    /// To an image, in a layer; without one, in the network's last that has places.
    pub fn new(image: Image, layer: Option<LayerName>) -> Self {
        Self { image, layer, features: RefCell::default() }
    }

    fn layer(&self, model: &Model) -> Result<Layer> {
        self.layer.as_ref().map_or_else(|| model.default_cam_layer(), |layer| layer.find(model))
    }
}

impl Objective for Similarity {
    fn model(&self) -> Option<&Model> {
        self.layer.as_ref()?.handle().map(Layer::model)
    }

    fn taps(&self, job: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        let layer = self.layer(model)?;
        let other = model.input(&model.view(&self.image)?)?;
        let features = pooled(&layer.activations(&other, job.interrupt())?)?.squeeze(0)?;
        *self.features.borrow_mut() = Some(features);
        Ok(vec![layer.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let other = self.features.borrow().clone();
        let other = other.ok_or_else(|| Error::new(Kind::Internal, "the other image's features are not known"))?;
        let own = pooled(only(activations)?)?;
        let product = own.broadcast_mul(&other)?.sum(1)?;
        let other_norm = f64::from(other.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?);
        let norms = ((own.sqr()?.sum(1)?.sqrt()? * other_norm)? + 1e-12)?;
        Ok((product / norms)?)
    }

    fn description(&self, model: &Model) -> String {
        let layer = match &self.layer {
            Some(layer) => label(layer, model),
            None => self.layer(model).map_or_else(|_| "?".to_owned(), |layer| layer.name().to_owned()),
        };
        format!("similarity in {layer}")
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
