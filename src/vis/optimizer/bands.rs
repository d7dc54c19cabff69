//! Ascent in which every scale of the image grows as fast as `weights` say.

use candle_core::Tensor;

use super::Optimizer;
use crate::error::Result;
use crate::tensor::zip;
use crate::vis::laplacian::{BAND_WEIGHTS, CHROMA, normalised};

/// Steps of `step_size` × the gradient normalised over a Laplacian pyramid ([`normalised`]); the parameters are images
/// `[N, 3, h, w]`.
#[derive(Clone, Debug)]
pub struct Bands {
    /// The change in one step, in standard deviations of a band; for pixels in units from 0 to 1.
    pub step_size: f64,
    /// How much each band of the pyramid counts, finest first.
    pub weights: Vec<f32>,
    /// How much colour counts beside brightness.
    pub chroma: f32,
}

impl Bands {
    /// With the default weights: the finest details count less, colour about a third.
    pub fn new(step_size: f64) -> Self {
        Self { step_size, weights: BAND_WEIGHTS.to_vec(), chroma: CHROMA }
    }
}

impl Optimizer for Bands {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let rate = self.step_size as f32;
        zip(values, &normalised(gradient, &self.weights, self.chroma)?, |value, slope| value + slope * rate)
    }
}
