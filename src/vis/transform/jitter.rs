//! Jitter: a random shift that wraps around the edges, which hides the grid of a network's strides.

use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Drawn, Transform};
use crate::error::Result;
use crate::tensor::roll;

/// Shifts by at most so many pixels in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jitter(pub usize);

/// Rows downwards and columns to the right.
struct Shift([i64; 2]);

impl Transform for Jitter {
    fn draw(&self, _progress: f64, random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        let most = i64::try_from(self.0).unwrap_or(i64::MAX);
        Box::new(Shift([random.random_range(-most..=most), random.random_range(-most..=most)]))
    }
}

impl Drawn for Shift {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        roll(image, self.0)
    }

    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        roll(gradient, self.0.map(|shift| -shift))
    }
}
