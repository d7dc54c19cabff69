//! Transforms: what is done to an image before each look at it, with the exact adjoint of each for gradients.

mod blur;
mod crop;
mod fit;
mod flip;
mod jitter;
mod noise;
mod pad;
mod rotate;
mod sampling;
mod scale;
#[cfg(test)]
mod testing;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

pub use blur::Blur;
pub use crop::Crop;
pub use fit::Fit;
pub use flip::Flip;
pub use jitter::Jitter;
pub use noise::Noise;
pub use pad::Pad;
pub use rotate::Rotate;
pub use sampling::{Amount, Outside};
pub use scale::Scale;

use crate::error::Result;

/// A family of linear maps of images, of which each step of an ascent draws one.
pub trait Transform {
    /// Draws one; `progress` is the share of the ascent's steps that were taken before, from 0 to 1.
    fn draw(&self, progress: f64, random: &mut ChaCha8Rng) -> Box<dyn Drawn>;
}

/// One linear map of images.
pub trait Drawn {
    /// The transformed image; `image` is `[N, C, h, w]`.
    ///
    /// # Errors
    /// The image has another shape.
    fn apply(&self, image: &Tensor) -> Result<Tensor>;
    /// The adjoint: the gradient for the image, given that for the transformed one. ⟨Ax, y⟩ = ⟨x, Aᵀy⟩.
    ///
    /// # Errors
    /// The gradient has another shape.
    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor>;
}
