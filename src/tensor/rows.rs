//! The numbers of a tensor as rows along some of its dimensions.

use candle_core::Tensor;

use crate::error::Result;

/// The shape without the reduced dimensions, or with 1 in their places.
pub(super) fn reduced_shape(shape: &[usize], dims: &[usize], keepdim: bool) -> Vec<usize> {
    let sizes = shape.iter().enumerate().filter(|(dim, _)| keepdim || !dims.contains(dim));
    sizes.map(|(dim, size)| if dims.contains(&dim) { 1 } else { *size }).collect()
}

/// The numbers of a tensor in rows that run along these dimensions: how many numbers a row has, and all rows.
///
/// # Errors
/// There are no such dimensions.
pub(super) fn rows(x: &Tensor, dims: &[usize]) -> Result<(usize, Tensor)> {
    let kept = (0..x.rank()).filter(|dim| !dims.contains(dim));
    let order: Vec<usize> = kept.chain(dims.iter().copied()).collect();
    let length = dims.iter().map(|dim| x.dims()[*dim]).product();
    let x = x.detach();
    let x = if order.is_sorted() { x } else { x.permute(order)? };
    Ok((length, x.contiguous()?))
}
