//! Nadam: Adam that looks ahead by the momentum of its next step.

use candle_core::Tensor;

use super::Optimizer;
use super::adam::means;
use super::momentum::blended;
use crate::error::Result;

/// What the momentum is still below its decay, from step to step (Dozat, 2016).
const WARM_UP: f64 = 0.96;

/// Nadam uphill, as `keras.optimizers.Nadam(learning_rate=step_size)` (Dozat, Incorporating Nesterov Momentum into
/// Adam, 2016): decays of 0.9 and 0.999, a momentum of step t of 0.9 (1 − ½ · 0.96ᵗ), and ε = 10⁻⁷ beside the root.
///
/// MaCo takes a step size of 1 for phases. A copy remembers what the original does, so an ascent that was interrupted
/// goes on from it as if it had not been.
#[derive(Clone, Debug)]
pub struct Nadam {
    /// About how far one step moves a parameter, in its units.
    pub step_size: f64,
    /// The decays of the means of the gradient and of its square, from 0 up to 1.
    pub decays: [f64; 2],
    /// What is added to the root of the mean square.
    pub epsilon: f64,
    steps: i32,
    /// The product of the momenta of all steps so far.
    product: f64,
    /// The means of the gradient and of its square.
    means: Option<[Tensor; 2]>,
}

impl Nadam {
    /// Keras' defaults, with no steps taken.
    pub fn new(step_size: f64) -> Self {
        Self { step_size, decays: [0.9, 0.999], epsilon: 1e-7, steps: 0, product: 1.0, means: None }
    }

    fn momentum(&self, step: i32) -> f64 {
        self.decays[0] * (1.0 - 0.5 * WARM_UP.powi(step))
    }
}

impl Optimizer for Nadam {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let steps = self.steps.saturating_add(1);
        let means = means(self.means.as_ref(), gradient, self.decays)?;
        let (now, next) = (self.momentum(steps), self.momentum(steps.saturating_add(1)));
        let product = self.product * now;
        // the shares of the mean and of the gradient itself
        let mean_rate = (self.step_size * next / (1.0 - product * next)) as f32;
        let slope_rate = (self.step_size * (1.0 - now) / (1.0 - product)) as f32;
        let ahead = blended(&means[0], gradient, |mean, slope| mean_rate * mean + slope_rate * slope)?;
        let (root, epsilon) = ((1.0 - self.decays[1].powi(steps)).sqrt() as f32, self.epsilon as f32);
        let change = blended(&ahead, &means[1], |ahead, square| ahead / (square.sqrt() / root + epsilon))?;
        let moved = blended(values, &change, |value, change| value + change)?;
        (self.steps, self.product, self.means) = (steps, product, Some(means));
        Ok(moved)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refuses, assert_sequence};
    use super::*;

    #[test]
    fn steps_equal_those_of_keras() {
        // tools/golden/optimizers.py
        assert_sequence(Nadam::new(1.0), [4.939_868, -2.407_352_2, 2.0, 10.842_999]);
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_refuses(Nadam::new(1.0));
    }
}
