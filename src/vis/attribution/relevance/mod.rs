//! Rules of layer-wise relevance propagation, and which layer has which.
//!
//! Relevance runs where gradients run: it is what the backward pass hands from a node to those it read. A rule for layers
//! with weights is one file here, which implements [`Share`]; [`Composite`] says which layer has which, and [`Flow`] runs
//! them and keeps the books.

mod alpha_beta;
mod composite;
mod epsilon;
mod flat;
mod flow;
mod gamma;
mod layer;
mod norm;
mod product;
#[cfg(test)]
mod tests;
mod z_box;

pub use composite::{Composite, RelevanceRule};
pub(super) use flow::{Flow, Passage, ancestors, readers, scales_behind};
pub(super) use layer::{Folded, Weighted, scale_and_shift};

use candle_core::Tensor;

use crate::error::Result;

/// What is added to a sum before something is divided by it, away from zero.
const STABILIZER: f64 = 1e-6;

/// How a layer with weights shares out the relevance of its value among its inputs.
trait Share: std::fmt::Debug + Send + Sync {
    /// What is written after "rule".
    fn name(&self) -> String;

    /// The relevance of the input, of its shape, given that of the value.
    ///
    /// # Errors
    /// Whatever keeps it from being computed.
    fn share(&self, layer: &Weighted<'_>, above: &Tensor) -> Result<Tensor>;
}

/// A number away from zero by `epsilon`; zero counts as positive.
fn stabilized(z: f32, epsilon: f64) -> f32 {
    if z < 0.0 { z - epsilon as f32 } else { z + epsilon as f32 }
}
