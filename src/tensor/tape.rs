//! Backward rules of our own on candle's tape.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, MetalStorage, Shape, Tensor};

use crate::error::Result;

/// Links `y`, already computed from `x`, to `x` on candle's tape.
///
/// `backward` maps the gradient of `y` (of `y`'s shape) to the gradient of `x` (of `x`'s shape). `y` must not
/// be on the tape itself: compute it from `x.detach()`. If nothing asks for a gradient of `x`, `y` comes back
/// as it is, at no cost; otherwise its storage is copied once.
pub fn with_backward(
    x: &Tensor,
    y: Tensor,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    if !x.track_op() {
        return Ok(y);
    }
    let y = if y.is_contiguous() && y.layout().start_offset() == 0 { y } else { y.copy()?.contiguous()? };
    let linked = x.apply_op2(&y.detach(), Linked { backward })?;
    Ok(linked)
}

/// An operation of (x, y) that returns y and sends gradients to x alone.
struct Linked<B> {
    backward: B,
}

impl<B: Fn(&Tensor) -> Result<Tensor>> CustomOp2 for Linked<B> {
    fn name(&self) -> &'static str {
        "with_backward"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        y: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        y: &CudaStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        y: &MetalStorage,
        layout: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        Ok((y.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        _y: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some((self.backward)(gradient)?), None))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::error::{Error, Kind};

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
