//! The L2 objective of DeepDream (Mordvintsev, Olah and Tyka, "Inceptionism", 2015).

use candle_core::Tensor;

use super::{Objective, only};
use crate::error::Result;
use crate::job::Job;
use crate::model::{Layer, Model, NodeId};

/// Half the sum of the squares of a layer's activations. Its gradient at the layer is the activations themselves, so
/// whatever the layer detects is amplified.
#[derive(Clone, Debug)]
pub struct L2 {
    /// The layer.
    pub layer: Layer,
}

impl Objective for L2 {
    fn model(&self) -> Option<&Model> {
        Some(self.layer.model())
    }

    fn taps(&self, _: &Job, _: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        Ok(vec![self.layer.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        Ok((only(activations)?.sqr()?.flatten_from(1)?.sum(1)? / 2.0)?)
    }

    fn gradients(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(activations.to_vec())
    }

    fn description(&self, _: &Model) -> String {
        format!("L2 of {}", self.layer.name())
    }
}
