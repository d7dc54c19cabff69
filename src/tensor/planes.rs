//! A tensor as a stack of planes: its last two axes, however many come before them.

use candle_core::{Device, Tensor};

use super::cpu::with_values;
use super::create::check_size;
use crate::error::{Error, Kind, Result};

/// Height and width of the planes of `x`, for the operation of this name.
///
/// # Errors
/// The tensor has fewer than two axes, or its planes are empty.
pub(super) fn plane_size(x: &Tensor, operation: &str) -> Result<(usize, usize)> {
    match x.dims() {
        [.., height, width] if *height > 0 && *width > 0 => Ok((*height, *width)),
        dims => {
            let what = if dims.len() < 2 { "has no height and width" } else { "has no numbers to work on" };
            let message = format!("{operation}: a tensor of shape {dims:?} {what}");
            Err(Error::new(Kind::Tensor, message).with_hint("it takes [..., height, width]").at_argument("tensor"))
        }
    }
}

/// The shape of `x` with its last `replaced` axes replaced by others.
///
/// # Errors
/// It has more numbers than a tensor may have.
pub(super) fn with_last(x: &Tensor, replaced: usize, sizes: &[usize], operation: &str) -> Result<Vec<usize>> {
    let leading = x.dims().iter().take(x.rank().saturating_sub(replaced));
    let shape: Vec<usize> = leading.chain(sizes).copied().collect();
    check_size(&shape, operation)?;
    Ok(shape)
}

/// Makes a tensor off the tape: `fill` writes its values, zero at first, from those of `x`.
pub(super) fn compute<R>(
    x: &Tensor,
    shape: Vec<usize>,
    fill: impl FnOnce(&[f32], &mut [f32]) -> Result<R>,
) -> Result<Tensor> {
    let mut values = vec![0f32; shape.iter().product()];
    with_values(&x.detach(), |from| fill(from, &mut values))??;
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_device(x.device())?)
}
