//! Reductions: many numbers become one, or one for each place of the other dimensions.

use candle_core::Tensor;

use super::TensorValue;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, IntoValue, define};

/// A dimension counted from the front; negative ones count from the back.
pub(super) fn dimension(tensor: &TensorValue, dim: i64, function: &str) -> Result<usize> {
    let rank = tensor.inner().rank();
    let found = if dim < 0 { rank as i64 + dim } else { dim };
    usize::try_from(found).ok().filter(|dim| *dim < rank).ok_or_else(|| {
        let message =
            format!("{function}: there is no dimension {dim} in a tensor of shape {:?}", tensor.inner().dims());
        Error::new(Kind::Argument, message).at_argument("dim")
    })
}

fn reduce(
    tensor: &TensorValue,
    dim: Option<i64>,
    function: &str,
    operation: impl Fn(&Tensor, usize) -> candle_core::Result<Tensor>,
) -> Result<TensorValue> {
    if tensor.inner().elem_count() == 0 {
        let message = format!("{function}: a tensor of shape {:?} has no numbers", tensor.inner().dims());
        return Err(Error::new(Kind::Tensor, message).at_argument("tensor"));
    }
    match dim {
        Some(dim) => Ok(operation(tensor.inner(), dimension(tensor, dim, function)?)?.into()),
        None => Ok(operation(&tensor.inner().flatten_all()?, 0)?.into()),
    }
}

/// The sum of all numbers, or along one dimension.
///
/// ```rhai
/// ones([2, 3]).sum(dim=1)
/// ```
#[define]
fn sum(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all.
    #[default]
    dim: Option<i64>,
) -> Result<TensorValue> {
    reduce(&tensor, dim, "sum", |tensor, dim| tensor.sum(dim))
}

/// The mean of all numbers, or along one dimension.
///
/// ```rhai
/// tensor([1, 2, 6]).mean()
/// ```
#[define]
fn mean(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all.
    #[default]
    dim: Option<i64>,
) -> Result<TensorValue> {
    reduce(&tensor, dim, "mean", |tensor, dim| tensor.mean(dim))
}

/// The greatest number, or the greatest along one dimension.
///
/// ```rhai
/// tensor([1, 6, 2]).max()
/// ```
#[define]
fn max(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all.
    #[default]
    dim: Option<i64>,
) -> Result<TensorValue> {
    reduce(&tensor, dim, "max", |tensor, dim| tensor.max(dim))
}

/// The least number, or the least along one dimension.
///
/// ```rhai
/// tensor([1, 6, 2]).min()
/// ```
#[define]
fn min(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all.
    #[default]
    dim: Option<i64>,
) -> Result<TensorValue> {
    reduce(&tensor, dim, "min", |tensor, dim| tensor.min(dim))
}

/// The standard deviation of all numbers (divided by n).
///
/// ```rhai
/// std(tensor([1, 3]))
/// ```
#[define]
fn std(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    reduce(&tensor, None, "std", |tensor, dim| {
        tensor.broadcast_sub(&tensor.mean_keepdim(dim)?)?.sqr()?.mean(dim)?.sqrt()
    })
}

/// The Euclidean length of all numbers taken as one vector.
///
/// ```rhai
/// norm(tensor([3, 4]))
/// ```
#[define]
fn norm(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    reduce(&tensor, None, "norm", |tensor, dim| tensor.sqr()?.sum(dim)?.sqrt())
}

/// Where the greatest number is: its place in row-major order, or along one dimension.
///
/// ```rhai
/// argmax(tensor([1, 6, 2]))
/// ```
#[define]
fn argmax(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all: then the result is an integer.
    #[default]
    dim: Option<i64>,
) -> Result<Dynamic> {
    extreme(&tensor, dim, "argmax", |tensor, dim| tensor.argmax(dim))
}

/// Where the least number is: its place in row-major order, or along one dimension.
///
/// ```rhai
/// argmin(tensor([1, 6, 2]))
/// ```
#[define]
fn argmin(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension to reduce; -1 is the last. Without it, all: then the result is an integer.
    #[default]
    dim: Option<i64>,
) -> Result<Dynamic> {
    extreme(&tensor, dim, "argmin", |tensor, dim| tensor.argmin(dim))
}

fn extreme(
    tensor: &TensorValue,
    dim: Option<i64>,
    function: &str,
    operation: impl Fn(&Tensor, usize) -> candle_core::Result<Tensor>,
) -> Result<Dynamic> {
    if tensor.values()?.iter().any(|value| value.is_nan()) {
        let error =
            Error::new(Kind::Tensor, format!("{function}: the tensor holds NaN, which is neither more nor less"));
        return Err(error.at_argument("tensor"));
    }
    let places = reduce(tensor, dim, function, operation)?;
    Ok(if dim.is_none() { (places.number()? as i64).into_value() } else { places.into_value() })
}
