//! What sets a class apart from those that the network takes for nearest (Finer-CAM).

use candle_core::{IndexOp, Tensor};

use super::{Goal, Objective, only};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{ClassName, Model, NodeId};
use crate::tensor::softmax;

/// The score of a class minus those of the classes whose scores are nearest to it, weighted by their probabilities.
#[derive(Clone, Debug)]
pub struct FinerScore {
    /// The class.
    pub class: ClassName,
    /// How much the other classes count.
    pub alpha: f64,
    /// How many of them.
    pub nearest: usize,
}

impl Objective for FinerScore {
    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        self.class.resolve(model)?;
        if model.answer().classes().len() < 2 || model.answer().is_binary() {
            let message = "finer_score compares a class with others, and the network has none";
            return Err(Error::new(Kind::Argument, message).at_argument("target"));
        }
        Ok(vec![model.graph().output()])
    }

    fn values(&self, _: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let class = self.class.resolve(model)?;
        let scores = model.answer().scores(only(activations)?)?;
        let one = |image: usize| -> Result<Tensor> {
            let scores = scores.narrow(0, image, 1)?;
            let others = nearest(&scores.i(0)?.to_vec1()?, class, self.nearest);
            let others = Tensor::new(others, scores.device())?;
            let own = scores.narrow(1, class, 1)?;
            let weights = softmax(&scores)?.index_select(&others, 1)?;
            let differences = own.broadcast_sub(&(scores.index_select(&others, 1)? * self.alpha)?)?;
            Ok(((differences * &weights)?.sum(1)? / (weights.sum(1)? + 1e-9)?)?)
        };
        let values = (0..scores.dim(0)?).map(one).collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&values, 0)?)
    }

    fn description(&self, model: &Model) -> String {
        let name =
            self.class.resolve(model).map_or_else(|_| "?".to_owned(), |class| model.answer().classes().name(class));
        format!("\"{name}\" against the {} nearest classes", self.nearest)
    }
}

/// The other classes whose scores are nearest to that of a class, the nearest first.
fn nearest(scores: &[f32], class: usize, count: usize) -> Vec<u32> {
    let own = scores.get(class).copied().unwrap_or(0.0);
    let mut others: Vec<usize> = (0..scores.len()).filter(|other| *other != class).collect();
    others.sort_by(|a, b| (scores[*a] - own).abs().total_cmp(&(scores[*b] - own).abs()));
    others.into_iter().take(count).map(|other| other as u32).collect()
}

/// What sets a class apart from the classes whose scores are nearest to it, as an objective: its score minus theirs, the
/// mean weighted by their probabilities.
///
/// ```rhai
/// grad_cam(photo("chelsea"), target=finer_score("Egyptian cat"))
/// ```
#[function(
    source = "Zhang et al., Finer-CAM, 2025, arXiv:2501.11309; FinerWeightedTarget of jacobgil/pytorch-grad-cam"
)]
pub fn finer_score(
    /// The class, by name or number.
    class: ClassName,
    /// How much the other classes count; at 0 it is the score of the class.
    #[default(1.0)]
    alpha: f64,
    /// How many other classes.
    #[default(3)]
    #[range(1..=100)]
    nearest: usize,
) -> Result<Goal> {
    Ok(Goal::new(FinerScore { class, alpha, nearest }))
}
