//! Optimizers: how far and where an ascent steps.

mod normalized;

use candle_core::Tensor;

pub use normalized::Normalized;

use crate::error::Result;

/// Turns gradients into steps; may remember earlier ones.
pub trait Optimizer {
    /// The parameters after one step uphill.
    ///
    /// # Errors
    /// The tensors have different shapes.
    fn step(&mut self, values: &Tensor, gradient: &Tensor) -> Result<Tensor>;
}
