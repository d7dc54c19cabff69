//! Images under optimization with others beside them that stay as they are.

use candle_core::Tensor;

use super::Param;
use crate::error::Result;

/// The images of a parametrization, followed by images `[M, 3, h, w]` that stay, so that transforms show both alike and an
/// objective can compare what a network makes of them.
#[derive(Clone)]
pub struct Beside {
    images: Box<dyn Param>,
    others: Tensor,
}

impl Beside {
    /// A parametrization, and images of the same size.
    pub fn new(images: Box<dyn Param>, others: Tensor) -> Self {
        Self { images, others }
    }
}

impl Param for Beside {
    fn values(&self) -> &Tensor {
        self.images.values()
    }

    fn image(&self) -> Result<Tensor> {
        Ok(Tensor::cat(&[&self.images.image()?, &self.others], 0)?)
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        let own = image.dim(0)?.saturating_sub(self.others.dim(0)?);
        self.images.gradient(&image.narrow(0, 0, own)?.contiguous()?)
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        self.images.set(values)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Fourier;
    use super::super::testing::{assert_gradient, photograph};
    use super::*;
    use crate::tensor::testing::values;

    #[test]
    fn the_gradient_is_that_of_differences() {
        let other = photograph().narrow(2, 0, 4).unwrap().narrow(3, 0, 5).unwrap().contiguous().unwrap();
        assert_gradient(&mut Beside::new(Box::new(Fourier::noise(2, 5, 4, 3).unwrap()), other));
    }

    #[test]
    fn the_others_stay() {
        let other = photograph();
        let mut param = Beside::new(Box::new(Fourier::noise(1, 48, 32, 3).unwrap()), other.clone());
        assert_eq!(param.image().unwrap().dims(), [2, 3, 32, 48]);
        param.set((param.values() * 5.0).unwrap()).unwrap();
        assert_eq!(values(&param.image().unwrap().narrow(0, 1, 1).unwrap()), values(&other));
    }
}
