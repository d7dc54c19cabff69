//! The L2 objective of DeepDream (Mordvintsev, Olah and Tyka, "Inceptionism", 2015).

use candle_core::Tensor;

use super::channel::label;
use super::{Goal, Objective, only};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Layer, LayerName, Model, NodeId};

/// Half the sum of the squares of a layer's activations. Its gradient at the layer is the activations themselves, so
/// whatever the layer detects is amplified.
#[derive(Clone, Debug)]
pub struct L2 {
    /// The layer.
    pub layer: LayerName,
}

impl Objective for L2 {
    fn model(&self) -> Option<&Model> {
        self.layer.handle().map(Layer::model)
    }

    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        Ok(vec![self.layer.find(model)?.id()])
    }

    fn values(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        Ok((only(activations)?.sqr()?.flatten_from(1)?.sum(1)? / 2.0)?)
    }

    fn gradients(&self, _: &Job, _: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(activations.to_vec())
    }

    fn description(&self, model: &Model) -> String {
        format!("L2 of {}", label(&self.layer, model))
    }
}

/// Half the sum of the squares of a layer's activations as an objective, DeepDream's: whatever the layer detects counts,
/// and what it detects strongly counts most.
///
/// ```rhai
/// dream(photo("china").resize(160, 107), target=l2("fire5") + l2("fire8"), octaves=1, steps=2)
/// ```
#[function(source = "Mordvintsev, Olah and Tyka, Inceptionism, 2015")]
pub fn l2(
    /// The layer.
    layer: LayerName,
) -> Result<Goal> {
    Ok(Goal::new(L2 { layer }))
}
