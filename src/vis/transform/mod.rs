//! Transforms: what is done to an image before each look at it, with the exact adjoint of each for gradients.

mod jitter;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

pub use jitter::Jitter;

use crate::error::Result;

/// A family of linear maps of images, of which each step of an ascent draws one.
pub trait Transform {
    /// Draws one.
    fn draw(&self, random: &mut ChaCha8Rng) -> Box<dyn Drawn>;
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
