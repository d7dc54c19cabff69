//! Pixels: the image is its own parametrization, clipped to colours that exist.

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Param;
use super::spectrum::Size;
use crate::error::Result;
use crate::tensor::{map, normal};

/// The standard deviation of the noise that images start from.
const DEVIATION: f32 = 0.05;

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

    /// So many images of grey with noise of standard deviation 0.05 that follows from the seed.
    ///
    /// # Errors
    /// The size is 0 or larger than an image may be.
    pub fn noise(images: usize, width: usize, height: usize, seed: u64) -> Result<Self> {
        let size = Size::new(width, height)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let noise = normal(&mut random).map(|value| 0.5 + DEVIATION * value);
        let values: Vec<f32> = noise.take(images * 3 * size.height * size.width).collect();
        Self::new(&Tensor::from_vec(values, (images, 3, size.height, size.width), &Device::Cpu)?)
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
