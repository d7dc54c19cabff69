//! Gradient ascent with momentum: steps go on in the direction of earlier ones.

use candle_core::Tensor;

use super::Optimizer;
use crate::error::{Error, Kind, Result};
use crate::tensor::zip;

/// Stochastic gradient ascent with momentum, as `torch.optim.SGD(lr=step_size, momentum=momentum)`:
/// v ← μ v + g, x ← x + η v (Polyak, 1964, in the form of Sutskever et al., 2013).
///
/// A copy remembers what the original does, so an ascent that was interrupted goes on from it as if it had not been.
#[derive(Clone, Debug)]
pub struct Momentum {
    /// The step size η: what the gradient is multiplied by, in units of the parameters per unit of the gradient.
    pub step_size: f64,
    /// The share μ of the last step that goes on, from 0 up to 1.
    pub momentum: f64,
    velocity: Option<Tensor>,
}

impl Momentum {
    /// With no steps taken.
    pub fn new(step_size: f64, momentum: f64) -> Self {
        Self { step_size, momentum, velocity: None }
    }
}

impl Optimizer for Momentum {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let momentum = self.momentum as f32;
        let velocity = match &self.velocity {
            Some(before) => blended(before, gradient, |before, slope| momentum * before + slope)?,
            None => gradient.detach(),
        };
        let step_size = self.step_size as f32;
        let moved = blended(values, &velocity, |value, velocity| value + step_size * velocity)?;
        self.velocity = Some(velocity);
        Ok(moved)
    }
}

/// `f` of each pair of numbers of two tensors of one shape.
///
/// # Errors
/// The tensors have different shapes.
pub(super) fn blended(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32 + Sync) -> Result<Tensor> {
    if a.dims() == b.dims() {
        return zip(a, b, f);
    }
    let message = format!("an optimizer that works on {:?} got a tensor of shape {:?}", a.dims(), b.dims());
    Err(Error::new(Kind::Tensor, message))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refuses, assert_sequence};
    use super::*;

    #[test]
    fn steps_equal_those_of_pytorch() {
        // tools/golden/optimizers.py
        assert_sequence(Momentum::new(0.05, 0.9), [1.276_979_8, -1.803_135_9, 2.0, 0.513_080_6]);
        assert_sequence(Momentum::new(0.05, 0.0), [0.646_448_4, -1.25, 2.0, 0.1925]);
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_refuses(Momentum::new(0.1, 0.9));
    }
}
