//! An image made beside others that stay as they are, so that a network looks at both through the same transforms.

use candle_core::Tensor;

use super::Param;
use crate::error::Result;

/// Images `[M, 3, h, w]` that are given, and behind them those of a parametrization; only the latter have parameters.
#[derive(Clone)]
pub struct Beside {
    given: Tensor,
    own: Box<dyn Param>,
}

impl Beside {
    /// Images that are given, and those that are made.
    pub fn new(given: Tensor, own: Box<dyn Param>) -> Self {
        Self { given, own }
    }
}

impl Param for Beside {
    fn values(&self) -> &Tensor {
        self.own.values()
    }

    fn image(&self) -> Result<Tensor> {
        Ok(Tensor::cat(&[&self.given, &self.own.image()?], 0)?)
    }

    fn gradient(&self, image: &Tensor) -> Result<Tensor> {
        let given = self.given.dim(0)?;
        self.own.gradient(&image.narrow(0, given, image.dim(0)?.saturating_sub(given))?.contiguous()?)
    }

    fn set(&mut self, values: Tensor) -> Result<()> {
        self.own.set(values)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::{assert_gradient, photograph};
    use super::super::{Fourier, Pixels};
    use super::*;
    use crate::tensor::testing::values;

    #[test]
    fn the_gradient_is_that_of_differences() {
        let given = Pixels::noise(2, 5, 4, 1).unwrap().image().unwrap();
        assert_gradient(&mut Beside::new(given, Box::new(Fourier::noise(1, 5, 4, 3).unwrap())));
    }

    #[test]
    fn what_is_given_stays() {
        let mut beside = Beside::new(photograph(), Box::new(Pixels::noise(1, 48, 32, 1).unwrap()));
        assert_eq!(beside.image().unwrap().dims(), [2, 3, 32, 48]);
        beside.set(beside.values().zeros_like().unwrap()).unwrap();
        let both = values(&beside.image().unwrap());
        let (given, own) = both.split_at(both.len() / 2);
        assert_eq!(given, values(&photograph()));
        assert!(own.iter().all(|value| *value == 0.0));
    }
}
