//! What is done to an image before each look at it.

use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::error::Result;
use crate::tensor::roll;

/// A shift that wraps around the edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// Rows downwards.
    pub down: i32,
    /// Columns to the right.
    pub right: i32,
}

impl Shift {
    /// A random shift of at most `jitter` pixels either way.
    pub fn random(jitter: usize, random: &mut ChaCha8Rng) -> Self {
        let most = i32::try_from(jitter).unwrap_or(i32::MAX);
        Self { down: random.random_range(-most..=most), right: random.random_range(-most..=most) }
    }

    /// Shifts an image [..., height, width].
    ///
    /// # Errors
    /// The tensor has fewer than two axes.
    pub fn apply(self, image: &Tensor) -> Result<Tensor> {
        roll(image, [self.down.into(), self.right.into()])
    }

    /// Shifts it back.
    ///
    /// # Errors
    /// The tensor has fewer than two axes.
    pub fn undo(self, image: &Tensor) -> Result<Tensor> {
        Self { down: -self.down, right: -self.right }.apply(image)
    }
}
