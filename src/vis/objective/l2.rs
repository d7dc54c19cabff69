//! The L2 objective of DeepDream (Mordvintsev, Olah and Tyka, "Inceptionism", 2015).

use candle_core::Tensor;

use super::Objective;
use crate::error::{Error, Kind, Result};
use crate::model::{Layer, Model, NodeId};

/// Half the sum of the squares of a layer's activations. Its gradient at the layer is the activations themselves, so
/// whatever the layer detects is amplified.
#[derive(Clone, Debug)]
pub struct L2 {
    /// The layer.
    pub layer: Layer,
}

impl Objective for L2 {
    fn model(&self) -> &Model {
        self.layer.model()
    }

    fn taps(&self) -> Vec<NodeId> {
        vec![self.layer.id()]
    }

    fn value(&self, activations: &[Tensor]) -> Result<Tensor> {
        let [activations] = activations else {
            return Err(Error::new(Kind::Internal, "the L2 objective reads one layer"));
        };
        Ok((activations.sqr()?.sum_all()? / 2.0)?)
    }

    fn gradients(&self, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(activations.to_vec())
    }

    fn description(&self) -> String {
        format!("L2 of {}", self.layer.name())
    }
}
