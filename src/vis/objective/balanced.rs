//! An objective of several images that should differ, in proportion to what the objective is.

use candle_core::Tensor;

use super::diversity::Diversity;
use super::{Goal, Objective};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{LayerName, Model, NodeId};

/// v + w |v| d for an objective's number v, the diversity d in a layer, and a weight w: where all images have one texture
/// (d = −1) the objective loses the share w of itself, whatever its unit is. |v| counts as a constant.
#[derive(Clone, Debug)]
struct Balanced {
    goal: Goal,
    diversity: Diversity,
    weight: f64,
}

/// An objective of several images, and `weight` times as much for their differing in a layer.
pub fn balanced(goal: &Goal, weight: f64, layer: LayerName) -> Goal {
    Goal::new(Balanced { goal: goal.clone(), diversity: Diversity { layer }, weight })
}

impl Objective for Balanced {
    fn model(&self) -> Option<&Model> {
        self.goal.model()
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        Ok([self.goal.taps(job, model, input)?, self.diversity.taps(job, model, input)?].concat())
    }

    fn reads(&self) -> usize {
        self.goal.reads() + 1
    }

    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let Some((last, own)) = activations.split_last() else {
            return Err(Error::new(Kind::Internal, "a balanced objective lacks its activations"));
        };
        let value = self.goal.values(job, model, own)?;
        let differing = (self.diversity.values(job, model, std::slice::from_ref(last))? * value.abs()?.detach())?;
        Ok((value + (differing * self.weight)?)?)
    }

    fn description(&self, model: &Model) -> String {
        format!("{}, {} × as different", self.goal.description(model), self.weight)
    }
}
