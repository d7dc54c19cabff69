//! Several images with a part in common, so that neighbours of a series are alike where nothing asks them to differ.

use candle_core::Tensor;

use super::{Fourier, Param};
use crate::error::Result;
use crate::vis::color::same_shape;

/// The spectra of N images and one more, `[N + 1, 3, h, w/2 + 1, 2]`: each image is that of its own waves and the shared
/// ones together, as [`Fourier`] makes it.
///
/// What all images need goes into the shared waves, which get the gradient of all of them: aligned interpolation (Mordvintsev
/// et al., Differentiable Image Parameterizations, Distill 2018; tensorflow/lucid, `lowres_tensor`).
#[derive(Clone, Debug)]
pub struct Shared {
    values: Tensor,
    images: Fourier,
}

impl Shared {
    /// So many images of noise: near grey, with waves that follow from the seed.
    ///
    /// # Errors
    /// The size is 0 or larger than an image may be.
    pub fn noise(images: usize, width: usize, height: usize, seed: u64) -> Result<Self> {
        let all = Fourier::noise(images + 1, width, height, seed)?;
        let mut param = Self { values: all.values().clone(), images: Fourier::noise(images, width, height, seed)? };
        param.set(all.values().clone())?;
        Ok(param)
    }
}

impl Param for Shared {
    fn values(&self) -> &Tensor {
        &self.values
    }

    fn image(&self) -> Result<Tensor> {
        self.images.image()
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        let own = self.images.gradient(image)?;
        Ok(Tensor::cat(&[&own, &own.sum_keepdim(0)?], 0)?)
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        same_shape(&self.values, &values)?;
        let images = values.dim(0)?.saturating_sub(1);
        let spectra = values.narrow(0, 0, images)?.broadcast_add(&values.narrow(0, images, 1)?)?;
        self.images.set(spectra.contiguous()?)?;
        self.values = values;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_fits, assert_gradient};
    use super::*;

    #[test]
    fn the_gradient_is_that_of_differences() {
        assert_gradient(&mut Shared::noise(2, 5, 4, 3).unwrap());
    }

    #[test]
    fn a_photograph_is_fitted() {
        assert_fits(&mut Shared::noise(1, 48, 32, 1).unwrap(), 0.05);
    }
}
