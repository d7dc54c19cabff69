//! What a layer sees, compared with the best-matching features of a guide: guided dreams.

use candle_core::{D, Tensor};

use super::reference::{Reference, Size};
use super::{Goal, Objective, only};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::model::{LayerName, Model, NodeId};
use crate::tensor::matmul;

/// The sum over all places of a layer of the largest dot product between the features there and those at any place of
/// another image.
#[derive(Clone, Debug)]
pub struct Guided(Reference);

impl Guided {
    /// By an image, in a layer; without one, in the network's last that has places.
    pub fn new(guide: Image, layer: Option<LayerName>) -> Self {
        Self(Reference::new(guide, layer))
    }
}

impl Objective for Guided {
    fn model(&self) -> Option<&Model> {
        self.0.model()
    }

    fn taps(&self, job: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        self.0.look(job, model, Size::Own)?;
        let layer = self.0.layer(model)?;
        if layer.shape().len() == 3 {
            return Ok(vec![layer.id()]);
        }
        let message = format!("layer {} has no places whose features could be matched", layer.name());
        Err(Error::new(Kind::Argument, message).at_argument("layer"))
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let own = only(activations)?.flatten_from(2)?;
        let matched = self.matched(&own)?;
        Ok((own * matched)?.flatten_from(1)?.sum(1)?)
    }

    /// At each place the features that match best.
    fn gradients(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        let own = only(activations)?;
        Ok(vec![self.matched(&own.flatten_from(2)?)?.reshape(own.shape())?])
    }

    fn description(&self, model: &Model) -> String {
        format!("features of the guide in {}", self.0.label(model))
    }
}

impl Guided {
    /// For features `[N, C, M]` the guide's features that match best at each place, `[N, C, M]`.
    fn matched(&self, own: &Tensor) -> Result<Tensor> {
        let (images, _, _) = own.dims3()?;
        let guide = self.0.activations()?.flatten_from(2)?.squeeze(0)?;
        let (own, columns) = (own.detach(), guide.t()?.contiguous()?);
        let matched = (0..images).map(|image| {
            let products = matmul(&columns, &own.get(image)?)?;
            let best = products.argmax(D::Minus2)?;
            Ok(columns.index_select(&best, 0)?.t()?.contiguous()?)
        });
        Ok(Tensor::stack(&matched.collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// The features of a guide as an objective: the sum over all places of a layer of the largest dot product with the
/// features at any place of another image. A dream that climbs it turns what it finds into parts of the guide.
///
/// ```rhai
/// dream(photo("china").resize(160, 107), target=guided("fire5", photo("coffee")), octaves=1, steps=2)
/// ```
#[function(source = "Mordvintsev, Olah and Tyka, Inceptionism, 2015; the authors' notebook, google/deepdream")]
pub fn guided(
    /// The layer.
    layer: LayerName,
    /// The guide, looked at in its own size.
    image: Image,
) -> Result<Goal> {
    Ok(Goal::new(Guided::new(image, Some(layer))))
}
