//! Order along a dimension: sorting, the greatest numbers, picking by indices, running sums.

use std::cmp::Ordering;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use rhai::Map;

use super::cpu::with_values;
use super::dims::dimension;
use super::{TensorValue, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::{IntoValue, function};

/// The largest integer up to which a tensor holds every one exactly.
const LARGEST_PLACE: usize = 1 << 24;

/// Places along a dimension of this size must be numbers that a tensor can hold.
///
/// # Errors
/// They are not.
pub(super) fn check_places(size: usize, function: &str) -> Result<()> {
    if size <= LARGEST_PLACE {
        return Ok(());
    }
    let message = format!("{function}: a dimension of {size} numbers has more places than a tensor can name");
    let hint = format!("indices are 32-bit floats, which are exact up to {LARGEST_PLACE}");
    Err(Error::new(Kind::Tensor, message).with_hint(hint).at_argument("tensor"))
}

/// The numbers at these places (u32, in row-major order), in the shape of `places`; differentiable.
///
/// # Errors
/// `x` holds no float32 values, or a place is outside.
pub(super) fn pick(x: &Tensor, places: &Tensor) -> Result<Tensor> {
    let shape = places.dims().to_vec();
    let places: Vec<u32> = places.flatten_all()?.to_vec1()?;
    let picked: Option<Vec<f32>> =
        with_values(&x.detach(), |values| places.iter().map(|place| values.get(*place as usize).copied()).collect())?;
    let picked = picked.ok_or_else(|| Error::new(Kind::Internal, "a number is picked from outside its tensor"))?;
    let y = Tensor::from_vec(picked, shape, &Device::Cpu)?.to_device(x.device())?;
    let dims = x.dims().to_vec();
    with_backward(x, y, move |gradient| {
        let mut sums = vec![0f64; dims.iter().product()];
        with_values(gradient, |gradient| {
            places.iter().zip(gradient).for_each(|(place, g)| sums[*place as usize] += f64::from(*g));
        })?;
        let sums: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
        Ok(Tensor::from_vec(sums, dims.as_slice(), &Device::Cpu)?.to_device(gradient.device())?)
    })
}

/// Numbers along a dimension: where the first of each row is, and how far the next is from it.
struct Lines {
    size: usize,
    stride: usize,
    count: usize,
}

impl Lines {
    fn new(dims: &[usize], dim: usize) -> Self {
        let (size, stride) = (dims[dim], dims[dim + 1..].iter().product());
        Self { size, stride, count: dims[..dim].iter().product::<usize>() * stride }
    }

    /// The place of number `i` of a line.
    fn place(&self, line: usize, i: usize) -> usize {
        (line / self.stride * self.size + i) * self.stride + line % self.stride
    }
}

/// For each line along `dim` the places that come first in the order asked for, `keep` of them: as indices along the
/// dimension, and as places of the tensor.
fn ordered(x: &Tensor, dim: usize, keep: usize, descending: bool) -> Result<(Tensor, Tensor)> {
    let mut dims = x.dims().to_vec();
    let lines = Lines::new(&dims, dim);
    // NaN counts as the greatest, as in PyTorch; equal numbers keep their order
    let compare = |a: f32, b: f32| a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
    let orders: Vec<Vec<u32>> = with_values(&x.detach(), |values| {
        (0..lines.count)
            .into_par_iter()
            .map(|line| {
                let value = |i: &u32| values[lines.place(line, *i as usize)];
                let mut order: Vec<u32> = (0..lines.size as u32).collect();
                let by = |a: &u32, b: &u32| -> Ordering {
                    if descending { compare(value(b), value(a)) } else { compare(value(a), value(b)) }
                };
                order.sort_by(by);
                order.truncate(keep);
                order
            })
            .collect()
    })?;
    dims[dim] = keep;
    let kept = Lines::new(&dims, dim);
    let (mut indices, mut places) = (vec![0f32; kept.count * keep], vec![0u32; kept.count * keep]);
    for (line, order) in orders.iter().enumerate() {
        for (i, from) in order.iter().enumerate() {
            indices[kept.place(line, i)] = *from as f32;
            places[kept.place(line, i)] = lines.place(line, *from as usize) as u32;
        }
    }
    Ok((Tensor::from_vec(indices, dims.as_slice(), &Device::Cpu)?, Tensor::from_vec(places, dims, &Device::Cpu)?))
}

/// The dimension to sort along, of a size whose places a tensor can hold.
fn sortable(tensor: TensorValue, dim: i64, function: &str) -> Result<(TensorValue, usize)> {
    let dim = dimension(&tensor, dim, function)?;
    check_places(tensor.inner().dims()[dim], function)?;
    Ok((tensor, dim))
}

fn values_and_indices(x: &Tensor, (indices, places): (Tensor, Tensor)) -> Result<Map> {
    let values = TensorValue::from(pick(x, &places)?).into_value();
    Ok(Map::from([("values".into(), values), ("indices".into(), TensorValue::from(indices).into_value())]))
}

/// The numbers in order along a dimension, and where they were: a map of `values` and `indices`.
///
/// Equal numbers keep their order; NaN counts as the greatest. Gradients flow through `values`.
///
/// ```rhai
/// let sorted = sort(tensor([3, 1, 2]));
/// sorted.values;
/// sorted.indices
/// ```
#[function]
fn sort(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// The dimension to sort along; -1 is the last.
    #[default(-1)]
    dim: i64,
    /// Whether the greatest comes first.
    #[default(false)]
    descending: bool,
) -> Result<Map> {
    let (tensor, dim) = sortable(tensor, dim, "sort")?;
    let x = tensor.inner();
    values_and_indices(x, ordered(x, dim, x.dims()[dim], descending)?)
}

/// Where the numbers are in order along a dimension: `gather(t, dim, argsort(t))` is sorted.
///
/// ```rhai
/// argsort(tensor([3, 1, 2]))
/// ```
#[function]
fn argsort(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// The dimension to sort along; -1 is the last.
    #[default(-1)]
    dim: i64,
    /// Whether the greatest comes first.
    #[default(false)]
    descending: bool,
) -> Result<TensorValue> {
    let (tensor, dim) = sortable(tensor, dim, "argsort")?;
    Ok(ordered(tensor.inner(), dim, tensor.inner().dims()[dim], descending)?.0.into())
}

/// The `k` greatest numbers along a dimension, the greatest first, and where they are: a map of `values` and `indices`.
///
/// Gradients flow through `values`.
///
/// ```rhai
/// topk(tensor([3, 1, 2]), 2).values
/// ```
#[function]
fn topk(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// How many, from 0 to the size of the dimension.
    k: usize,
    /// The dimension; -1 is the last.
    #[default(-1)]
    dim: i64,
    /// Whether the greatest are taken, or else the least.
    #[default(true)]
    largest: bool,
) -> Result<Map> {
    let (tensor, dim) = sortable(tensor, dim, "topk")?;
    let x = tensor.inner();
    let size = x.dims()[dim];
    if k > size {
        let message = format!("topk: `k` is {k}, but the dimension {dim} of shape {:?} has the size {size}", x.dims());
        return Err(Error::new(Kind::Argument, message).at_argument("k"));
    }
    values_and_indices(x, ordered(x, dim, k, largest)?)
}

/// The numbers at given indices along a dimension: for two dimensions and `dim=0`, result[i][j] is
/// t[index[i][j]][j]. Differentiable.
///
/// ```rhai
/// gather(tensor([[1, 2], [3, 4]]), 1, tensor([[1], [0]]))
/// ```
#[function]
fn gather(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// The dimension that the indices count along; -1 is the last.
    dim: i64,
    /// Integers from 0 up to the size of the dimension, of as many dimensions as the tensor; along all but `dim` not
    /// more than the tensor has.
    index: TensorValue,
) -> Result<TensorValue> {
    let dim = dimension(&tensor, dim, "gather")?;
    let (dims, shape) = (tensor.inner().dims(), index.inner().dims());
    let fits = shape.len() == dims.len() && (0..dims.len()).all(|at| at == dim || shape[at] <= dims[at]);
    if !fits {
        let message = format!("gather: an index of shape {shape:?} does not fit a tensor of shape {dims:?}");
        let hint = "it has as many dimensions, and no more along those that are not gathered";
        return Err(Error::new(Kind::Tensor, message).with_hint(hint).at_argument("index"));
    }
    let mut places = Vec::with_capacity(index.inner().elem_count());
    for (at, value) in index.values()?.into_iter().enumerate() {
        if value.fract() != 0.0 || value < 0.0 || value >= dims[dim] as f32 {
            let message = format!("gather: {value} is no index into {} numbers", dims[dim]);
            let hint = "indices are integers from 0 to the size less 1";
            return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("index"));
        }
        // from the last dimension to the first
        let (mut rest, mut stride, mut place) = (at, 1, 0);
        for axis in (0..dims.len()).rev() {
            place += if axis == dim { value as usize } else { rest % shape[axis] } * stride;
            rest /= shape[axis];
            stride *= dims[axis];
        }
        places.push(place as u32);
    }
    Ok(tensor.with(pick(tensor.inner(), &Tensor::from_vec(places, shape, &Device::Cpu)?)?))
}

/// Running sums along a dimension: each number and all before it. Differentiable.
///
/// ```rhai
/// cumsum(tensor([1, 2, 3]), 0)
/// ```
#[function(name = "cumsum")]
fn cumsum_function(
    /// The tensor, of at least one dimension.
    tensor: TensorValue,
    /// The dimension to sum along; -1 is the last.
    dim: i64,
) -> Result<TensorValue> {
    let dim = dimension(&tensor, dim, "cumsum")?;
    Ok(cumsum(tensor.inner(), dim)?.into())
}

/// Running sums along `dim`, in double precision; differentiable.
///
/// # Errors
/// `x` holds no float32 values.
pub(super) fn cumsum(x: &Tensor, dim: usize) -> Result<Tensor> {
    let y = running(x, dim, false)?;
    with_backward(x, y, move |gradient| running(gradient, dim, true))
}

fn running(x: &Tensor, dim: usize, backwards: bool) -> Result<Tensor> {
    let lines = Lines::new(x.dims(), dim);
    let values = with_values(&x.detach(), |values| {
        let mut sums = values.to_vec();
        for line in 0..lines.count {
            let mut sum = 0f64;
            for i in 0..lines.size {
                let at = lines.place(line, if backwards { lines.size - 1 - i } else { i });
                sum += f64::from(values[at]);
                sums[at] = sum as f32;
            }
        }
        sums
    })?;
    Ok(Tensor::from_vec(values, x.dims(), &Device::Cpu)?.to_device(x.device())?)
}
