//! Variance, standard deviation and norms, along dimensions.

use candle_core::Tensor;

use super::dims::Reduction;
use super::rows::reduced_shape;
use super::sum::{mean, reduce, sum_of};
use super::{TensorValue, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// The variances along `dims`, divided by the count less `correction`, or their square roots; differentiable.
///
/// # Errors
/// `x` holds no float32 values or has no such dimensions.
fn spread(x: &Tensor, dims: &[usize], divisor: f64, keepdim: bool, is_root: bool) -> Result<Tensor> {
    let y = reduce(x, dims, keepdim, |row| {
        let mean = sum_of(row, f64::from) / row.len() as f64;
        let variance = sum_of(row, |value| (f64::from(value) - mean).powi(2)) / divisor;
        (if is_root { variance.sqrt() } else { variance }) as f32
    })?;
    let kept = reduced_shape(x.dims(), dims, true);
    let (input, output, dims) = (x.detach(), y.clone(), dims.to_vec());
    with_backward(x, y, move |gradient| {
        let mut slope = (gradient.reshape(kept.as_slice())? * (if is_root { 1.0 } else { 2.0 } / divisor))?;
        if is_root {
            // where nothing varies the gradient is 0, as PyTorch's
            let deviation = output.reshape(kept.as_slice())?;
            slope = deviation.eq(0f32)?.where_cond(&slope.zeros_like()?, &(slope / deviation)?)?;
        }
        Ok(input.broadcast_sub(&mean(&input, &dims, true)?)?.broadcast_mul(&slope)?)
    })
}

fn spread_function(
    tensor: &TensorValue,
    correction: f64,
    reduction: &Reduction,
    function: &str,
) -> Result<TensorValue> {
    let dims = reduction.dims_with_numbers(tensor, function)?;
    let count: usize = dims.iter().map(|dim| tensor.inner().dims()[*dim]).product();
    let divisor = count as f64 - correction;
    if divisor <= 0.0 {
        let numbers = if count == 1 { "1 number".to_owned() } else { format!("{count} numbers") };
        let message = format!("{function}: {numbers} with correction={correction} would be divided by {divisor}");
        return Err(Error::new(Kind::Argument, message)
            .with_hint("correction=0 divides by the count")
            .at_argument("tensor"));
    }
    Ok(spread(tensor.inner(), &dims, divisor, reduction.keepdim, function == "std")?.into())
}

/// The standard deviation of all numbers, or along dimensions. Differentiable.
///
/// ```rhai
/// std(tensor([1, 2, 3, 4]))
/// ```
#[function]
fn std(
    /// The tensor; what is reduced has more numbers than `correction`.
    tensor: TensorValue,
    /// What is taken from the count before the squares are divided by it: 1 estimates a population's deviation from a
    /// sample, 0 is the deviation of these numbers themselves.
    #[default(1.0)]
    #[range(0.0..)]
    correction: f64,
    #[options] reduction: &Reduction,
) -> Result<TensorValue> {
    spread_function(&tensor, correction, reduction, "std")
}

/// The variance of all numbers, or along dimensions: the square of `std`. Differentiable.
///
/// ```rhai
/// var(tensor([1, 2, 3, 4]))
/// ```
#[function]
fn var(
    /// The tensor; what is reduced has more numbers than `correction`.
    tensor: TensorValue,
    /// What is taken from the count before the squares are divided by it: 1 estimates a population's variance from a
    /// sample, 0 is the variance of these numbers themselves.
    #[default(1.0)]
    #[range(0.0..)]
    correction: f64,
    #[options] reduction: &Reduction,
) -> Result<TensorValue> {
    spread_function(&tensor, correction, reduction, "var")
}

/// The norm (Σ|x|^p)^(1/p) of all numbers taken as one vector, or along dimensions. Differentiable.
///
/// ```rhai
/// norm(tensor([3, 4]))
/// ```
#[function(name = "norm")]
fn norm_function(
    /// The tensor, of any shape.
    tensor: TensorValue,
    /// The exponent, above 0: 2 is the Euclidean length, 1 the sum of magnitudes.
    #[default(2.0)]
    #[range(0.0..)]
    p: f64,
    #[options] reduction: &Reduction,
) -> Result<TensorValue> {
    if p == 0.0 {
        let message = "norm: `p` must be above 0, not 0";
        let hint = "ne(t, 0).sum() counts what is not 0";
        return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("p"));
    }
    Ok(norm(tensor.inner(), p, &reduction.dims(&tensor, "norm")?, reduction.keepdim)?.into())
}

/// The p-norms along `dims`; differentiable, with the gradient 0 where all numbers are 0.
///
/// # Errors
/// `x` holds no float32 values or has no such dimensions.
pub fn norm(x: &Tensor, p: f64, dims: &[usize], keepdim: bool) -> Result<Tensor> {
    let y = reduce(x, dims, keepdim, |row| match p {
        1.0 => sum_of(row, |value| f64::from(value).abs()) as f32,
        2.0 => sum_of(row, |value| f64::from(value).powi(2)).sqrt() as f32,
        _ => sum_of(row, |value| f64::from(value).abs().powf(p)).powf(1.0 / p) as f32,
    })?;
    let kept = reduced_shape(x.dims(), dims, true);
    let (input, output) = (x.detach(), y.clone());
    with_backward(x, y, move |gradient| {
        let gradient = gradient.reshape(kept.as_slice())?.broadcast_as(input.dims())?;
        let length = output.reshape(kept.as_slice())?.broadcast_as(input.dims())?;
        // x·|x|^(p − 2) / norm^(p − 1)
        let slope = super::elementwise::zip(&input, &length, |x, length| {
            let (x, length) = (f64::from(x), f64::from(length));
            if x == 0.0 || length == 0.0 { 0.0 } else { (x.signum() * (x.abs() / length).powf(p - 1.0)) as f32 }
        })?;
        Ok((gradient * slope)?)
    })
}
