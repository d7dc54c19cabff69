//! Adam on the bands of a Laplacian pyramid: whole forms move as fast as details.

use candle_core::Tensor;

use super::{Adam, Optimizer};
use crate::error::Result;
use crate::tensor::{mean_abs, zip};
use crate::vis::color::same_shape;
use crate::vis::pyramid::Pyramid;

/// Adam's ε as a share of the mean slope of the first gradient, whatever its unit: slopes far below that move little.
const EPSILON: f64 = 2e-3;

/// Adam whose parameters are the bands of an image's Laplacian pyramid instead of its pixels `[N, 3, h, w]`: a step is the sum
/// of the bands' steps, each enlarged to the image.
///
/// Adam's step hardly depends on the size of a gradient, so that pixel by pixel, where a network sees next to nothing, it is
/// noise and the grid of the network's strides. A coarse band gathers the gradient of many pixels, in which such noise cancels.
#[derive(Clone, Debug)]
pub struct PyramidAdam {
    /// About how far one step moves each band, in units from 0 to 1.
    pub step_size: f64,
    /// How many bands below the finest.
    pub levels: usize,
    /// The pyramid of the image, and what each band remembers.
    bands: Option<(Pyramid, Vec<Adam>)>,
}

impl PyramidAdam {
    /// With no steps taken.
    pub fn new(step_size: f64, levels: usize) -> Self {
        Self { step_size, levels, bands: None }
    }
}

impl Optimizer for PyramidAdam {
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let (pyramid, mut bands) = match &self.bands {
            Some(bands) => bands.clone(),
            None => {
                let (_, _, height, width) = values.dims4()?;
                let pyramid = Pyramid::new([height, width], self.levels)?;
                let mut adam = Adam::new(self.step_size);
                adam.epsilon = (EPSILON * mean_abs(gradient)?).max(f64::from(f32::MIN_POSITIVE));
                let bands = vec![adam; pyramid.sizes().len()];
                (pyramid, bands)
            }
        };
        let gradients = pyramid.merge_adjoint(gradient)?;
        let steps =
            bands.iter_mut().zip(&gradients).map(|(band, gradient)| band.step(&gradient.zeros_like()?, gradient));
        let change = pyramid.merge(&steps.collect::<Result<Vec<_>>>()?)?;
        same_shape(values, &change)?;
        let moved = zip(values, &change, |value, change| value + change)?;
        self.bands = Some((pyramid, bands));
        Ok(moved)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, random, rng, values};

    #[test]
    fn without_levels_it_is_adam() {
        let mut rng = rng(1);
        let (mut ours, mut adam) = (PyramidAdam::new(0.05, 0), Adam::new(0.05));
        let mut x = random(&mut rng, (1, 3, 9, 7));
        for step in 0..5 {
            let gradient = random(&mut rng, (1, 3, 9, 7));
            if step == 0 {
                adam.epsilon = EPSILON * mean_abs(&gradient).unwrap();
            }
            let moved = ours.step(&x, &gradient).unwrap();
            assert_close(&values(&moved), &values(&adam.step(&x, &gradient).unwrap()), 1e-6, "a step");
            x = moved;
        }
    }

    /// A gradient whose sign alternates from pixel to pixel moves the finest band alone; an even one moves all.
    #[test]
    fn noise_moves_one_band_and_forms_move_all() {
        let mut rng = rng(2);
        let x = random(&mut rng, (1, 3, 32, 32)).zeros_like().unwrap();
        let noise: Vec<f32> = (0..3 * 32 * 32).map(|i| if (i + i / 32) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let noise = Tensor::from_vec(noise, (1, 3, 32, 32), x.device()).unwrap();
        let middle = |moved: &Tensor| values(&moved.narrow(2, 16, 1).unwrap().narrow(3, 15, 2).unwrap());
        let even = PyramidAdam::new(0.01, 3).step(&x, &x.ones_like().unwrap()).unwrap();
        for value in middle(&even) {
            assert!((value - 0.04).abs() < 2e-3, "{value}");
        }
        // 0.01 up and down: what the coarser bands add is the same for both
        let moved = middle(&PyramidAdam::new(0.01, 3).step(&x, &noise).unwrap());
        assert!(((moved[0] - moved[1]).abs() - 0.02).abs() < 4e-3, "{moved:?}");
    }

    #[test]
    fn copies_go_on_alike_and_other_shapes_are_refused() {
        let mut rng = rng(3);
        let (x, gradient) = (random(&mut rng, (1, 3, 8, 8)), random(&mut rng, (1, 3, 8, 8)));
        let mut one = PyramidAdam::new(0.01, 2);
        let x = one.step(&x, &gradient).unwrap();
        let mut other = one.clone();
        assert!(one.step(&x, &random(&mut rng, (1, 3, 8, 9))).is_err());
        assert_eq!(values(&one.step(&x, &gradient).unwrap()), values(&other.step(&x, &gradient).unwrap()));
    }
}
