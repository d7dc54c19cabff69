//! Softmax and its logarithm along a dimension.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cpu::with_values;
use super::dims::dimension;
use super::rows::rows;
use super::sum::{sum, sum_of};
use super::{TensorValue, with_backward};
use crate::error::Result;
use crate::lang::function;

/// e^x / Σ e^x along a dimension; differentiable.
///
/// # Errors
/// `x` holds no float32 values or has no such dimension.
pub(super) fn softmax_along(x: &Tensor, dim: usize) -> Result<Tensor> {
    let y = each_row(x, dim, |row| {
        let greatest = greatest(row);
        let sum = sum_of(row, |value| f64::from(value - greatest).exp());
        row.iter_mut().for_each(|value| *value = (f64::from(*value - greatest).exp() / sum) as f32);
    })?;
    let output = y.clone();
    with_backward(x, y, move |gradient| {
        each_row_with(gradient, &output, dim, |gradient, output| {
            // where one share is nearly 1 the two terms nearly cancel
            let pairs = || gradient.iter().zip(output).map(|(g, y)| (f64::from(*g), f64::from(*y)));
            let total: f64 = pairs().map(|(_, y)| y).sum();
            let weighted: f64 = pairs().map(|(g, y)| g * y).sum();
            let slopes: Vec<f32> = pairs().map(|(g, y)| (y * (g * total - weighted)) as f32).collect();
            gradient.copy_from_slice(&slopes);
        })
    })
}

/// x − ln Σ e^x along a dimension; differentiable.
fn log_softmax_along(x: &Tensor, dim: usize) -> Result<Tensor> {
    let y = each_row(x, dim, |row| {
        let greatest = greatest(row);
        let shift = f64::from(greatest) + sum_of(row, |value| f64::from(value - greatest).exp()).ln();
        row.iter_mut().for_each(|value| *value = (f64::from(*value) - shift) as f32);
    })?;
    let output = y.clone();
    with_backward(x, y, move |gradient| Ok((gradient - output.exp()?.broadcast_mul(&sum(gradient, &[dim], true)?)?)?))
}

fn greatest(row: &[f32]) -> f32 {
    row.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Changes the numbers along a dimension, row by row.
fn each_row(x: &Tensor, dim: usize, f: impl Fn(&mut [f32]) + Sync) -> Result<Tensor> {
    each_row_with(x, x, dim, |row, _| f(row))
}

/// The same with two tensors of one shape: `f` changes the row of the first.
fn each_row_with(x: &Tensor, other: &Tensor, dim: usize, f: impl Fn(&mut [f32], &[f32]) + Sync) -> Result<Tensor> {
    let ((length, x_rows), (_, other_rows)) = (rows(x, &[dim])?, rows(other, &[dim])?);
    let length = length.max(1);
    let mut values = with_values(&x_rows, <[f32]>::to_vec)?;
    with_values(&other_rows, |others| {
        values.par_chunks_mut(length).zip(others.par_chunks(length)).for_each(|(row, others)| f(row, others));
    })?;
    // the dimension stands last in the rows
    let last = x.rank().saturating_sub(1);
    let mut order: Vec<usize> = (0..last).collect();
    order.insert(dim, last);
    Ok(Tensor::from_vec(values, x_rows.shape(), &Device::Cpu)?.permute(order)?.contiguous()?.to_device(x.device())?)
}

/// The softmax: positive numbers that sum to 1 along a dimension. Differentiable.
///
/// ```rhai
/// softmax(tensor([1, 2, 3]))
/// ```
#[function]
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
#[function]
fn log_softmax(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// The dimension; -1 is the last.
    #[default(-1)]
    dim: i64,
) -> Result<TensorValue> {
    Ok(log_softmax_along(tensor.inner(), dimension(&tensor, dim, "log_softmax")?)?.into())
}
