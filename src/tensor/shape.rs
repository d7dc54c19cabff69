//! Shapes: looking at them, changing them, taking parts.

use std::ops::{Range, RangeInclusive};

use candle_core::Tensor;
use rhai::{Array, Engine, EvalAltResult, Position};

use super::TensorValue;
use super::create::Shape;
use super::reduce::dimension;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, Extension, define, describe};

inventory::submit! { Extension(indexing) }

/// `t[i]`, `t[a..b]` and `t[[i, a..b, ()]]`, one entry for each dimension.
fn indexing(engine: &mut Engine) {
    engine.register_indexer_get(|tensor: &mut TensorValue, index: i64| index_by(tensor, &[Dynamic::from(index)]));
    engine
        .register_indexer_get(|tensor: &mut TensorValue, range: Range<i64>| index_by(tensor, &[Dynamic::from(range)]));
    engine.register_indexer_get(|tensor: &mut TensorValue, range: RangeInclusive<i64>| {
        index_by(tensor, &[Dynamic::from(range)])
    });
    engine.register_indexer_get(|tensor: &mut TensorValue, indices: Array| index_by(tensor, &indices));
}

fn index_by(tensor: &TensorValue, indices: &[Dynamic]) -> Result<TensorValue, Box<EvalAltResult>> {
    take(tensor, indices).map_err(|error| Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE)))
}

/// Integers drop their dimension, ranges and `()` keep it.
fn take(tensor: &TensorValue, indices: &[Dynamic]) -> Result<TensorValue> {
    let dims = tensor.inner().dims().to_vec();
    if indices.len() > dims.len() {
        let message = format!("{} indices for a tensor of shape {dims:?}", indices.len());
        return Err(Error::new(Kind::Argument, message));
    }
    let mut part: Tensor = tensor.inner().clone();
    let mut at = 0;
    for (index, size) in indices.iter().zip(&dims) {
        if index.is_unit() {
            at += 1;
        } else if let Ok(number) = index.as_int() {
            let place = within(number, *size, &dims)?;
            part = part.narrow(at, place, 1)?.squeeze(at)?;
        } else {
            let (start, end) = bounds(index)?;
            let start = within_end(start, *size, &dims)?;
            let end = within_end(end, *size, &dims)?;
            if start >= end {
                return Err(Error::new(Kind::Argument, format!("the range {start}..{end} is empty")));
            }
            part = part.narrow(at, start, end - start)?;
            at += 1;
        }
    }
    Ok(part.into())
}

fn bounds(index: &Dynamic) -> Result<(i64, i64)> {
    if let Some(range) = index.clone().try_cast::<Range<i64>>() {
        return Ok((range.start, range.end));
    }
    if let Some(range) = index.clone().try_cast::<RangeInclusive<i64>>() {
        return Ok((*range.start(), range.end().saturating_add(1)));
    }
    let message = format!("a tensor is indexed by an integer, a range or (), not {}", describe(index));
    Err(Error::new(Kind::Argument, message))
}

fn within(index: i64, size: usize, dims: &[usize]) -> Result<usize> {
    let found = if index < 0 { size as i64 + index } else { index };
    usize::try_from(found).ok().filter(|place| *place < size).ok_or_else(|| {
        let message = format!("the index {index} is outside a tensor of shape {dims:?}");
        Error::new(Kind::Argument, message).with_hint(format!("it goes from 0 to {}", size as i64 - 1))
    })
}

fn within_end(index: i64, size: usize, dims: &[usize]) -> Result<usize> {
    let found = if index < 0 { size as i64 + index } else { index };
    usize::try_from(found).ok().filter(|place| *place <= size).ok_or_else(|| {
        let message = format!("the range ends at {index}, outside a tensor of shape {dims:?}");
        Error::new(Kind::Argument, message).with_hint(format!("it goes up to {size}"))
    })
}

/// The sizes of a tensor, one for each dimension.
///
/// ```rhai
/// zeros([2, 3]).shape
/// ```
#[define(property)]
fn shape(
    /// The tensor.
    tensor: TensorValue,
) -> Result<Vec<usize>> {
    Ok(tensor.inner().dims().to_vec())
}

/// The number of a tensor that has just one.
///
/// ```rhai
/// tensor([1, 2]).sum().item()
/// ```
#[define]
fn item(
    /// The tensor.
    tensor: TensorValue,
) -> Result<f64> {
    tensor.number().map_err(|error| error.at_argument("tensor"))
}

/// The numbers of a tensor as a flat list.
///
/// ```rhai
/// tensor([[1, 2], [3, 4]]).to_list()
/// ```
#[define]
fn to_list(
    /// The tensor.
    tensor: TensorValue,
) -> Result<Vec<f64>> {
    Ok(tensor.values()?.into_iter().map(f64::from).collect())
}

/// The same numbers in another shape.
///
/// ```rhai
/// tensor([1, 2, 3, 4]).reshape([2, 2])
/// ```
#[define]
fn reshape(
    /// The tensor.
    tensor: TensorValue,
    /// The new sizes.
    shape: Shape,
) -> Result<TensorValue> {
    tensor.inner().reshape(shape.0.as_slice()).map(TensorValue::from).map_err(|_| {
        let (have, count) = (tensor.inner().dims(), tensor.inner().elem_count());
        let message = format!("reshape: the {count} numbers of shape {have:?} do not fill {:?}", shape.0);
        Error::new(Kind::Tensor, message).at_argument("shape")
    })
}

/// Two dimensions swapped.
///
/// ```rhai
/// zeros([2, 3]).transpose(0, 1).shape
/// ```
#[define]
fn transpose(
    /// The tensor.
    tensor: TensorValue,
    /// One dimension.
    first: i64,
    /// The other.
    second: i64,
) -> Result<TensorValue> {
    let first = dimension(&tensor, first, "transpose").map_err(|error| error.at_argument("first"))?;
    let second = dimension(&tensor, second, "transpose").map_err(|error| error.at_argument("second"))?;
    Ok(tensor.inner().transpose(first, second)?.contiguous()?.into())
}

/// A part of a tensor along one dimension.
///
/// ```rhai
/// tensor([[1, 2, 3], [4, 5, 6]]).slice(1, 0, 2)
/// ```
#[define]
fn slice(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension.
    dim: i64,
    /// The first place.
    start: i64,
    /// The place behind the last.
    end: i64,
) -> Result<TensorValue> {
    let dim = dimension(&tensor, dim, "slice")?;
    let mut indices = vec![Dynamic::UNIT; dim];
    indices.push(Dynamic::from(start..end));
    take(&tensor, &indices).map_err(|error| error.context("slice").at_argument("start"))
}

/// Tensors joined along a dimension they already have.
///
/// ```rhai
/// concat([ones([1, 2]), zeros([1, 2])])
/// ```
#[define]
fn concat(
    /// The tensors.
    tensors: Vec<TensorValue>,
    /// The dimension; -1 is the last.
    #[default(0)]
    dim: i64,
) -> Result<TensorValue> {
    joined(&tensors, dim, "concat", |tensors, dim| Tensor::cat(tensors, dim))
}

/// Tensors of one shape joined along a new first dimension.
///
/// ```rhai
/// stack([ones([2]), zeros([2])]).shape
/// ```
#[define]
fn stack(
    /// The tensors.
    tensors: Vec<TensorValue>,
) -> Result<TensorValue> {
    joined(&tensors, 0, "stack", |tensors, _| Tensor::stack(tensors, 0))
}

fn joined(
    tensors: &[TensorValue],
    dim: i64,
    function: &str,
    join: impl Fn(&[&Tensor], usize) -> candle_core::Result<Tensor>,
) -> Result<TensorValue> {
    let Some(first) = tensors.first() else {
        return Err(Error::new(Kind::Argument, format!("{function}: the list is empty")).at_argument("tensors"));
    };
    let dim = dimension(first, dim, function)?;
    let inner: Vec<&Tensor> = tensors.iter().map(TensorValue::inner).collect();
    join(&inner, dim).map(TensorValue::from).map_err(|_| {
        let shapes: Vec<String> = inner.iter().take(8).map(|tensor| format!("{:?}", tensor.dims())).collect();
        let message = format!("{function}: the shapes {} do not fit", shapes.join(", "));
        Error::new(Kind::Tensor, message).at_argument("tensors")
    })
}
