//! Phase only: the waves of an image have the magnitudes that they have in photographs, and only their phases are
//! optimized.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Param;
use super::spectrum::Size;
use super::standard::{EPSILON, Standard, each_image, moments};
use crate::error::{Error, Kind, Result};
use crate::image::{WHITE, photo, photo_names};
use crate::tensor::{FftNorm, map, normal, rfft2, with_values};
use crate::vis::color::{LEAST, from_rgb, same_shape, to_rgb, to_rgb_adjoint};

/// How near to 0 and 1 the pixels of photographs count when magnitudes are measured: what a camera clips would else be
/// extreme.
const CLIPPED: f32 = 0.02;

/// Numbers that one task works on at least.
const PART: usize = 1 << 12;

/// The phases of the waves of an image's three decorrelated colours, `[N, 3, h, w/2 + 1]`, in radians.
///
/// From [`noise`](Self::noise) it is the parametrization of MaCo (Fel et al., Unlocking Feature Visualization for
/// Deeper Networks with MAgnitude Constrained Optimization, 2023, arXiv:2306.06805; deel-ai/xplique,
/// `maco_image_parametrization`): the phases of each image are brought to mean 0 and deviation 1, the image that they
/// make with the magnitudes too, and then it goes through the matrix of decorrelated colours and a sigmoid. Such phases
/// are nearer to 0 than those of photographs. From [`from_image`](Self::from_image) phases are taken as they are, and
/// the image keeps the mean and the deviation of the one it started from.
#[derive(Clone, Debug)]
pub struct Phase {
    values: Tensor,
    /// What the values stand for.
    made: Made,
    frame: Frame,
}

/// What stays as it is.
#[derive(Clone, Debug)]
struct Frame {
    size: Size,
    /// Of each place of each image's spectra.
    magnitudes: Arc<Vec<f32>>,
    /// Are phases brought to mean 0 and deviation 1?
    is_standardised: bool,
    /// The mean and the deviation that each image's decorrelated colours are brought to.
    levels: Vec<[f64; 2]>,
}

/// What phases stand for, and what was found on the way.
#[derive(Clone, Debug)]
struct Made {
    phases: Option<Standard>,
    /// `[N, 3, h, w/2 + 1, 2]`.
    waves: Tensor,
    colors: Standard,
    image: Tensor,
}

/// The mean magnitudes of the embedded photographs' waves in decorrelated colours, `[3, height, width/2 + 1]`,
/// unscaled: of each photograph the largest part around its middle that has this shape, at this size.
///
/// Decorrelated colours are taken as [`Phase`] makes images of them: before the sigmoid. Pixels count as from 0.02 to
/// 0.98.
///
/// # Errors
/// The size is 0 or larger than an image may be.
pub fn photo_magnitudes(width: usize, height: usize) -> Result<Tensor> {
    let size = Size::new(width, height)?;
    let names = photo_names();
    let mut sums = vec![0f64; 3 * height * size.columns()];
    for name in &names {
        let image = photo(name)?.flatten(WHITE).cover(width, height)?.tensor()?;
        let found = magnitudes(&rfft2(&from_rgb(&image, CLIPPED)?, FftNorm::Backward)?)?;
        sums.iter_mut().zip(found).for_each(|(sum, magnitude)| *sum += f64::from(magnitude));
    }
    let count = names.len().max(1) as f64;
    let means: Vec<f32> = sums.iter().map(|sum| (sum / count) as f32).collect();
    Ok(Tensor::from_vec(means, (3, height, size.columns()), &Device::Cpu)?)
}

/// The length of each complex number of a spectrum.
fn magnitudes(spectrum: &Tensor) -> Result<Vec<f32>> {
    with_values(spectrum, |values| values.as_chunks::<2>().0.iter().map(|[re, im]| re.hypot(*im)).collect())
}

impl Phase {
    /// So many images, at least 1, of random phases, normally distributed around 0 with deviation 1, that follow from
    /// the seed.
    ///
    /// `magnitudes` are those of [`photo_magnitudes`] for the same size, `[3, height, width/2 + 1]`, or others; only
    /// their ratios count.
    ///
    /// # Errors
    /// The magnitudes have another shape, the size is 0 or larger than an image may be, or there are no images.
    pub fn noise(images: usize, width: usize, height: usize, magnitudes: &Tensor, seed: u64) -> Result<Self> {
        let size = Size::new(width, height)?;
        let shape = [3, height, size.columns()];
        if magnitudes.dims() != shape {
            let message =
                format!("magnitudes for {width}×{height} have the shape {shape:?}, not {:?}", magnitudes.dims());
            return Err(Error::new(Kind::Tensor, message).at_argument("magnitudes"));
        }
        let magnitudes: Vec<f32> = with_values(&magnitudes.detach(), |values| values.repeat(images))?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let phases: Vec<f32> = normal(&mut random).take(magnitudes.len()).collect();
        let levels = vec![[0.0, 1.0]; images];
        Self::with(phases, Frame { size, magnitudes: Arc::new(magnitudes), is_standardised: true, levels })
    }

    /// Starts from images `[N, 3, h, w]` from 0 to 1, whose magnitudes are kept. What is nearer to 0 or 1 than 5·10⁻⁵
    /// counts as that near.
    ///
    /// # Errors
    /// The tensor has another shape, or there are no images.
    pub fn from_image(image: &Tensor) -> Result<Self> {
        let (_, size) = Size::of(image)?;
        let colors = from_rgb(image, LEAST)?;
        let levels = moments(&colors)?.iter().map(|[mean, deviation]| [*mean, deviation + EPSILON]).collect();
        let spectrum = rfft2(&colors, FftNorm::Backward)?;
        let phases: Vec<f32> =
            with_values(&spectrum, |values| values.as_chunks::<2>().0.iter().map(|[re, im]| im.atan2(*re)).collect())?;
        let magnitudes = Arc::new(magnitudes(&spectrum)?);
        Self::with(phases, Frame { size, magnitudes, is_standardised: false, levels })
    }

    fn with(phases: Vec<f32>, frame: Frame) -> Result<Self> {
        let shape = (frame.levels.len(), 3, frame.size.height, frame.size.columns());
        let values = Tensor::from_vec(phases, shape, &Device::Cpu)?;
        Ok(Self { made: frame.make(&values)?, values, frame })
    }
}

impl Frame {
    fn make(&self, values: &Tensor) -> Result<Made> {
        let phases = if self.is_standardised { Some(Standard::of(values)?) } else { None };
        let mut waves = vec![0f32; 2 * self.magnitudes.len()];
        with_values(phases.as_ref().map_or(values, Standard::values), |phases| {
            let places = phases.par_iter().zip(self.magnitudes.par_iter());
            let waves = waves.as_chunks_mut::<2>().0.par_iter_mut().zip(places);
            waves.with_min_len(PART).for_each(|(wave, (phase, magnitude))| {
                let (sin, cos) = phase.sin_cos();
                *wave = [magnitude * cos, magnitude * sin];
            });
        })?;
        let shape = (self.levels.len(), 3, self.size.height, self.size.columns(), 2);
        let waves = Tensor::from_vec(waves, shape, &Device::Cpu)?;
        let colors = Standard::of(&self.size.planes(&waves)?)?;
        let image = to_rgb(&each_image(colors.values(), |index, image| {
            let [mean, deviation] = self.level(index);
            map(image, |value| (mean + deviation * f64::from(value)) as f32)
        })?)?;
        Ok(Made { phases, waves, colors, image })
    }

    fn level(&self, index: usize) -> [f64; 2] {
        self.levels.get(index).copied().unwrap_or([0.0, 1.0])
    }
}

impl Param for Phase {
    fn values(&self) -> &Tensor {
        &self.values
    }

    fn image(&self) -> Result<Tensor> {
        Ok(self.made.image.clone())
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        let (frame, made) = (&self.frame, &self.made);
        let colors = each_image(&to_rgb_adjoint(&made.image, image)?, |index, slopes| {
            let [_, deviation] = frame.level(index);
            map(slopes, |slope| (deviation * f64::from(slope)) as f32)
        })?;
        let ones = vec![1.0; frame.size.height * frame.size.columns()];
        let spectrum = frame.size.planes_adjoint(&made.colors.adjoint(&colors)?, &ones)?;
        // a wave turns at right angles to where it points
        let phases = with_values(&spectrum, |slopes| {
            with_values(&made.waves, |waves| -> Vec<f32> {
                let pairs = slopes.as_chunks::<2>().0.iter().zip(waves.as_chunks::<2>().0);
                pairs.map(|([for_re, for_im], [re, im])| re * for_im - im * for_re).collect()
            })
        })??;
        let phases = Tensor::from_vec(phases, self.values.shape(), &Device::Cpu)?;
        match &made.phases {
            Some(standard) => standard.adjoint(&phases),
            None => Ok(phases),
        }
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        same_shape(&self.values, &values)?;
        self.made = self.frame.make(&values)?;
        self.values = values;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_fits, assert_gradient, assert_returns, photograph};
    use super::*;
    use crate::tensor::testing::{assert_close, random, rng, values};

    #[test]
    fn the_gradient_is_that_of_differences() {
        for (width, height) in [(4, 3), (5, 6), (8, 8)] {
            let magnitudes = map(&random(&mut rng(1), (3, height, width / 2 + 1)), |value| value + 1.5).unwrap();
            assert_gradient(&mut Phase::noise(2, width, height, &magnitudes, 7).unwrap());
            let image = map(&random(&mut rng(2), (2, 3, height, width)), |value| 0.5 + 0.4 * value).unwrap();
            assert_gradient(&mut Phase::from_image(&image).unwrap());
        }
    }

    #[test]
    fn an_image_comes_back() {
        assert_returns(Phase::from_image);
    }

    #[test]
    fn a_photograph_is_fitted_by_its_own_magnitudes() {
        let mut param = Phase::from_image(&photograph()).unwrap();
        let astray: Vec<f32> = normal(&mut rng(3)).take(param.values().elem_count()).collect();
        param.set(Tensor::from_vec(astray, param.values().shape(), &Device::Cpu).unwrap()).unwrap();
        assert_fits(&mut param, 0.05);
    }

    #[test]
    fn the_image_has_the_magnitudes_that_were_given() {
        let magnitudes = map(&random(&mut rng(4), (3, 8, 5)), |value| value + 1.5).unwrap();
        let param = Phase::noise(1, 8, 8, &magnitudes, 1).unwrap();
        let spectrum = rfft2(&from_rgb(&param.image().unwrap(), LEAST).unwrap(), FftNorm::Backward).unwrap();
        let found = super::magnitudes(&spectrum).unwrap();
        let wanted = values(&magnitudes);
        // the mean is another, and waves that are their own mirror image keep their real part alone
        let inner: Vec<usize> = (0..wanted.len()).filter(|place| (1..4).contains(&(place % 5))).collect();
        let factor = found[inner[0]] / wanted[inner[0]];
        let pick = |all: &[f32], factor: f32| inner.iter().map(|place| factor * all[*place]).collect::<Vec<f32>>();
        assert_close(&pick(&found, 1.0), &pick(&wanted, factor), 1e-4, "magnitudes");
    }

    #[test]
    fn photographs_have_more_of_coarse_waves() {
        let magnitudes = photo_magnitudes(32, 24).unwrap();
        assert_eq!(magnitudes.dims(), [3, 24, 17]);
        for plane in values(&magnitudes).chunks(24 * 17) {
            assert!(plane.iter().all(|value| value.is_finite() && *value >= 0.0));
            assert!(plane[17 + 1] > 3.0 * plane[8 * 17 + 10]);
        }
        let image = values(&Phase::noise(1, 32, 24, &magnitudes, 1).unwrap().image().unwrap());
        let (least, most) = image.iter().fold((1f32, 0f32), |(a, b), value| (a.min(*value), b.max(*value)));
        assert!(least < 0.35 && most > 0.65, "{least} to {most}");
    }

    #[test]
    fn other_shapes_are_refused() {
        let magnitudes = Tensor::ones((3, 4, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert_eq!(Phase::noise(1, 6, 4, &magnitudes, 1).unwrap_err().argument(), Some("magnitudes"));
        assert!(Phase::noise(0, 4, 4, &magnitudes, 1).is_err());
        let mut param = Phase::noise(1, 4, 4, &magnitudes, 1).unwrap();
        assert!(param.set(magnitudes.clone()).is_err());
        assert!(param.gradient(&magnitudes).is_err());
    }
}
