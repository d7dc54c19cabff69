//! Normalised gradient ascent: every step changes the parameters by the same amount, whatever the size of the gradient
//! (the step rule of the DeepDream notebook, google/deepdream).

use candle_core::Tensor;

use super::Optimizer;
use crate::error::Result;
use crate::tensor::{mean_abs, zip};

/// Steps whose mean magnitude is `step_size`, for each image of a batch by itself.
#[derive(Clone, Copy, Debug)]
pub struct Normalized {
    /// The mean change of a parameter in one step; for pixels in units from 0 to 1.
    pub step_size: f64,
}

impl Optimizer for Normalized {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        if gradient.rank() == 4 && gradient.dim(0)? > 1 {
            let images = values.chunk(values.dim(0)?, 0)?.into_iter().zip(gradient.chunk(gradient.dim(0)?, 0)?);
            let moved = images.map(|(values, gradient)| self.step(&values.contiguous()?, &gradient.contiguous()?));
            return Ok(Tensor::cat(&moved.collect::<Result<Vec<_>>>()?, 0)?);
        }
        let mean = mean_abs(gradient)?;
        // a layer that answers nothing at all has no direction to climb
        let rate = if mean > 0.0 { (self.step_size / mean) as f32 } else { 0.0 };
        zip(values, gradient, |value, slope| value + slope * rate)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn an_image_of_a_batch_moves_as_it_does_alone() {
        let values = Tensor::zeros((2, 1, 1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let gradient = Tensor::new(&[[[[1f32, -3.0]]], [[[100.0, 0.0]]]], &Device::Cpu).unwrap();
        let moved = Normalized { step_size: 0.1 }.step(&values, &gradient).unwrap();
        let moved = moved.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (moved, wanted) in moved.iter().zip([0.05, -0.15, 0.2, 0.0]) {
            assert!((moved - wanted).abs() < 1e-6, "{moved} {wanted}");
        }
    }
}
