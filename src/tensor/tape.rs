//! Backward rules of our own on candle's tape.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, MetalStorage, Shape, Storage, Tensor};

use crate::error::{Error, Kind, Result};

/// Links `y`, already computed from `x`, to `x` on candle's tape.
///
/// `backward` maps the gradient of `y` (of `y`'s shape) to the gradient of `x` (of `x`'s shape). `y` must not
/// be on the tape itself: compute it from `x.detach()`. If nothing asks for a gradient of `x`, `y` comes back
/// as it is, at no cost; otherwise its values are copied once, and `y` is free when the caller has dropped it.
pub fn with_backward(
    x: &Tensor,
    y: Tensor,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !x.track_op() {
        return Ok(y);
    }
    let y = if y.is_contiguous() && y.layout().start_offset() == 0 { y } else { y.force_contiguous()? };
    Ok(x.apply_op1(Linked { y: Mutex::new(Some(y)), backward })?)
}

/// An operation whose result is known before it runs.
struct Linked<B> {
    /// Taken by the forward pass, so that the tape doesn't keep it.
    y: Mutex<Option<Tensor>>,
    backward: B,
}

impl<B> Linked<B> {
    /// The result's storage, picked out and copied by `copy`, and its shape.
    fn result<S>(
        &self,
        copy: impl FnOnce(&Storage, &Layout) -> Option<candle_core::Result<S>>,
    ) -> candle_core::Result<(S, Shape)> {
        let lost = || Error::new(Kind::Internal, "an operation's result is missing or on another device");
        let y = self.y.lock().ok().and_then(|mut y| y.take()).ok_or_else(lost)?;
        let (storage, layout) = y.storage_and_layout();
        Ok((copy(&storage, layout).ok_or_else(lost)??, layout.shape().clone()))
    }
}

impl<B: Fn(&Tensor) -> Result<Tensor>> CustomOp1 for Linked<B> {
    fn name(&self) -> &'static str {
        "with_backward"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        self.result(|y, layout| if let Storage::Cpu(y) = y { Some(y.try_clone(layout)) } else { None })
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        self.result(|y, layout| if let Storage::Cuda(y) = y { Some(y.try_clone(layout)) } else { None })
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> candle_core::Result<(MetalStorage, Shape)> {
        self.result(|y, layout| if let Storage::Metal(y) = y { Some(y.try_clone(layout)) } else { None })
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some((self.backward)(gradient)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn the_given_rule_is_the_gradient() {
        let x = Var::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        // the transposed layout of y must not get lost
        let y = (x.as_tensor().detach() * 10.0).unwrap().t().unwrap();
        let y = with_backward(&x, y, |g| Ok((g.t()? * 7.0)?)).unwrap();
        assert_eq!(y.to_vec2::<f32>().unwrap(), [[10.0, 30.0], [20.0, 40.0]]);
        let weights = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let grads = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(grads.get(&x).unwrap().to_vec2::<f32>().unwrap(), [[7.0, 21.0], [14.0, 28.0]]);
    }

    #[test]
    fn errors_of_the_rule_keep_their_kind() {
        let x = Var::new(1f32, &Device::Cpu).unwrap();
        let y = with_backward(&x, x.as_tensor().detach(), |_| Err(Error::interrupted())).unwrap();
        assert_eq!(Error::from(y.backward().unwrap_err()).kind(), Kind::Interrupted);
    }
}
