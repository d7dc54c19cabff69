//! Numbers brought to mean 0 and deviation 1, image by image, with the adjoint of that.

use candle_core::Tensor;

use crate::error::Result;
use crate::tensor::{map, sum_of, with_values, zip};
use crate::vis::color::same_shape;

/// What is added to a standard deviation before something is divided by it.
pub(super) const EPSILON: f64 = 1e-5;

/// A tensor `[N, ...]` whose images each have mean 0 and standard deviation 1, and what their deviations were.
#[derive(Clone, Debug)]
pub(super) struct Standard {
    values: Tensor,
    deviations: Vec<f64>,
}

impl Standard {
    /// (x − mean) / (deviation + 10⁻⁵) of each image; one that is the same everywhere becomes 0.
    ///
    /// # Errors
    /// There are no images.
    pub(super) fn of(x: &Tensor) -> Result<Self> {
        let moments = moments(x)?;
        let values = each_image(x, |index, image| {
            let [mean, deviation] = moments.get(index).copied().unwrap_or_default();
            map(image, |value| ((f64::from(value) - mean) / (deviation + EPSILON)) as f32)
        })?;
        Ok(Self { values, deviations: moments.iter().map(|[_, deviation]| *deviation).collect() })
    }

    pub(super) fn values(&self) -> &Tensor {
        &self.values
    }

    /// The gradient for the numbers before, given that for those after.
    ///
    /// # Errors
    /// The gradient has another shape.
    pub(super) fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        same_shape(&self.values, gradient)?;
        each_image(gradient, |index, slopes| {
            let values = self.values.narrow(0, index, 1)?;
            let deviation = self.deviations.get(index).copied().unwrap_or_default();
            // a change of all numbers changes nothing, nor does one that stretches them
            let shift = mean(slopes)?;
            let stretch = mean(&zip(slopes, &values, |slope, value| slope * value)?)?;
            let stretch = if deviation > 0.0 { stretch / deviation } else { 0.0 };
            zip(slopes, &values, |slope, value| {
                ((f64::from(slope) - shift) / (deviation + EPSILON) - stretch * f64::from(value)) as f32
            })
        })
    }
}

/// The mean and the standard deviation of each image's numbers.
///
/// # Errors
/// The tensor holds no float32 values.
pub(super) fn moments(x: &Tensor) -> Result<Vec<[f64; 2]>> {
    (0..x.dims().first().copied().unwrap_or(0))
        .map(|index| {
            let image = x.narrow(0, index, 1)?;
            let mean = mean(&image)?;
            let squares = with_values(&image, |values| sum_of(values, |value| (f64::from(value) - mean).powi(2)))?;
            Ok([mean, (squares / image.elem_count().max(1) as f64).sqrt()])
        })
        .collect()
}

fn mean(x: &Tensor) -> Result<f64> {
    Ok(with_values(&x.detach(), |values| sum_of(values, f64::from))? / x.elem_count().max(1) as f64)
}

/// `f` of each image `[1, ...]` and its place, joined again.
///
/// # Errors
/// There are no images, or `f` fails.
pub(super) fn each_image(x: &Tensor, f: impl Fn(usize, &Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let count = x.dims().first().copied().unwrap_or(0);
    let images = (0..count).map(|index| f(index, &x.narrow(0, index, 1)?));
    Ok(Tensor::cat(&images.collect::<Result<Vec<_>>>()?, 0)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::tensor::testing::{random, rng, values};

    #[test]
    fn each_image_is_standardised_by_itself() {
        let x = Tensor::new(&[[1f32, 3.0], [10.0, 10.0], [-4.0, 0.0]], &Device::Cpu).unwrap();
        let standard = Standard::of(&x).unwrap();
        for (a, b) in values(standard.values()).iter().zip([-1.0, 1.0, 0.0, 0.0, -1.0, 1.0]) {
            assert!((a - b).abs() < 2e-5);
        }
        assert!(Standard::of(&Tensor::zeros((0, 2), DType::F32, &Device::Cpu).unwrap()).is_err());
    }

    #[test]
    fn the_adjoint_is_that_of_differences() {
        let mut rng = rng(1);
        let (x, above) = (random(&mut rng, (2, 6)), random(&mut rng, (2, 6)));
        let ours = values(&Standard::of(&x).unwrap().adjoint(&above).unwrap());
        let value = |x: &[f32]| -> f64 {
            let x = Tensor::from_slice(x, (2, 6), &Device::Cpu).unwrap();
            let standard = values(Standard::of(&x).unwrap().values());
            standard.iter().zip(values(&above)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
        };
        for (place, ours) in ours.iter().enumerate() {
            let [low, high] = [-1e-2, 1e-2].map(|step| {
                let mut moved = values(&x);
                moved[place] += step;
                value(&moved)
            });
            assert!(((high - low) / 2e-2 - f64::from(*ours)).abs() < 2e-3, "{place}");
        }
        let plain = Tensor::ones((1, 3), DType::F32, &Device::Cpu).unwrap();
        let gradient = Standard::of(&plain).unwrap().adjoint(&plain).unwrap();
        assert!(values(&gradient).iter().all(|value| value.is_finite()));
    }
}
