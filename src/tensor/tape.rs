//! Backward rules of our own on candle's tape.

use std::sync::Mutex;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, CustomOp3, Layout, MetalStorage, Shape, Storage, Tensor};

use crate::error::{Error, Kind, Result};

/// Maps the gradient of an operation's result to that of one of its inputs.
pub type Rule = Box<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>;

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
    with_backwards(vec![(x, Box::new(backward))], y)
}

/// Links `y`, already computed from up to three inputs, to each of them on candle's tape, as [`with_backward`] does
/// to one.
///
/// Only the rules of inputs that are on the tape ever run. More than three of those are an error.
pub fn with_backwards(inputs: Vec<(&Tensor, Rule)>, y: Tensor) -> Result<Tensor> {
    let (tracked, rules): (Vec<&Tensor>, Vec<Rule>) = inputs.into_iter().filter(|(x, _)| x.track_op()).unzip();
    if tracked.is_empty() {
        return Ok(y);
    }
    let y = if y.is_contiguous() && y.layout().start_offset() == 0 { y } else { y.force_contiguous()? };
    let linked = Linked { y: Mutex::new(Some(y)), rules };
    match tracked[..] {
        [x] => Ok(x.apply_op1(linked)?),
        // candle asks for three; one that is not on the tape has no rule and gets no gradient
        [a, b] => Ok(a.apply_op3(b, &a.detach(), linked)?),
        [a, b, c] => Ok(a.apply_op3(b, c, linked)?),
        _ => Err(Error::new(Kind::Internal, "an operation on the tape has more than three inputs")),
    }
}

/// An operation whose result is known before it runs.
struct Linked {
    /// Taken by the forward pass, so that the tape doesn't keep it.
    y: Mutex<Option<Tensor>>,
    /// One for each input that is on the tape.
    rules: Vec<Rule>,
}

impl Linked {
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

    fn on_cpu(&self) -> candle_core::Result<(CpuStorage, Shape)> {
        self.result(|y, layout| if let Storage::Cpu(y) = y { Some(y.try_clone(layout)) } else { None })
    }

    fn on_cuda(&self) -> candle_core::Result<(CudaStorage, Shape)> {
        self.result(|y, layout| if let Storage::Cuda(y) = y { Some(y.try_clone(layout)) } else { None })
    }

    fn on_metal(&self) -> candle_core::Result<(MetalStorage, Shape)> {
        self.result(|y, layout| if let Storage::Metal(y) = y { Some(y.try_clone(layout)) } else { None })
    }

    /// The gradient of one input, if it has a rule.
    fn gradient(&self, input: usize, above: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(self.rules.get(input).map(|rule| rule(above)).transpose()?)
    }
}

const NAME: &str = "with_backward";

impl CustomOp1 for Linked {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> candle_core::Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> candle_core::Result<(MetalStorage, Shape)> {
        self.on_metal()
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.gradient(0, gradient)
    }
}

/// The three gradients candle asks for.
type Three = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp3 for Linked {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> candle_core::Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> candle_core::Result<(MetalStorage, Shape)> {
        self.on_metal()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, _y: &Tensor, above: &Tensor) -> candle_core::Result<Three> {
        Ok((self.gradient(0, above)?, self.gradient(1, above)?, self.gradient(2, above)?))
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

    #[test]
    fn each_input_has_its_own_rule() {
        let numbers = [2f32, 3.0, 5.0];
        for tracked in 0..8u32 {
            let vars = numbers.map(|number| Var::new(number, &Device::Cpu).unwrap());
            let is_tracked = |i: usize| tracked >> i & 1 == 1;
            let inputs: Vec<Tensor> = (0..3)
                .map(|i| if is_tracked(i) { vars[i].as_tensor().clone() } else { vars[i].as_detached_tensor() })
                .collect();
            let with_rule = |(i, x)| -> (&Tensor, Rule) {
                let factor = 10f64.powi(i as i32);
                (x, Box::new(move |gradient: &Tensor| Ok((gradient * factor)?)))
            };
            let y = Tensor::new(30f32, &Device::Cpu).unwrap();
            let y = with_backwards(inputs.iter().enumerate().map(with_rule).collect(), y).unwrap();
            assert_eq!(y.track_op(), tracked > 0);
            let gradients = y.backward().unwrap();
            for (i, var) in vars.iter().enumerate() {
                let gradient = gradients.get(var).map(|g| g.to_scalar::<f32>().unwrap());
                assert_eq!(gradient, is_tracked(i).then_some([1.0, 10.0, 100.0][i]), "{tracked:03b}");
            }
        }
    }

    #[test]
    fn the_same_tensor_twice_gets_both_gradients() {
        let x = Var::new(3f32, &Device::Cpu).unwrap();
        let rule = |factor: f64| -> Rule { Box::new(move |gradient| Ok((gradient * factor)?)) };
        let y = Tensor::new(9f32, &Device::Cpu).unwrap();
        let y = with_backwards(vec![(&x, rule(1.0)), (&x, rule(2.0))], y).unwrap();
        assert_eq!(y.backward().unwrap().get(&x).unwrap().to_scalar::<f32>().unwrap(), 3.0);
    }

    #[test]
    fn more_than_three_inputs_are_refused() {
        let x = Var::new(3f32, &Device::Cpu).unwrap();
        let inputs = (0..4).map(|_| -> (&Tensor, Rule) { (&x, Box::new(|gradient| Ok(gradient.clone()))) }).collect();
        assert_eq!(with_backwards(inputs, x.as_detached_tensor()).unwrap_err().kind(), Kind::Internal);
    }
}
