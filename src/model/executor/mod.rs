//! What stands between a graph and the code that computes it.

mod apply;
mod pullback;
mod reference;
mod retained;
mod scope;

use candle_core::Tensor;

pub(super) use self::apply::apply;
pub use self::pullback::Pullback;
pub(super) use self::pullback::check_taps;
pub use self::reference::Reference;
pub(super) use self::retained::{Buffers, Copied, no_such_tap};
pub use self::retained::{Retained, RetainedRun, WriteGradient};
pub(super) use self::scope::{Scope, check_starts};
use super::{NodeId, Rules};
use crate::error::Result;
use crate::job::Interrupt;

/// What is asked of one run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The nodes whose values are wanted; nothing that none of them depends on is computed.
    pub taps: &'a [NodeId],
    /// The nodes whose values are given instead of computed; the input alone, if the run is over the whole network.
    /// Every way from the input to a tap must pass one of them.
    pub from: &'a [NodeId],
    /// The nodes at which a [`Pullback`] will be asked for gradients; those of `from` if none is named. They must be known
    /// before the run, which is planned so that these gradients exist; runs on candle's tape take no notice of them.
    pub gradients_at: &'a [NodeId],
    /// Whether convolutions are summed as they are defined; if there will be gradients, those that these will pass, hardly worse
    /// than that. The fastest method is off by up to 3·10⁻⁵ of the largest value, which now and then takes another side of a
    /// rectifier's kink, and a gradient that hangs on that unit with it.
    pub exact: bool,
    /// Channels of the first tap, if its others will not be looked at and have no gradients: runs over patches, and those of a
    /// [`Pullback`] by plain rules, need not compute these others, and may say that they are zero.
    pub channels: Option<&'a [usize]>,
    /// How gradients pass each node.
    pub rules: &'a Rules,
    /// Asked often, in the run and later in its backward pass.
    pub interrupt: &'a Interrupt,
}

impl<'a> Run<'a> {
    /// A run from the network's input, with gradients there alone.
    pub fn new(taps: &'a [NodeId], rules: &'a Rules, interrupt: &'a Interrupt) -> Self {
        let (from, gradients_at) = (&[NodeId::INPUT], &[]);
        Self { taps, from, gradients_at, exact: false, channels: None, rules, interrupt }
    }

    /// The nodes at which there will be gradients, if there will be any.
    pub(super) fn pulled_back_to(&self) -> &'a [NodeId] {
        if self.gradients_at.is_empty() { self.from } else { self.gradients_at }
    }
}

/// Computes one graph with one set of weights, both given to it when it was made, together with anything it
/// prepares from them.
pub trait Executor: Send + Sync {
    /// The value of every tap, in the order asked.
    ///
    /// `x` holds the value of each node of `run.from`, in that order, with the batch first: `[N, C, H, W]`, or
    /// `[N, features]`. If one of them or weights are on candle's tape, so are the taps: their gradients follow
    /// `run.rules`.
    ///
    /// # Errors
    /// A node is not of this graph; a tap needs what cannot be computed from `run.from`, or nothing of it; shapes do not
    /// fit; or the run was interrupted.
    fn run(&self, x: &[Tensor], run: &Run<'_>) -> Result<Vec<Tensor>>;

    /// The values of the taps, off the tape, and the backward pass from them to the nodes of `run.gradients_at`.
    ///
    /// What [`run`](Self::run) and `Tensor::backward` do, without candle's accumulation: at each operation of its tape
    /// it makes a tensor of zeros and a sum, which for large images takes longer than their layers.
    ///
    /// # Errors
    /// As [`run`](Self::run); and there is no tap, or none depends on a node of `run.gradients_at`.
    fn pullback(&self, x: &[Tensor], run: &Run<'_>) -> Result<(Vec<Tensor>, Pullback)>;

    /// As [`pullback`](Self::pullback) for one image and plain rules: values of maps are read, and their gradients written, where
    /// they are computed.
    ///
    /// # Errors
    /// As [`pullback`](Self::pullback).
    fn retained(&self, x: &[Tensor], run: &Run<'_>) -> Result<RetainedRun> {
        let (taps, pullback) = self.pullback(x, run)?;
        Ok(RetainedRun::new(Copied::new(&taps, pullback)?))
    }
}
