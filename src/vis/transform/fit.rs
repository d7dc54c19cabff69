//! Bringing an image to one size, for networks that take no other.

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::sampling::{Applied, Grid, Outside, Sampling};
use super::{Drawn, Transform};
use crate::error::Result;

/// Samples the whole image at `height` × `width` pixels, bilinearly; nothing about it is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Rows of what comes out.
    pub height: usize,
    /// Columns of what comes out.
    pub width: usize,
}

struct Fitted {
    to: [usize; 2],
    applied: Applied,
}

impl Transform for Fit {
    fn draw(&self, _progress: f64, _random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        Box::new(Fitted { to: [self.height, self.width], applied: Applied::default() })
    }
}

impl Drawn for Fitted {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        self.applied.gather(image, |from| {
            let grid = Grid::covering([0.0; 2], from.map(|side| side as f64), self.to);
            Sampling::new(from, self.to, vec![grid], Outside::Edge)
        })
    }

    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        self.applied.scatter(gradient)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_adjoint;
    use super::*;

    #[test]
    fn the_adjoint_is_exact() {
        assert_adjoint(&Fit { height: 7, width: 12 }, 1);
        assert_adjoint(&Fit { height: 3, width: 2 }, 1);
    }
}
