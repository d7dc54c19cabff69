//! Pixels: the image is its own parametrization, clipped to colours that exist.

use candle_core::Tensor;

use super::Param;
use crate::error::Result;
use crate::tensor::map;

/// The pixels of an image, `[1, 3, h, w]` from 0 to 1.
#[derive(Clone, Debug)]
pub struct Pixels(Tensor);

impl Pixels {
    /// Starts from an image `[1, 3, h, w]`; what lies outside 0 to 1 is clipped.
    ///
    /// # Errors
    /// The tensor holds no float32 values.
    pub fn new(image: &Tensor) -> Result<Self> {
        Ok(Self(clip(image)?))
    }
}

fn clip(image: &Tensor) -> Result<Tensor> {
    map(image, |value| value.clamp(0.0, 1.0))
}

impl Param for Pixels {
    fn values(&self) -> &Tensor {
        &self.0
    }

    fn image(&self) -> Result<Tensor> {
        Ok(self.0.clone())
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        Ok(image.clone())
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        self.0 = clip(&values)?;
        Ok(())
    }
}
