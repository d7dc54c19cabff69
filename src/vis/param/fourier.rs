//! Fourier: an image is the sum of waves in decorrelated colours, coarse ones louder, so that all scales are optimized
//! alike.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Param;
use super::spectrum::{Size, weighted};
use crate::error::Result;
use crate::tensor::{FftNorm, normal, rfft2};
use crate::vis::color::{LEAST, from_rgb, same_shape, to_rgb, to_rgb_adjoint};

/// The standard deviation of the waves of [`Fourier::noise`].
const DEVIATION: f32 = 0.01;

/// The spectra of an image's three decorrelated colours, `[N, 3, h, w/2 + 1, 2]`, real and imaginary parts last.
///
/// Each wave is multiplied by √(w h) / max(f, 1 / max(w, h)) for its frequency f in periods per pixel, transformed,
/// divided by 4, brought to red, green and blue by the matrix of decorrelated colours, and into 0 to 1 by a sigmoid:
/// the `fft_image` of Lucid (Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017; tensorflow/lucid,
/// `lucid/optvis/param/spatial.py`). An odd width is transformed as it is, where Lucid makes one column more and cuts
/// it off.
#[derive(Clone, Debug)]
pub struct Fourier {
    values: Tensor,
    /// What the values stand for.
    image: Tensor,
    size: Size,
    /// What each place of a spectrum is multiplied by.
    scale: Arc<Vec<f32>>,
}

impl Fourier {
    /// So many images of noise: near grey, with waves of standard deviation 0.01 that follow from the seed.
    ///
    /// # Errors
    /// The size is 0 or larger than an image may be.
    pub fn noise(images: usize, width: usize, height: usize, seed: u64) -> Result<Self> {
        let size = Size::new(width, height)?;
        let shape = (images, 3, height, size.columns(), 2);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let waves = normal(&mut random).map(|wave| DEVIATION * wave);
        let values: Vec<f32> = waves.take(images * 3 * height * size.columns() * 2).collect();
        Self::with(Tensor::from_vec(values, shape, &Device::Cpu)?, size)
    }

    /// Starts from images `[N, 3, h, w]` from 0 to 1. What is nearer to 0 or 1 than 5·10⁻⁵ counts as that near: the
    /// sigmoid comes no further, and such pixels hardly move.
    ///
    /// # Errors
    /// The tensor has another shape.
    pub fn from_image(image: &Tensor) -> Result<Self> {
        let (_, size) = Size::of(image)?;
        let spectrum = rfft2(&from_rgb(image, LEAST)?, FftNorm::Backward)?;
        let inverse: Vec<f32> = scale(size).iter().map(|scale| 1.0 / scale).collect();
        Self::with(weighted(&spectrum, &inverse)?, size)
    }

    fn with(values: Tensor, size: Size) -> Result<Self> {
        let scale = Arc::new(scale(size));
        let image = image(&values, size, &scale)?;
        Ok(Self { values, image, size, scale })
    }
}

/// What each place of a spectrum is multiplied by.
fn scale(size: Size) -> Vec<f32> {
    let [width, height] = [size.width as f64, size.height as f64];
    let lowest = 1.0 / width.max(height);
    size.frequencies().iter().map(|frequency| (0.25 * (width * height).sqrt() / frequency.max(lowest)) as f32).collect()
}

fn image(values: &Tensor, size: Size, scale: &[f32]) -> Result<Tensor> {
    to_rgb(&size.planes(&weighted(values, scale)?)?)
}

impl Param for Fourier {
    fn values(&self) -> &Tensor {
        &self.values
    }

    fn image(&self) -> Result<Tensor> {
        Ok(self.image.clone())
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        self.size.planes_adjoint(&to_rgb_adjoint(&self.image, image)?, &self.scale)
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        same_shape(&self.values, &values)?;
        self.image = image(&values, self.size, &self.scale)?;
        self.values = values;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_fits, assert_gradient, assert_returns};
    use super::*;
    use crate::tensor::testing::values;

    #[test]
    fn the_gradient_is_that_of_differences() {
        for (width, height) in [(1, 1), (4, 3), (5, 6), (8, 8)] {
            assert_gradient(&mut Fourier::noise(2, width, height, 7).unwrap());
        }
    }

    #[test]
    fn an_image_comes_back() {
        assert_returns(Fourier::from_image);
    }

    #[test]
    fn a_photograph_is_fitted() {
        assert_fits(&mut Fourier::noise(1, 48, 32, 1).unwrap(), 0.05);
    }

    #[test]
    fn noise_is_near_grey_and_follows_from_the_seed() {
        let [a, b, c] = [1, 1, 2].map(|seed| values(&Fourier::noise(1, 33, 20, seed).unwrap().image().unwrap()));
        assert_eq!(a, b);
        assert_ne!(a, c);
        let away = a.iter().map(|value| (value - 0.5).abs()).sum::<f32>() / a.len() as f32;
        assert!((0.001..0.1).contains(&away), "{away}");
    }

    /// Lucid's formula, wave by wave.
    #[test]
    fn the_image_is_that_of_the_definition() {
        let fourier = Fourier::noise(1, 6, 4, 3).unwrap();
        let (waves, image) = (values(fourier.values()), values(&fourier.image().unwrap()));
        let matrix = crate::vis::color::DECORRELATED;
        for (y, x) in (0..4).flat_map(|y| (0..6).map(move |x| (y, x))) {
            let channel = |c: usize| {
                let mut sum = 0.0;
                for (v, u) in (0..4).flat_map(|v| (0..4).map(move |u| (v, u))) {
                    let at = ((c * 4 + v) * 4 + u) * 2;
                    let frequency = ((v.min(4 - v) as f64 / 4.0).powi(2) + (u as f64 / 6.0).powi(2)).sqrt();
                    let scale = 24f64.sqrt() / frequency.max(1.0 / 6.0);
                    let angle = std::f64::consts::TAU * ((v * y) as f64 / 4.0 + (u * x) as f64 / 6.0);
                    let wave = f64::from(waves[at]) * angle.cos() - f64::from(waves[at + 1]) * angle.sin();
                    let twice = if u == 0 || u == 3 { 1.0 } else { 2.0 };
                    sum += twice * scale * wave / 24.0 / 4.0;
                }
                sum
            };
            let decorrelated = [0, 1, 2].map(channel);
            for (c, row) in matrix.iter().enumerate() {
                let logit: f64 = row.iter().zip(decorrelated).map(|(weight, value)| weight * value).sum();
                let truth = 1.0 / (1.0 + (-logit).exp());
                assert!((f64::from(image[(c * 4 + y) * 6 + x]) - truth).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        let mut fourier = Fourier::noise(1, 6, 4, 3).unwrap();
        assert!(Fourier::noise(1, 0, 4, 3).is_err());
        assert!(
            fourier.gradient(&Tensor::zeros((1, 3, 4, 5), candle_core::DType::F32, &Device::Cpu).unwrap()).is_err()
        );
        let other = Fourier::noise(1, 6, 5, 3).unwrap();
        assert!(fourier.set(other.values().clone()).is_err());
        assert!(Fourier::from_image(other.values()).is_err());
    }
}
