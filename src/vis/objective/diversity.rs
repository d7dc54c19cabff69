//! How different several images are that are made at once.

use candle_core::{D, Tensor};

use super::channel::label;
use super::gram::gram_matrix;
use super::{Goal, Objective, only};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Layer, LayerName, Model, NodeId};
use crate::tensor::matmul;

/// Minus the mean cosine between the Gram matrix of each image and those of the others made with it, from −1 (all have one
/// texture) to 0 or, where activations are negative, 1.
#[derive(Clone, Debug)]
pub struct Diversity {
    /// The layer.
    pub layer: LayerName,
}

impl Objective for Diversity {
    fn model(&self) -> Option<&Model> {
        self.layer.handle().map(Layer::model)
    }

    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        Ok(vec![self.layer.find(model)?.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let activations = only(activations)?;
        let images = activations.dim(0)?;
        if images < 2 {
            return Err(Error::new(Kind::Argument, "diversity compares images that are made together; this is one")
                .with_hint("diverse(…, images=4) makes several"));
        }
        let rows = if activations.rank() == 2 { activations.unsqueeze(2)? } else { activations.flatten_from(2)? };
        let grams = gram_matrix(&rows)?.flatten_from(1)?;
        let lengths = (grams.sqr()?.sum_keepdim(1)? + 1e-24)?.sqrt()?;
        let units = grams.broadcast_div(&lengths)?;
        // each image's cosine with itself is 1
        let cosines = (matmul(&units, &units.t()?)?.sum(D::Minus1)? - 1.0)?;
        Ok((cosines * (-1.0 / (images as f64 - 1.0)))?)
    }

    fn description(&self, model: &Model) -> String {
        format!("diversity in {}", label(&self.layer, model))
    }
}

/// How different images are that are made together, as an objective: minus the mean cosine between their Gram matrices in
/// a layer. Added to what a unit likes, it shows several things that the unit likes.
///
/// ```rhai
/// diverse(channel("fire3", 5) + 0.1 * diversity("fire3"), diversity=0.0, images=2, size=48, steps=4)
/// ```
#[function(source = "Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017")]
pub fn diversity(
    /// The layer.
    layer: LayerName,
) -> Result<Goal> {
    Ok(Goal::new(Diversity { layer }))
}
