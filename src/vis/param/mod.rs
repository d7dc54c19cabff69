//! Parametrizations: how an image under optimization is held.

mod beside;
mod cppn;
mod fourier;
mod laplacian;
mod phase;
mod pixels;
mod shared;
mod soft;
mod spectrum;
mod standard;
#[cfg(test)]
mod testing;

use candle_core::Tensor;
use dyn_clone::{DynClone, clone_trait_object};

pub use beside::Beside;
pub use cppn::Cppn;
pub use fourier::Fourier;
pub use laplacian::Laplacian;
pub use phase::{Phase, photo_magnitudes};
pub use pixels::Pixels;
pub use shared::Shared;
pub use soft::{Soft, moved};

use crate::error::Result;

/// An image as a function of parameters, which an ascent changes.
pub trait Param: DynClone {
    /// The parameters.
    fn values(&self) -> &Tensor;
    /// The image they stand for, `[1, 3, h, w]`, red, green and blue from 0 to 1.
    ///
    /// # Errors
    /// The image cannot be computed.
    fn image(&self) -> Result<Tensor>;
    /// The gradient for the parameters, given that for the image.
    ///
    /// # Errors
    /// The gradient has another shape than the image.
    fn gradient(&self, image: &Tensor) -> Result<Tensor>;
    /// Takes new parameters, brought into the range that is allowed.
    ///
    /// # Errors
    /// They have another shape.
    fn set(&mut self, values: Tensor) -> Result<()>;
}

clone_trait_object!(Param);
