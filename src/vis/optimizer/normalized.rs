//! Normalised gradient ascent: every step changes the parameters by the same amount, whatever the size of the gradient
//! (the step rule of the DeepDream notebook, google/deepdream).

use candle_core::Tensor;

use super::Optimizer;
use crate::error::Result;
use crate::tensor::{mean_abs, zip};

/// Steps whose mean magnitude is `step_size`.
#[derive(Clone, Copy, Debug)]
pub struct Normalized {
    /// The mean change of a parameter in one step; for pixels in units from 0 to 1.
    pub step_size: f64,
}

impl Optimizer for Normalized {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let mean = mean_abs(gradient)?;
        // a layer that answers nothing at all has no direction to climb
        let rate = if mean > 0.0 { (self.step_size / mean) as f32 } else { 0.0 };
        zip(values, gradient, |value, slope| value + slope * rate)
    }
}
