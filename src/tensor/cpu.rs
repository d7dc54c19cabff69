//! The float32 values of a tensor, for kernels that run on the CPU.

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
