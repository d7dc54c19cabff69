//! Objectives: functions from a model's activations to a number, which an ascent makes larger.

mod l2;

use candle_core::{Tensor, Var};

pub use l2::L2;

use crate::error::{Error, Kind, Result};
use crate::model::{Model, NodeId};

/// A differentiable function of the activations of some layers.
pub trait Objective {
    /// The network whose activations it reads.
    fn model(&self) -> &Model;
    /// The layers it reads, in the order in which [`value`](Self::value) takes their activations.
    fn taps(&self) -> Vec<NodeId>;
    /// The number, as a tensor without dimensions on the tape of `activations`.
    ///
    /// # Errors
    /// The activations have shapes that do not fit the objective.
    fn value(&self, activations: &[Tensor]) -> Result<Tensor>;
    /// What is made larger, in words: "L2 of fire7".
    fn description(&self) -> String;

    /// Its gradient for each of the activations; taken from the tape, unless an objective knows better.
    ///
    /// # Errors
    /// As [`value`](Self::value), and where the value does not depend on a layer at all.
    fn gradients(&self, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        let variables = activations.iter().map(Var::from_tensor).collect::<candle_core::Result<Vec<_>>>()?;
        let on_tape: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let mut gradients = self.value(&on_tape)?.backward()?;
        variables
            .iter()
            .map(|variable| {
                gradients.remove(variable).ok_or_else(|| {
                    let message = format!("the objective \"{}\" does not depend on its layer", self.description());
                    Error::new(Kind::Argument, message)
                })
            })
            .collect()
    }
}
