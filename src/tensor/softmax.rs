//! Softmax and its logarithm along a dimension.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cpu::with_values;
use super::dims::{dimension, rows};
use super::sum::{sum, sum_of};
use super::{TensorValue, with_backward};
use crate::error::Result;
use crate::lang::define;

/// e^x / Σ e^x along a dimension; differentiable.
///
/// # Errors
/// `x` holds no float32 values or has no such dimension.
pub(super) fn softmax_along(x: &Tensor, dim: usize) -> Result<Tensor> {
    let y = each_row(x, dim, |row, greatest| {
        let sum = sum_of(row, |value| f64::from(value - greatest).exp());
        row.iter_mut().for_each(|value| *value = (f64::from(*value - greatest).exp() / sum) as f32);
    })?;
    let output = y.clone();
    with_backward(x, y, move |gradient| {
        let weighted = (gradient * &output)?;
        let mean = sum(&weighted, &[dim], true)?;
        Ok((weighted - output.broadcast_mul(&mean)?)?)
    })
}

/// x − ln Σ e^x along a dimension; differentiable.
fn log_softmax_along(x: &Tensor, dim: usize) -> Result<Tensor> {
    let y = each_row(x, dim, |row, greatest| {
        let shift = f64::from(greatest) + sum_of(row, |value| f64::from(value - greatest).exp()).ln();
        row.iter_mut().for_each(|value| *value = (f64::from(*value) - shift) as f32);
    })?;
    let output = y.clone();
    with_backward(x, y, move |gradient| Ok((gradient - output.exp()?.broadcast_mul(&sum(gradient, &[dim], true)?)?)?))
}

/// Changes the numbers along a dimension, row by row; `f` is given the greatest number of the row.
fn each_row(x: &Tensor, dim: usize, f: impl Fn(&mut [f32], f32) + Sync) -> Result<Tensor> {
    let last = x.rank().saturating_sub(1);
    let (length, rows) = rows(x, &[dim])?;
    let mut values = with_values(&rows, <[f32]>::to_vec)?;
    values.par_chunks_mut(length.max(1)).for_each(|row| {
        let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        f(row, greatest);
    });
    // the dimension stands last in the rows
    let mut order: Vec<usize> = (0..last).collect();
    order.insert(dim, last);
    Ok(Tensor::from_vec(values, rows.shape(), &Device::Cpu)?.permute(order)?.contiguous()?.to_device(x.device())?)
}

/// The softmax: positive numbers that sum to 1 along a dimension. Differentiable.
///
/// ```rhai
/// softmax(tensor([1, 2, 3]))
/// ```
#[define]
fn softmax(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// The dimension; -1 is the last.
    #[default(-1)]
    dim: i64,
) -> Result<TensorValue> {
    Ok(softmax_along(tensor.inner(), dimension(&tensor, dim, "softmax")?)?.into())
}

/// The logarithm of the softmax, also where the softmax itself is too small for a number. Differentiable.
///
/// ```rhai
/// log_softmax(tensor([1, 2, 3]))
/// ```
#[define]
fn log_softmax(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// The dimension; -1 is the last.
    #[default(-1)]
    dim: i64,
) -> Result<TensorValue> {
    Ok(log_softmax_along(tensor.inner(), dimension(&tensor, dim, "log_softmax")?)?.into())
}
