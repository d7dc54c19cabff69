//! From one objective to another, over images made together.

use candle_core::Tensor;

use super::{Goal, Objective};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Model, NodeId};

/// (1 − t) a + t b for two objectives, where t goes evenly from 0 for the first image to 1 for the last.
#[derive(Clone, Debug)]
pub struct Between(pub Goal, pub Goal);

impl Objective for Between {
    fn model(&self) -> Option<&Model> {
        self.0.model().or_else(|| self.1.model())
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        Ok([self.0.taps(job, model, input)?, self.1.taps(job, model, input)?].concat())
    }

    fn reads(&self) -> usize {
        self.0.reads() + self.1.reads()
    }

    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let (own, others) = activations
            .split_at_checked(self.0.reads())
            .ok_or_else(|| Error::new(Kind::Internal, "an objective lacks its activations"))?;
        let [a, b] = [self.0.values(job, model, own)?, self.1.values(job, model, others)?];
        let images = a.dim(0)?;
        let shares: Vec<f32> = (0..images).map(|i| i as f32 / (images.saturating_sub(1).max(1)) as f32).collect();
        let share = Tensor::from_vec(shares, images, a.device())?;
        Ok((&a + ((b - &a)? * share)?)?)
    }

    fn description(&self, model: &Model) -> String {
        format!("from {} to {}", self.0.description(model), self.1.description(model))
    }
}
