//! The rectifier, and the rules by which gradients pass it.

use candle_core::Tensor;

use super::with_backward;
use crate::error::Result;

/// What the backward pass of a ReLU lets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReluRule {
    /// The derivative: the gradient where the input was positive.
    #[default]
    Plain,
    /// Guided backpropagation (Springenberg et al., 2015, arXiv:1412.6806): where the input and the gradient
    /// are both positive.
    Guided,
    /// The deconvnet (Zeiler & Fergus, 2014, arXiv:1311.2901): where the gradient is positive, whatever the
    /// input was.
    Deconvnet,
}

/// max(x, 0) of any shape; its gradient follows `rule`.
pub fn relu(x: &Tensor, rule: ReluRule) -> Result<Tensor> {
    let y = x.detach().relu()?;
    if !x.track_op() {
        return Ok(y);
    }
    let positive = y.gt(0f32)?;
    with_backward(x, y, move |gradient| {
        let open = |gradient: &Tensor| positive.where_cond(gradient, &gradient.zeros_like()?);
        Ok(match rule {
            ReluRule::Plain => open(gradient)?,
            ReluRule::Guided => open(&gradient.relu()?)?,
            ReluRule::Deconvnet => gradient.relu()?,
        })
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn gradient(rule: ReluRule) -> Vec<f32> {
        let x = Var::new(&[-1f32, 0.0, 2.0, 3.0, -4.0], &Device::Cpu).unwrap();
        let weights = Tensor::new(&[1f32, 5.0, -2.0, 3.0, -6.0], &Device::Cpu).unwrap();
        let y = relu(&x, rule).unwrap();
        assert_eq!(y.to_vec1::<f32>().unwrap(), [0.0, 0.0, 2.0, 3.0, 0.0]);
        let grads = (y * weights).unwrap().sum_all().unwrap().backward().unwrap();
        grads.get(&x).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn rules_gate_the_gradient() {
        assert_eq!(gradient(ReluRule::Plain), [0.0, 0.0, -2.0, 3.0, 0.0]);
        assert_eq!(gradient(ReluRule::Guided), [0.0, 0.0, 0.0, 3.0, 0.0]);
        assert_eq!(gradient(ReluRule::Deconvnet), [1.0, 5.0, 0.0, 3.0, 0.0]);
    }
}
