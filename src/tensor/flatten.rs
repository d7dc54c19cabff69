//! One row of numbers per image.

use candle_core::Tensor;

use crate::error::Result;

/// `[N, C, H, W]` as `[N, C·H·W]`, in that order.
pub fn flatten(x: &Tensor) -> Result<Tensor> {
    Ok(x.flatten_from(1)?)
}
