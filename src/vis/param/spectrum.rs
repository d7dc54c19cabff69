//! Spectra of images as parameters: the geometry that Fourier parametrizations share.
//!
//! A spectrum of planes of h × w is `[..., h, w/2 + 1, 2]`, real and imaginary parts last, as [`rfft2`] makes it.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::image::{MAX_PIXELS, MAX_SIDE};
use crate::tensor::{FftNorm, irfft2, rfft2, with_values};

/// Width and height of images under optimization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Size {
    /// # Errors
    /// A side is 0, or the size is larger than an image may be.
    pub(super) fn new(width: usize, height: usize) -> Result<Self> {
        let fits = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) && width * height <= MAX_PIXELS;
        if fits {
            return Ok(Self { width, height });
        }
        let message = format!("an image to be made cannot have {width}×{height} pixels");
        Err(Error::new(Kind::Argument, message).at_argument("size"))
    }

    /// Of images `[N, 3, h, w]`; and how many they are.
    ///
    /// # Errors
    /// The tensor has another shape.
    pub(super) fn of(images: &Tensor) -> Result<(usize, Self)> {
        match *images.dims() {
            [count, 3, height, width] => Ok((count, Self::new(width, height)?)),
            ref dims => {
                let message = format!("an image to start from has the shape [N, 3, height, width], not {dims:?}");
                Err(Error::new(Kind::Tensor, message))
            }
        }
    }

    /// The columns of a spectrum.
    pub(super) fn columns(self) -> usize {
        self.width / 2 + 1
    }

    /// The frequency of each place of a spectrum, in periods per pixel.
    pub(super) fn frequencies(self) -> Vec<f64> {
        let places = (0..self.height).flat_map(|row| (0..self.columns()).map(move |column| (row, column)));
        let frequency = |(row, column): (usize, usize)| {
            let down = row.min(self.height - row) as f64 / self.height as f64;
            down.hypot(column as f64 / self.width as f64)
        };
        places.map(frequency).collect()
    }

    /// The planes `[..., h, w]` of spectra; a spectrum need not be one of real planes.
    ///
    /// # Errors
    /// The spectra have another size.
    pub(super) fn planes(self, spectrum: &Tensor) -> Result<Tensor> {
        irfft2(&spectrum.detach(), self.height, self.width, FftNorm::Backward)
    }

    /// The adjoint of [`planes`](Self::planes), each place besides multiplied by its weight, one for each place of a
    /// spectrum.
    ///
    /// # Errors
    /// The planes have another size.
    pub(super) fn planes_adjoint(self, gradient: &Tensor, weights: &[f32]) -> Result<Tensor> {
        let share = 1.0 / (self.width as f64 * self.height as f64);
        let weights: Vec<f32> = weights
            .iter()
            .enumerate()
            .map(|(place, weight)| {
                // a wave that stands for two reaches a plane twice
                let column = place % self.columns();
                let times = if column == 0 || 2 * column == self.width { 1.0 } else { 2.0 };
                (f64::from(*weight) * times * share) as f32
            })
            .collect();
        weighted(&rfft2(&gradient.detach(), FftNorm::Backward)?, &weights)
    }
}

/// Spectra with each place multiplied by its weight.
///
/// # Errors
/// The spectra have not as many places.
pub(super) fn weighted(spectrum: &Tensor, weights: &[f32]) -> Result<Tensor> {
    if weights.is_empty() || !spectrum.elem_count().is_multiple_of(2 * weights.len()) {
        let message = format!("a spectrum of shape {:?} does not have {} places", spectrum.dims(), weights.len());
        return Err(Error::new(Kind::Internal, message));
    }
    let mut values: Vec<f32> = with_values(&spectrum.detach(), <[f32]>::to_vec)?;
    values.par_chunks_mut(2 * weights.len()).for_each(|plane| {
        for (part, weight) in plane.chunks_exact_mut(2).zip(weights) {
            part.iter_mut().for_each(|value| *value *= weight);
        }
    });
    Ok(Tensor::from_vec(values, spectrum.shape(), &Device::Cpu)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, random, rng, values};

    #[test]
    fn frequencies_are_those_of_the_transform() {
        let size = Size { width: 5, height: 4 };
        let truth = [0.0, 0.25, 0.5, 0.25].map(|down: f64| [0.0, 0.2, 0.4].map(|across: f64| down.hypot(across)));
        for (ours, truth) in size.frequencies().iter().zip(truth.as_flattened()) {
            assert!((ours - truth).abs() < 1e-15);
        }
    }

    #[test]
    fn the_adjoint_is_exact() {
        let mut rng = rng(1);
        for (width, height) in [(1, 1), (2, 3), (7, 4), (8, 8), (5, 9)] {
            let size = Size::new(width, height).unwrap();
            let spectrum = random(&mut rng, (2, height, size.columns(), 2));
            let gradient = random(&mut rng, (2, height, width));
            let weights: Vec<f32> = (0..height * size.columns()).map(|place| 0.5 + place as f32).collect();
            let planes = size.planes(&weighted(&spectrum, &weights).unwrap()).unwrap();
            let back = size.planes_adjoint(&gradient, &weights).unwrap();
            let dot = |a: &Tensor, b: &Tensor| -> f32 { values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum() };
            let what = format!("{width}×{height}");
            assert_close(&[dot(&planes, &gradient)], &[dot(&spectrum, &back)], 1e-3, &what);
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert_eq!(Size::new(0, 3).unwrap_err().argument(), Some("size"));
        assert!(Size::new(3, 1 << 40).is_err());
        assert!(Size::of(&random(&mut rng(1), (1, 4, 2, 2))).is_err());
        assert!(weighted(&random(&mut rng(1), (1, 4, 3, 2)), &[1.0; 5]).is_err());
    }
}
