//! Optimizers: how far and where an ascent steps.

mod adam;
mod bands;
mod lbfgs;
mod momentum;
mod nadam;
mod normalized;
mod pyramid_adam;
mod regularized;
#[cfg(test)]
mod testing;

use candle_core::Tensor;
use dyn_clone::{DynClone, clone_trait_object};

pub use adam::Adam;
pub use bands::Bands;
pub use lbfgs::{Bounds, Function, Lbfgs, Stopped};
pub use momentum::Momentum;
pub use nadam::Nadam;
pub use normalized::Normalized;
pub use pyramid_adam::PyramidAdam;
pub use regularized::Regularized;

use crate::error::Result;

/// Turns gradients into steps; may remember earlier ones.
pub trait Optimizer: DynClone {
    /// The parameters after one step uphill.
    ///
    /// # Errors
    /// The tensors have different shapes.
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor>;
}

clone_trait_object!(Optimizer);
