//! A Laplacian pyramid: an image is the sum of small images of growing size, in decorrelated colours.

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Param;
use super::spectrum::Size;
use crate::error::{Error, Kind, Result};
use crate::tensor::{normal, with_values};
use crate::vis::color::{LEAST, from_rgb, same_shape, to_rgb, to_rgb_adjoint};
use crate::vis::pyramid::Pyramid;

/// The bands of a Laplacian pyramid of an image's decorrelated colours, one after the other in one vector: that of full
/// size `[N, 3, h, w]` first, each next one half as large, rounded up.
///
/// The image is the sum of the bands, each enlarged to full size by the pyramid's binomial kernel, brought to red,
/// green and blue by the matrix of decorrelated colours, and into 0 to 1 by a sigmoid. A number of a coarse band moves
/// many pixels, so large forms grow as easily as details. After the `laplacian_pyramid_image` of Lucid
/// (tensorflow/lucid, `lucid/optvis/param/spatial.py`), which enlarges bilinearly.
#[derive(Clone, Debug)]
pub struct Laplacian {
    values: Tensor,
    /// What the values stand for.
    image: Tensor,
    images: usize,
    pyramid: Pyramid,
}

impl Laplacian {
    /// So many grey images, in so many bands, at least 1: all parameters are 0.
    ///
    /// # Errors
    /// The size is 0 or larger than an image may be, or there are no bands.
    pub fn grey(images: usize, width: usize, height: usize, bands: usize) -> Result<Self> {
        let pyramid = pyramid(Size::new(width, height)?, bands)?;
        let shapes = pyramid.sizes().iter().map(|[height, width]| (images, 3, *height, *width));
        let zeros = shapes.map(|shape| Ok(Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu)?));
        Self::with(&zeros.collect::<Result<Vec<_>>>()?, images, pyramid)
    }

    /// So many images near grey, whose parameters are noise of standard deviation 0.01 that follows from the seed.
    ///
    /// # Errors
    /// As [`grey`](Self::grey).
    pub fn noise(images: usize, width: usize, height: usize, bands: usize, seed: u64) -> Result<Self> {
        let mut param = Self::grey(images, width, height, bands)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = param.values.elem_count();
        let values: Vec<f32> = normal(&mut random).take(count).map(|value| 0.01 * value).collect();
        param.set(Tensor::from_vec(values, count, &Device::Cpu)?)?;
        Ok(param)
    }

    /// Starts from images `[N, 3, h, w]` from 0 to 1, split into so many bands, at least 1. What is nearer to 0 or 1
    /// than 5·10⁻⁵ counts as that near: the sigmoid comes no further, and such pixels hardly move.
    ///
    /// # Errors
    /// The tensor has another shape, or there are no bands.
    pub fn from_image(image: &Tensor, bands: usize) -> Result<Self> {
        let (images, size) = Size::of(image)?;
        let pyramid = pyramid(size, bands)?;
        let split = pyramid.split(&from_rgb(image, LEAST)?)?;
        Self::with(&split, images, pyramid)
    }

    fn with(bands: &[Tensor], images: usize, pyramid: Pyramid) -> Result<Self> {
        let values = joined(bands)?;
        let image = to_rgb(&pyramid.merge(bands)?)?;
        Ok(Self { values, image, images, pyramid })
    }
}

/// The pyramid of so many bands, at least 1.
pub(super) fn pyramid(size: Size, bands: usize) -> Result<Pyramid> {
    match bands.checked_sub(1) {
        Some(levels) => Pyramid::new([size.height, size.width], levels),
        None => {
            let message = "a Laplacian pyramid has at least one band, not 0";
            Err(Error::new(Kind::Argument, message).at_argument("bands"))
        }
    }
}

/// The bands of so many images that a vector of parameters stands for.
pub(super) fn bands(pyramid: &Pyramid, images: usize, values: &Tensor) -> Result<Vec<Tensor>> {
    with_values(&values.detach(), |values| {
        let mut rest = values;
        let bands = pyramid.sizes().iter().map(|[height, width]| {
            let (band, after) = rest.split_at(images * 3 * height * width);
            rest = after;
            Ok(Tensor::from_slice(band, (images, 3, *height, *width), &Device::Cpu)?)
        });
        bands.collect()
    })?
}

/// One vector of all bands.
pub(super) fn joined(bands: &[Tensor]) -> Result<Tensor> {
    let mut values = Vec::with_capacity(bands.iter().map(Tensor::elem_count).sum());
    for band in bands {
        with_values(band, |band| values.extend_from_slice(band))?;
    }
    let count = values.len();
    Ok(Tensor::from_vec(values, count, &Device::Cpu)?)
}

impl Param for Laplacian {
    fn values(&self) -> &Tensor {
        &self.values
    }

    fn image(&self) -> Result<Tensor> {
        Ok(self.image.clone())
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        joined(&self.pyramid.merge_adjoint(&to_rgb_adjoint(&self.image, image)?)?)
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        same_shape(&self.values, &values)?;
        self.image = to_rgb(&self.pyramid.merge(&bands(&self.pyramid, self.images, &values)?)?)?;
        self.values = values;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_fits, assert_gradient, assert_returns};
    use super::*;
    use crate::tensor::testing::{random, rng, values};

    #[test]
    fn the_gradient_is_that_of_differences() {
        for (width, height, bands) in [(1, 1, 1), (1, 1, 3), (5, 4, 3), (7, 6, 2)] {
            let mut param = Laplacian::grey(2, width, height, bands).unwrap();
            param.set(random(&mut rng(1), param.values().shape())).unwrap();
            assert_gradient(&mut param);
        }
    }

    #[test]
    fn an_image_comes_back() {
        assert_returns(|image| Laplacian::from_image(image, 4));
        assert_returns(|image| Laplacian::from_image(image, 1));
    }

    #[test]
    fn a_photograph_is_fitted() {
        assert_fits(&mut Laplacian::grey(1, 48, 32, 4).unwrap(), 0.05);
    }

    #[test]
    fn one_coarse_number_moves_everything() {
        let mut param = Laplacian::grey(1, 8, 8, 4).unwrap();
        assert!(values(&param.image().unwrap()).iter().all(|value| *value == 0.5));
        let count = param.values().elem_count();
        assert_eq!(count, 3 * (64 + 16 + 4 + 1));
        let mut moved = vec![0f32; count];
        moved[count - 3] = 1.0;
        param.set(Tensor::from_vec(moved, count, &Device::Cpu).unwrap()).unwrap();
        let image = values(&param.image().unwrap());
        let red = 1.0 / (1.0 + (-0.562_828_54f32).exp());
        assert!(image[..64].iter().all(|value| (value - red).abs() < 1e-6));
    }

    #[test]
    fn other_shapes_are_refused() {
        assert_eq!(Laplacian::grey(1, 4, 4, 0).unwrap_err().argument(), Some("bands"));
        assert_eq!(Laplacian::grey(1, 4, 0, 1).unwrap_err().argument(), Some("size"));
        let mut param = Laplacian::grey(1, 4, 4, 2).unwrap();
        assert!(param.set(Tensor::from_vec(vec![0f32; 7], 7, &Device::Cpu).unwrap()).is_err());
    }
}
