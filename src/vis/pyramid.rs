//! The Laplacian pyramid: an image as a sum of bands, each of half the size of the one before, with the exact adjoint
//! of the sum.
//!
//! Burt and Adelson, The Laplacian Pyramid as a Compact Image Code, 1983. The kernel is binomial, [1, 4, 6, 4, 1] / 16.

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::tensor::{Separable, mirrored, zip};

/// The kernel's middle and its neighbours, as shares of 16.
const KERNEL: [f64; 5] = [1.0, 4.0, 6.0, 4.0, 1.0];

/// The maps between the levels of pyramids of one size.
#[derive(Clone, Debug)]
pub struct Pyramid {
    /// Height and width of each level, finest first.
    sizes: Vec<[usize; 2]>,
    /// From each level to the next coarser one, and from there back.
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
struct Step {
    shrink: Separable,
    enlarge: Separable,
}

impl Pyramid {
    /// For planes of this height and width, with so many bands of details below a coarse rest. Each level is half as
    /// large as the one before, rounded up; where there is one pixel left, further bands are zero.
    ///
    /// # Errors
    /// A side is 0.
    pub fn new([height, width]: [usize; 2], levels: usize) -> Result<Self> {
        let mut sizes = vec![[height, width]];
        let mut steps = Vec::with_capacity(levels);
        let mut size = [height, width];
        for _ in 0..levels {
            let half = size.map(|side| side.div_ceil(2));
            steps.push(Step {
                shrink: Separable::new(size, half, shrunk)?,
                // how long an axis of `half` becomes is the number of its rows
                enlarge: Separable::new(half, size, enlarged)?,
            });
            sizes.push(half);
            size = half;
        }
        Ok(Self { sizes, steps })
    }

    /// Height and width of each band, finest first; the last is that of the rest.
    pub fn sizes(&self) -> &[[usize; 2]] {
        &self.sizes
    }

    /// The bands of `[..., h, w]`, finest first, and the coarse rest: what each level has beyond the next coarser one,
    /// enlarged.
    ///
    /// # Errors
    /// The planes have another size.
    pub fn split(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut bands = Vec::with_capacity(self.steps.len() + 1);
        let mut level = x.detach();
        for step in &self.steps {
            let coarser = step.shrink.apply(&level)?;
            bands.push(zip(&level, &step.enlarge.apply(&coarser)?, |fine, coarse| fine - coarse)?);
            level = coarser;
        }
        bands.push(level);
        Ok(bands)
    }

    /// The sum of the bands, each enlarged to the finest size; of [`split`](Self::split) bands the image itself.
    ///
    /// # Errors
    /// There are more or fewer bands, or one has another size.
    pub fn merge(&self, bands: &[Tensor]) -> Result<Tensor> {
        let Some((rest, details)) = bands.split_last().filter(|(_, details)| details.len() == self.steps.len()) else {
            let message = format!("a pyramid of {} bands got {}", self.steps.len() + 1, bands.len());
            return Err(Error::new(Kind::Tensor, message));
        };
        let mut sum = rest.detach();
        for (step, band) in self.steps.iter().zip(details).rev() {
            let enlarged = step.enlarge.apply(&sum)?;
            if enlarged.dims() != band.dims() {
                let message = format!("a band has the shape {:?}, not {:?}", band.dims(), enlarged.dims());
                return Err(Error::new(Kind::Tensor, message));
            }
            sum = zip(&enlarged, band, |coarse, fine| coarse + fine)?;
        }
        Ok(sum)
    }

    /// The adjoint of [`merge`](Self::merge): the gradient for each band, given that for the image.
    ///
    /// # Errors
    /// The planes have another size.
    pub fn merge_adjoint(&self, gradient: &Tensor) -> Result<Vec<Tensor>> {
        let mut gradients = vec![gradient.detach()];
        for step in &self.steps {
            if let Some(finer) = gradients.last() {
                gradients.push(step.enlarge.adjoint(finer)?);
            }
        }
        Ok(gradients)
    }
}

/// Every other place of an axis that is mirrored at its ends, under the kernel.
fn shrunk(size: usize, place: usize) -> Vec<(usize, f64)> {
    let taps = KERNEL.iter().enumerate();
    taps.map(|(tap, weight)| (mirrored((2 * place + tap) as isize - 2, size), weight / 16.0)).collect()
}

/// A place among numbers that stand at every other place, under twice the kernel; the first and the last number go on
/// outside.
fn enlarged(size: usize, place: usize) -> Vec<(usize, f64)> {
    let at = |number: usize, weight: f64| (number.min(size - 1), weight / 8.0);
    let number = place / 2;
    if place.is_multiple_of(2) {
        vec![at(number.saturating_sub(1), 1.0), at(number, 6.0), at(number + 1, 1.0)]
    } else {
        vec![at(number, 4.0), at(number + 1, 4.0)]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::tensor::testing::{assert_close, pick, random, rng, values};

    fn dot(a: &Tensor, b: &Tensor) -> f64 {
        values(a).iter().zip(values(b)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
    }

    #[test]
    fn the_bands_add_up_to_the_image_and_the_adjoint_is_exact() {
        let mut rng = rng(1);
        for _ in 0..100 {
            let size = [pick(&mut rng, 1..=40), pick(&mut rng, 1..=40)];
            let pyramid = Pyramid::new(size, pick(&mut rng, 0..=5)).unwrap();
            let x = random(&mut rng, (2, 3, size[0], size[1]));
            let bands = pyramid.split(&x).unwrap();
            for (band, [height, width]) in bands.iter().zip(pyramid.sizes()) {
                assert_eq!(band.dims(), [2, 3, *height, *width]);
            }
            assert_close(&values(&pyramid.merge(&bands).unwrap()), &values(&x), 1e-6, &format!("{size:?}"));

            let any: Vec<Tensor> = bands.iter().map(|band| random(&mut rng, band.shape())).collect();
            let back = pyramid.merge_adjoint(&x).unwrap();
            let there = dot(&pyramid.merge(&any).unwrap(), &x);
            let back: f64 = any.iter().zip(&back).map(|(a, b)| dot(a, b)).sum();
            assert!((there - back).abs() < 1e-4 * (1.0 + there.abs()), "{size:?}: {there} and {back}");
        }
    }

    #[test]
    fn a_plain_image_has_no_details() {
        for size in [[1, 1], [1, 9], [16, 7], [33, 32]] {
            let plain = Tensor::ones((1, 1, size[0], size[1]), DType::F32, &Device::Cpu).unwrap();
            let bands = Pyramid::new(size, 4).unwrap().split(&plain).unwrap();
            let (rest, details) = bands.split_last().unwrap();
            assert!(values(rest).iter().all(|value| (value - 1.0).abs() < 1e-6));
            assert!(details.iter().flat_map(values).all(|value| value.abs() < 1e-6));
        }
    }

    #[test]
    fn a_point_becomes_the_kernel() {
        let mut point = [0f32; 9];
        point[4] = 16.0;
        let point = Tensor::from_slice(&point, (1, 1, 1, 9), &Device::Cpu).unwrap();
        let bands = Pyramid::new([1, 9], 1).unwrap().split(&point).unwrap();
        assert_eq!(values(&bands[1]), [0.0, 1.0, 6.0, 1.0, 0.0]);
        let enlarged = Pyramid::new([1, 9], 1).unwrap();
        let sum = enlarged.merge(&[bands[0].zeros_like().unwrap(), bands[1].clone()]).unwrap();
        assert_eq!(values(&sum), [0.125, 0.5, 1.5, 3.5, 4.75, 3.5, 1.5, 0.5, 0.125]);
    }

    #[test]
    fn other_bands_are_refused() {
        let pyramid = Pyramid::new([4, 4], 1).unwrap();
        let band = Tensor::zeros((1, 1, 4, 4), DType::F32, &Device::Cpu).unwrap();
        assert!(pyramid.merge(std::slice::from_ref(&band)).unwrap_err().message().contains("2 bands got 1"));
        assert!(pyramid.merge(&[band.clone(), band]).is_err());
        assert!(Pyramid::new([0, 4], 1).is_err());
    }
}
