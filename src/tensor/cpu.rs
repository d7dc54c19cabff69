//! The float32 values of a tensor, for kernels that run on the CPU.
//!
//! The planned executor keeps the channels of a pixel side by side in memory. A tensor `[N, C, H, W]` may lie so too, as a view
//! of `[N, H, W, C]`: what PyTorch calls the memory format channels last.

use candle_core::{Device, Storage, Tensor};

use crate::error::{Error, Kind, Result};

/// Calls `f` with the values of `x` in row-major order, copied only if they aren't laid out so already.
pub(crate) fn with_values<R>(x: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let x = x.to_device(&Device::Cpu)?.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let values = match &*storage {
        Storage::Cpu(cpu) => cpu.as_slice::<f32>()?,
        _ => return Err(Error::new(Kind::Internal, "a tensor on the CPU has its storage elsewhere")),
    };
    let start = layout.start_offset();
    match values.get(start..start + layout.shape().elem_count()) {
        Some(values) => Ok(f(values)),
        None => Err(Error::new(Kind::Internal, "a tensor's storage is shorter than its shape")),
    }
}

/// A tensor `[N, C, H, W]` of values in the order `[N, H, W, C]`.
pub(crate) fn channels_last(values: Vec<f32>, [batch, channels, height, width]: [usize; 4]) -> Result<Tensor> {
    let rows = Tensor::from_vec(values, (batch, height, width, channels), &Device::Cpu)?;
    Ok(rows.permute((0, 3, 1, 2))?)
}

/// The view `[N, H, W, C]` of a tensor `[N, C, H, W]` whose channels lie side by side.
pub(crate) fn rows_of(x: &Tensor) -> Option<Tensor> {
    if x.rank() != 4 || x.is_contiguous() {
        return None;
    }
    x.permute((0, 2, 3, 1)).ok().filter(Tensor::is_contiguous)
}

/// Calls `f` with the values of `x` in the order in which they lie in memory, where that is one after the other.
pub(crate) fn with_any_order<R>(x: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    with_values(rows_of(x).as_ref().unwrap_or(x), f)
}
