//! Shapes: looking at them and changing them.

use candle_core::Tensor;

use super::TensorValue;
use super::create::is_reasonable;
use super::dims::{dimension, dimension_at};
use super::indexing::part;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject, function};

/// The sizes of a tensor, one for each dimension.
///
/// ```rhai
/// zeros([2, 3]).shape
/// ```
#[function(property)]
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
#[function]
fn item(
    /// The tensor.
    tensor: TensorValue,
) -> Result<f64> {
    tensor.number().map_err(|error| error.at_argument("tensor"))
}

/// The numbers of a tensor as nested lists, one level for each dimension; a tensor without dimensions is its number.
///
/// ```rhai
/// tensor([[1, 2], [3, 4]]).to_list()
/// ```
#[function]
fn to_list(
    /// The tensor.
    tensor: TensorValue,
) -> Result<Dynamic> {
    let dims = tensor.inner().dims();
    let count = dims.iter().try_fold(1usize, |product, size| product.checked_mul((*size).max(1)));
    if count.is_none_or(|count| count > LONGEST_LIST) {
        let message = format!("to_list: a tensor of shape {dims:?} is too large for lists");
        let hint = format!("they hold at most {LONGEST_LIST} numbers");
        return Err(Error::new(Kind::Tensor, message).with_hint(hint).at_argument("tensor"));
    }
    Ok(nested(&tensor.values()?, dims))
}

/// A number of a list takes four times the memory of a number of a tensor.
const LONGEST_LIST: usize = 1 << 26;

fn nested(values: &[f32], shape: &[usize]) -> Dynamic {
    let Some((size, inner)) = shape.split_first() else {
        return Dynamic::from(values.first().copied().map(f64::from).unwrap_or_default());
    };
    let length = inner.iter().product::<usize>();
    Dynamic::from_array((0..*size).map(|i| nested(&values[i * length..(i + 1) * length], inner)).collect())
}

/// Sizes, of which one may be -1: it is what the others leave over.
struct NewShape(Vec<i64>);

impl FromValue for NewShape {
    const EXPECTED: &'static str = "a list of sizes";
    const TYPES: &'static [&'static str] = &["list", "integer"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let sizes = if value.is_int() { vec![i64::from_value(value)?] } else { Vec::<i64>::from_value(value)? };
        let bad = sizes.iter().find(|size| **size < -1);
        if let Some(size) = bad {
            return Err(Reject::Because(format!("holds the size {size}"), Some("sizes are at least 0, or -1".into())));
        }
        if sizes.iter().filter(|size| **size == -1).count() > 1 {
            return Err(Reject::Because("holds -1 more than once".into(), Some("only one size can be found".into())));
        }
        Ok(Self(sizes))
    }
}

impl NewShape {
    /// The sizes for a number of numbers, if they fit.
    fn resolve(&self, count: usize) -> Option<Vec<usize>> {
        let mut known = self.0.iter().filter(|size| **size >= 0);
        let known = known.try_fold(1usize, |product, size| product.checked_mul(*size as usize))?;
        let found = count.checked_div(known).filter(|found| found * known == count);
        let is_open = self.0.contains(&-1);
        let sizes = self.0.iter().map(|size| usize::try_from(*size).ok().or(found)).collect::<Option<Vec<_>>>()?;
        (is_open || known == count).then_some(sizes).filter(|sizes| is_reasonable(sizes))
    }
}

/// The same numbers in another shape. Differentiable.
///
/// ```rhai
/// tensor([1, 2, 3, 4]).reshape([2, -1])
/// ```
#[function]
fn reshape(
    /// The tensor.
    tensor: TensorValue,
    /// The new sizes, whose product is the count of the numbers; one of them may be -1, which stands for what is left.
    shape: NewShape,
) -> Result<TensorValue> {
    let (have, count) = (tensor.inner().dims(), tensor.inner().elem_count());
    let Some(sizes) = shape.resolve(count) else {
        let message = format!("reshape: the {count} numbers of shape {have:?} do not fill {:?}", shape.0);
        return Err(Error::new(Kind::Tensor, message).at_argument("shape"));
    };
    Ok(tensor.with(tensor.inner().reshape(sizes)?))
}

/// All numbers in a row, or some dimensions joined to one, as `torch.flatten`. Differentiable.
///
/// ```rhai
/// zeros([2, 3, 4]).flatten(start_dim=1).shape
/// ```
#[function]
fn flatten(
    /// The tensor.
    tensor: TensorValue,
    /// The first dimension that is joined.
    #[default(0)]
    start_dim: i64,
    /// The last dimension that is joined; -1 is the last.
    #[default(-1)]
    end_dim: i64,
) -> Result<TensorValue> {
    if tensor.inner().rank() == 0 {
        return Ok(tensor.with(tensor.inner().reshape(1)?));
    }
    let start = dimension_at(&tensor, start_dim, "flatten", "start_dim")?;
    let end = dimension_at(&tensor, end_dim, "flatten", "end_dim")?;
    if start > end {
        let message = format!("flatten: `start_dim` ({start_dim}) is behind `end_dim` ({end_dim})");
        return Err(Error::new(Kind::Argument, message).at_argument("start_dim"));
    }
    Ok(tensor.with(tensor.inner().flatten(start, end)?))
}

/// Without dimensions of size 1, or without one of them. Differentiable.
///
/// ```rhai
/// zeros([1, 3, 1]).squeeze().shape
/// ```
#[function]
fn squeeze(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension to leave out, of size 1; -1 is the last. Without it, all of size 1.
    #[default]
    dim: Option<i64>,
) -> Result<TensorValue> {
    let dims = tensor.inner().dims();
    let Some(dim) = dim else {
        let kept: Vec<usize> = dims.iter().copied().filter(|size| *size != 1).collect();
        return Ok(tensor.with(tensor.inner().reshape(kept)?));
    };
    let dim = dimension(&tensor, dim, "squeeze")?;
    if dims[dim] != 1 {
        let message = format!("squeeze: the dimension {dim} of shape {dims:?} has the size {}, not 1", dims[dim]);
        return Err(Error::new(Kind::Argument, message).at_argument("dim"));
    }
    Ok(tensor.with(tensor.inner().squeeze(dim)?))
}

/// With a new dimension of size 1. Differentiable.
///
/// ```rhai
/// zeros([2, 3]).unsqueeze(0).shape
/// ```
#[function]
fn unsqueeze(
    /// The tensor.
    tensor: TensorValue,
    /// Where the new dimension stands in the result; -1 is the last place.
    dim: i64,
) -> Result<TensorValue> {
    let rank = tensor.inner().rank() as i64;
    let place = if dim < 0 { dim + rank + 1 } else { dim };
    if !(0..=rank).contains(&place) {
        let message = format!("unsqueeze: there is no place {dim} in a shape like {:?}", tensor.inner().dims());
        let hint = format!("they go from 0 to {rank}, or from -{} to -1", rank + 1);
        return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("dim"));
    }
    Ok(tensor.with(tensor.inner().unsqueeze(place as usize)?))
}

/// The dimensions in another order. Differentiable.
///
/// ```rhai
/// zeros([2, 3, 4]).permute([2, 0, 1]).shape
/// ```
#[function]
fn permute(
    /// The tensor.
    tensor: TensorValue,
    /// Which dimension of the tensor stands at each place, each once.
    dims: Vec<i64>,
) -> Result<TensorValue> {
    let found: Result<Vec<usize>> = dims.iter().map(|dim| dimension_at(&tensor, *dim, "permute", "dims")).collect();
    let found = found?;
    let mut sorted = found.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..tensor.inner().rank()) {
        let message =
            format!("permute: {dims:?} does not name each dimension of shape {:?} once", tensor.inner().dims());
        return Err(Error::new(Kind::Argument, message).at_argument("dims"));
    }
    Ok(tensor.with(tensor.inner().permute(found)?.contiguous()?))
}

/// Two dimensions swapped. Differentiable.
///
/// ```rhai
/// zeros([2, 3]).transpose(0, 1).shape
/// ```
#[function]
fn transpose(
    /// The tensor.
    tensor: TensorValue,
    /// One dimension; -1 is the last.
    dim0: i64,
    /// The other dimension.
    dim1: i64,
) -> Result<TensorValue> {
    let first = dimension_at(&tensor, dim0, "transpose", "dim0")?;
    let second = dimension_at(&tensor, dim1, "transpose", "dim1")?;
    Ok(tensor.with(tensor.inner().transpose(first, second)?.contiguous()?))
}

/// One slice of a tensor along its first dimension: of activations, the map of one channel. Differentiable.
///
/// ```rhai
/// tensor([[1, 2, 3], [4, 5, 6]]).slice(1)
/// ```
#[function(name = "slice")]
fn slice_one(
    /// The tensor.
    tensor: TensorValue,
    /// Which one, from 0.
    #[range(0..)]
    index: usize,
) -> Result<TensorValue> {
    let count = tensor.inner().dims().first().copied().unwrap_or(0);
    if index < count {
        return Ok(tensor.with(tensor.inner().get(index)?));
    }
    let message = format!(
        "slice: a tensor of shape {:?} has slices 0 to {}, no {index}",
        tensor.inner().dims(),
        count as i64 - 1
    );
    Err(Error::new(Kind::Tensor, message).at_argument("index"))
}

/// A part of a tensor along one dimension. Differentiable.
///
/// ```rhai
/// tensor([[1, 2, 3], [4, 5, 6]]).slice(1, 0, 2)
/// ```
#[function]
fn slice(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension; -1 is the last.
    dim: i64,
    /// The first place; negative ones count from the back.
    start: i64,
    /// The place behind the last, above `start`.
    end: i64,
) -> Result<TensorValue> {
    let dim = dimension(&tensor, dim, "slice")?;
    let mut indices = vec![Dynamic::UNIT; dim];
    indices.push(Dynamic::from(start..end));
    part(&tensor, &indices).map_err(|error| error.context("slice").at_argument("start"))
}

/// Tensors joined along a dimension they already have. Differentiable.
///
/// ```rhai
/// concat([ones([1, 2]), zeros([1, 2])])
/// ```
#[function]
fn concat(
    /// The tensors, at least one, of equal sizes in all other dimensions.
    tensors: Vec<TensorValue>,
    /// The dimension; -1 is the last.
    #[default(0)]
    dim: i64,
) -> Result<TensorValue> {
    joined(&tensors, dim, "concat", &tensors)
}

/// Tensors of one shape joined along a new dimension. Differentiable.
///
/// ```rhai
/// stack([ones([2]), zeros([2])]).shape
/// ```
#[function]
fn stack(
    /// The tensors, at least one, all of one shape.
    tensors: Vec<TensorValue>,
    /// Where the new dimension stands in the result; -1 is the last place.
    #[default(0)]
    dim: i64,
) -> Result<TensorValue> {
    let raised: Result<Vec<TensorValue>> = tensors.iter().map(|tensor| unsqueeze(tensor.clone(), dim)).collect();
    joined(&raised?, dim, "stack", &tensors)
}

/// Joins tensors along a dimension; `given` are the ones that an error mentions.
fn joined(tensors: &[TensorValue], dim: i64, function: &str, given: &[TensorValue]) -> Result<TensorValue> {
    let Some(first) = tensors.first() else {
        return Err(Error::new(Kind::Argument, format!("{function}: the list is empty")).at_argument("tensors"));
    };
    let dim = dimension(first, dim, function)?;
    let inner: Vec<&Tensor> = tensors.iter().map(TensorValue::inner).collect();
    Tensor::cat(&inner, dim).map(TensorValue::from).map_err(|_| {
        let shapes: Vec<String> = given.iter().take(8).map(|tensor| format!("{:?}", tensor.inner().dims())).collect();
        let message = format!("{function}: the shapes {} do not fit", shapes.join(", "));
        Error::new(Kind::Tensor, message).at_argument("tensors")
    })
}
