//! The rule of what adds up or averages without weights to learn: by the contributions.

use candle_core::{Tensor, Var};

use super::layer::quiet;
use super::{STABILIZER, stabilized};
use crate::error::Result;
use crate::model::{Op, Operation};
use crate::tensor::zip;

/// Residual sums, average poolings and edits of channels share out relevance by what each input contributes.
pub(super) fn norm(at: &Operation<'_>, above: &Tensor) -> Result<Vec<Tensor>> {
    let ratio = zip(above, at.output, |relevance, z| quiet(relevance / stabilized(z, STABILIZER)))?;
    if matches!(at.op, Op::Add) {
        return at.inputs.iter().map(|x| zip(&ratio, x, |ratio, x| ratio * x)).collect();
    }
    let vars = at.inputs.iter().map(|x| Ok(Var::from_tensor(x)?)).collect::<Result<Vec<Var>>>()?;
    let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let gradients = (at.value(&inputs, at.weights)? * ratio)?.sum_all()?.backward()?;
    let shared = vars.iter().map(|var| match gradients.get(var) {
        Some(gradient) => zip(gradient, var, |gradient, x| gradient * x),
        None => Ok(var.zeros_like()?.detach()),
    });
    shared.collect()
}
