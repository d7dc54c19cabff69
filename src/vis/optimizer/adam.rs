//! Adam: steps of about one size for each parameter, whatever the size of its gradient.

use candle_core::Tensor;

use super::Optimizer;
use super::momentum::blended;
use crate::error::Result;

/// Adam uphill, as `torch.optim.Adam(lr=step_size)` (Kingma and Ba, 2015, arXiv:1412.6980): means of the gradient and
/// of its square with decays of 0.9 and 0.999, both corrected for their start at 0, and ε = 10⁻⁸ beside the root.
///
/// A copy remembers what the original does, so an ascent that was interrupted goes on from it as if it had not been.
#[derive(Clone, Debug)]
pub struct Adam {
    /// About how far one step moves a parameter, in its units. Lucid takes 0.05 for Fourier parameters.
    pub step_size: f64,
    /// The decays of the means of the gradient and of its square, from 0 up to 1.
    pub decays: [f64; 2],
    /// What is added to the root of the mean square.
    pub epsilon: f64,
    steps: i32,
    /// The means of the gradient and of its square.
    means: Option<[Tensor; 2]>,
}

impl Adam {
    /// PyTorch's defaults, with no steps taken.
    pub fn new(step_size: f64) -> Self {
        Self { step_size, decays: [0.9, 0.999], epsilon: 1e-8, steps: 0, means: None }
    }
}

/// The means of a gradient and of its square, brought forward by one step.
///
/// # Errors
/// The gradient has another shape than those before.
pub(super) fn means(before: Option<&[Tensor; 2]>, gradient: &Tensor, decays: [f64; 2]) -> Result<[Tensor; 2]> {
    let [first, second] = decays.map(|decay| decay as f32);
    let [new_first, new_second] = decays.map(|decay| (1.0 - decay) as f32);
    let zeros;
    let [mean, square] = match before {
        Some(means) => means,
        None => {
            let zero = gradient.detach().zeros_like()?;
            zeros = [zero.clone(), zero];
            &zeros
        }
    };
    Ok([
        blended(mean, gradient, |mean, slope| first * mean + new_first * slope)?,
        blended(square, gradient, |square, slope| second * square + new_second * slope * slope)?,
    ])
}

impl Optimizer for Adam {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let steps = self.steps.saturating_add(1);
        let means = means(self.means.as_ref(), gradient, self.decays)?;
        // how much of the means is still the zeros that they started from
        let [first, second] = self.decays.map(|decay| 1.0 - decay.powi(steps));
        let (rate, root, epsilon) = ((self.step_size / first) as f32, second.sqrt() as f32, self.epsilon as f32);
        let change = blended(&means[0], &means[1], |mean, square| rate * mean / (square.sqrt() / root + epsilon))?;
        let moved = blended(values, &change, |value, change| value + change)?;
        (self.steps, self.means) = (steps, Some(means));
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refuses, assert_sequence};
    use super::*;

    #[test]
    fn steps_equal_those_of_pytorch() {
        // tools/golden/optimizers.py
        assert_sequence(Adam::new(0.05), [0.885_641_3, -1.067_565_3, 2.0, 0.455_101_85]);
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_refuses(Adam::new(0.05));
    }
}
