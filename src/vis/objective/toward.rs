//! An objective that should reach a number, not grow for ever.

use candle_core::Tensor;

use super::{Goal, Objective};
use crate::error::Result;
use crate::job::Job;
use crate::model::{Layer, Model, NodeId};

/// −((v − t) / s)² for an objective's number v, a target t and a scale s above 0: it is largest, 0, where v is t.
#[derive(Clone, Debug)]
pub struct Toward {
    /// The objective.
    pub goal: Goal,
    /// The number that it should have.
    pub target: f64,
    /// What a difference is measured by.
    pub scale: f64,
}

impl Objective for Toward {
    fn model(&self) -> Option<&Model> {
        self.goal.model()
    }

    fn unit(&self, model: &Model) -> Result<Option<(Layer, usize)>> {
        self.goal.unit(model)
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        self.goal.taps(job, model, input)
    }

    fn reads(&self) -> usize {
        self.goal.reads()
    }

    fn channels(&self, model: &Model) -> Result<Option<Vec<usize>>> {
        self.goal.channels(model)
    }

    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let value = self.goal.values(job, model, activations)?;
        Ok(((value - self.target)? / self.scale)?.sqr()?.neg()?)
    }

    fn description(&self, model: &Model) -> String {
        format!("{} toward {:.4}", self.goal.description(model), self.target)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::tensor::testing::values;
    use crate::vis::objective::Neuron;

    #[test]
    fn it_pulls_from_both_sides() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let goal = Goal::new(Neuron { layer: "flatten".into(), channel: 2, y: None, x: None });
        let toward = Toward { goal, target: 3.0, scale: 2.0 };
        let output = Tensor::new(&[[0f32, 0.0, 1.0], [0.0, 0.0, 3.0], [0.0, 0.0, 7.0]], &Device::Cpu).unwrap();
        let found = values(&toward.values(&job, &model, std::slice::from_ref(&output)).unwrap());
        assert_eq!(found, [-1.0, 0.0, -4.0]);
        let slopes = toward.gradients(&job, &model, &[output]).unwrap();
        assert_eq!(values(&slopes[0]), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -2.0]);
    }
}
