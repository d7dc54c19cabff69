//! What stands between a graph and the code that computes it.

use candle_core::Tensor;

use super::{NodeId, Rules};
use crate::error::Result;
use crate::lang::Interrupt;

/// What is asked of one run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The nodes whose values are wanted; nothing behind the last of them is computed.
    pub taps: &'a [NodeId],
    /// How gradients pass.
    pub rules: &'a Rules,
    /// Asked often, in the run and later in its gradient.
    pub interrupt: &'a Interrupt,
}

/// Computes one graph with one set of weights, both given to it when it was made, together with anything it
/// prepares from them.
pub trait Executor: Send + Sync {
    /// The value of every tap, in the order asked, for `x` `[N, C, H, W]` in the network's input space.
    ///
    /// If `x` or weights are on candle's tape, so are the taps: their gradients follow `run.rules`. The caller has
    /// checked that `x` has a shape the taps can be computed for.
    fn run(&self, x: &Tensor, run: &Run<'_>) -> Result<Vec<Tensor>>;
}
