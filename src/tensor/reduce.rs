//! Reductions: many numbers become one, or one for each place of the other dimensions.

use candle_core::{DType, Tensor};

use super::dims::{Reduction, dimension};
use super::rows::reduced_shape;
use super::sum::{self, reduce, sum_to};
use super::{TensorValue, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, IntoValue, function};

/// The sum of all numbers, or along dimensions. Differentiable.
///
/// Sums are taken in double precision.
///
/// ```rhai
/// ones([2, 3]).sum(dim=1)
/// ```
#[function(name = "sum")]
fn sum_function(
    /// The tensor, of any shape.
    tensor: TensorValue,
    #[options] reduction: &Reduction,
) -> Result<TensorValue> {
    Ok(sum::sum(tensor.inner(), &reduction.dims(&tensor, "sum")?, reduction.keepdim)?.into())
}

/// The mean of all numbers, or along dimensions. Differentiable.
///
/// ```rhai
/// tensor([1, 2, 6]).mean()
/// ```
#[function]
fn mean(
    /// The tensor; it has at least one number.
    tensor: TensorValue,
    #[options] reduction: &Reduction,
) -> Result<TensorValue> {
    Ok(sum::mean(tensor.inner(), &reduction.dims_with_numbers(&tensor, "mean")?, reduction.keepdim)?.into())
}

/// The greatest number, or the greatest along dimensions. Differentiable; equal ones share the gradient.
///
/// A NaN among the numbers makes the result NaN.
///
/// ```rhai
/// tensor([1, 6, 2]).max()
/// ```
#[function]
fn max(
    /// The tensor; it has at least one number.
    tensor: TensorValue,
    #[options] reduction: &Reduction,
) -> Result<TensorValue> {
    let dims = reduction.dims_with_numbers(&tensor, "max")?;
    Ok(extreme(tensor.inner(), &dims, reduction.keepdim, |a, b| a > b)?.into())
}

/// The least number, or the least along dimensions. Differentiable; equal ones share the gradient.
///
/// A NaN among the numbers makes the result NaN.
///
/// ```rhai
/// tensor([1, 6, 2]).min()
/// ```
#[function]
fn min(
    /// The tensor; it has at least one number.
    tensor: TensorValue,
    #[options] reduction: &Reduction,
) -> Result<TensorValue> {
    let dims = reduction.dims_with_numbers(&tensor, "min")?;
    Ok(extreme(tensor.inner(), &dims, reduction.keepdim, |a, b| a < b)?.into())
}

/// As `torch.amax` and `torch.amin`.
fn extreme(x: &Tensor, dims: &[usize], keepdim: bool, is_better: fn(f32, f32) -> bool) -> Result<Tensor> {
    let best = |a: f32, b: f32| if is_better(b, a) || b.is_nan() { b } else { a };
    let y = reduce(x, dims, keepdim, |row| row.iter().copied().reduce(best).unwrap_or(f32::NAN))?;
    let kept = reduced_shape(x.dims(), dims, true);
    let (input, output) = (x.detach(), y.clone());
    with_backward(x, y, move |gradient| {
        let is_best = input.broadcast_eq(&output.reshape(kept.as_slice())?)?.to_dtype(DType::F32)?;
        let share = gradient.reshape(kept.as_slice())?.div(&sum_to(&is_best, &kept)?)?;
        Ok(is_best.broadcast_mul(&share)?)
    })
}

/// Where the greatest number is: its place in row-major order, or along one dimension. Of equal ones, the first.
///
/// ```rhai
/// argmax(tensor([1, 6, 2]))
/// ```
#[function]
fn argmax(
    /// The tensor; it has at least one number and no NaN.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all: then the result is an integer.
    #[default]
    dim: Option<i64>,
    /// Whether the reduced dimension stays, with size 1.
    #[default(false)]
    keepdim: bool,
) -> Result<Dynamic> {
    place_of_extreme(&tensor, dim, keepdim, "argmax", |a, b| a > b)
}

/// Where the least number is: its place in row-major order, or along one dimension. Of equal ones, the first.
///
/// ```rhai
/// argmin(tensor([1, 6, 2]))
/// ```
#[function]
fn argmin(
    /// The tensor; it has at least one number and no NaN.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all: then the result is an integer.
    #[default]
    dim: Option<i64>,
    /// Whether the reduced dimension stays, with size 1.
    #[default(false)]
    keepdim: bool,
) -> Result<Dynamic> {
    place_of_extreme(&tensor, dim, keepdim, "argmin", |a, b| a < b)
}

fn place_of_extreme(
    tensor: &TensorValue,
    dim: Option<i64>,
    keepdim: bool,
    function: &str,
    is_better: fn(f32, f32) -> bool,
) -> Result<Dynamic> {
    let fault = |message: String| Error::new(Kind::Tensor, format!("{function}: {message}")).at_argument("tensor");
    let values = tensor.values()?;
    if values.iter().any(|value| value.is_nan()) {
        return Err(fault("the tensor holds NaN, which is neither more nor less".into()));
    }
    let place = |row: &[f32]| {
        let places = row.iter().enumerate();
        places.reduce(|best, next| if is_better(*next.1, *best.1) { next } else { best }).map_or(0, |(place, _)| place)
    };
    match dim {
        None if values.is_empty() => {
            Err(fault(format!("a tensor of shape {:?} has no numbers to reduce", tensor.inner().dims())))
        }
        None => Ok(place(&values).into_value()),
        Some(dim) => {
            let dim = dimension(tensor, dim, function)?;
            match tensor.inner().dims()[dim] {
                0 => Err(fault(format!("the dimension {dim} of shape {:?} is empty", tensor.inner().dims()))),
                size => {
                    super::order::check_places(size, function)?;
                    let places = reduce(tensor.inner(), &[dim], keepdim, |row| place(row) as f32)?;
                    Ok(TensorValue::from(places).into_value())
                }
            }
        }
    }
}

/// Is any number other than 0? Of all numbers, then true or false; or along dimensions, then a tensor.
///
/// ```rhai
/// any(tensor([1, 6, 2]) > 5)
/// ```
#[function]
fn any(
    /// The tensor, for example the result of a comparison.
    tensor: TensorValue,
    #[options] reduction: &Reduction,
) -> Result<Dynamic> {
    test(&tensor, reduction, "any", |row| row.iter().any(|value| *value != 0.0))
}

/// Are all numbers other than 0? Of all numbers, then true or false; or along dimensions, then a tensor.
///
/// ```rhai
/// all(tensor([1, 6, 2]) > 0)
/// ```
#[function]
fn all(
    /// The tensor, for example the result of a comparison.
    tensor: TensorValue,
    #[options] reduction: &Reduction,
) -> Result<Dynamic> {
    test(&tensor, reduction, "all", |row| row.iter().all(|value| *value != 0.0))
}

fn test(tensor: &TensorValue, reduction: &Reduction, function: &str, holds: fn(&[f32]) -> bool) -> Result<Dynamic> {
    let dims = reduction.dims(tensor, function)?;
    let outcome = reduce(tensor.inner(), &dims, reduction.keepdim, |row| f32::from(u8::from(holds(row))))?;
    Ok(match reduction {
        Reduction { dim: None, keepdim: false } => outcome.to_scalar::<f32>().map(|found| found != 0.0)?.into_value(),
        _ => TensorValue::mask(outcome).into_value(),
    })
}
