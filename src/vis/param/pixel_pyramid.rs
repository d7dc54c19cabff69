//! A pyramid of pixels: an image is a sum of small images of growing size, clipped to colours that exist.

use candle_core::Tensor;

use super::Param;
use super::laplacian::{bands, joined, pyramid};
use super::spectrum::Size;
use crate::error::Result;
use crate::tensor::{map, zip};
use crate::vis::color::same_shape;
use crate::vis::pyramid::Pyramid;

/// Bands: of the coarsest, one number stands for 32 × 32 pixels.
const BANDS: usize = 6;
/// What a number of a coarse band counts beside one of the finest.
const COARSE: f32 = 0.5;

/// Pixels from 0 to 1 as the bands of a Laplacian pyramid, one after the other in one vector: that of full size
/// `[N, 3, h, w]` first, each next one half as large, rounded up.
///
/// What is clipped is taken from the finest band. Where the gradient has one sign over a region, a coarse band moves the region
/// at once, while single pixels each follow the details first: of an objective that is exact about an image, such as
/// that of an inversion, large forms and colours are found much sooner. Without a sigmoid, black and white are as near as
/// grey.
#[derive(Clone, Debug)]
pub struct PixelPyramid {
    values: Tensor,
    /// What the values stand for.
    image: Tensor,
    images: usize,
    pyramid: Pyramid,
}

impl PixelPyramid {
    /// Starts from images `[N, 3, h, w]`; what lies outside 0 to 1 is clipped.
    ///
    /// # Errors
    /// The tensor has another shape.
    pub fn from_image(image: &Tensor) -> Result<Self> {
        let (images, size) = Size::of(image)?;
        let pyramid = pyramid(size, BANDS)?;
        let image = clip(image)?;
        let values = joined(&scaled(pyramid.split(&image)?, 1.0 / COARSE)?)?;
        Ok(Self { values, image, images, pyramid })
    }
}

fn clip(image: &Tensor) -> Result<Tensor> {
    map(image, |value| value.clamp(0.0, 1.0))
}

/// All bands but the finest times a factor.
fn scaled(bands: Vec<Tensor>, factor: f32) -> Result<Vec<Tensor>> {
    let scaled =
        |(place, band): (usize, Tensor)| if place == 0 { Ok(band) } else { map(&band, |value| factor * value) };
    bands.into_iter().enumerate().map(scaled).collect()
}

impl Param for PixelPyramid {
    fn values(&self) -> &Tensor {
        &self.values
    }

    fn image(&self) -> Result<Tensor> {
        Ok(self.image.clone())
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        same_shape(&self.image, image)?;
        joined(&scaled(self.pyramid.merge_adjoint(image)?, COARSE)?)
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        same_shape(&self.values, &values)?;
        let mut bands = bands(&self.pyramid, self.images, &values)?;
        let sum = self.pyramid.merge(&scaled(bands.clone(), COARSE)?)?;
        self.image = clip(&sum)?;
        if let Some(finest) = bands.first_mut() {
            let off = zip(&self.image, &sum, |clipped, sum| clipped - sum)?;
            *finest = zip(finest, &off, |value, off| value + off)?;
        }
        self.values = joined(&bands)?;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_fits, assert_gradient, assert_returns, photograph};
    use super::*;
    use crate::tensor::testing::values;

    fn grey(width: usize, height: usize) -> PixelPyramid {
        let grey = crate::image::Image::filled(width, height, [0.5; 3]).unwrap().tensor().unwrap();
        PixelPyramid::from_image(&grey).unwrap()
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        for (width, height) in [(1, 1), (4, 3), (5, 70), (8, 8)] {
            assert_gradient(&mut grey(width, height));
        }
    }

    #[test]
    fn an_image_comes_back() {
        assert_returns(PixelPyramid::from_image);
    }

    #[test]
    fn a_photograph_is_fitted() {
        assert_fits(&mut grey(48, 32), 0.05);
    }

    /// What lies outside the colours is taken away from the bands, not only from the picture.
    #[test]
    fn what_is_clipped_does_not_come_back() {
        let mut param = PixelPyramid::from_image(&photograph()).unwrap();
        let far = map(param.values(), |value| value + 0.7).unwrap();
        param.set(far).unwrap();
        let image = values(&param.image().unwrap());
        assert!(image.contains(&1.0) && image.iter().all(|value| (0.0..=1.0).contains(value)));
        let again = param.values().clone();
        param.set(again).unwrap();
        for (a, b) in image.iter().zip(values(&param.image().unwrap())) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
