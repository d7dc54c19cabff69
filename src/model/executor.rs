//! What stands between a graph and the code that computes it.

use candle_core::{Tensor, Var};

use super::{NodeId, Rules};
use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;

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

    /// The values of the taps, off the tape, and the way back from them to `x`.
    ///
    /// What [`run`](Self::run) and `Tensor::backward` do, without candle's adding up: at each operation of its tape it
    /// makes a tensor of zeros and a sum, which for large images takes longer than their layers.
    fn pullback(&self, x: &Tensor, run: &Run<'_>) -> Result<(Vec<Tensor>, Pullback)> {
        let x = Var::from_tensor(x)?;
        let taps = self.run(&x, run)?;
        let values = taps.iter().map(Tensor::detach).collect();
        let back = move |gradients: &[Tensor]| {
            if gradients.len() != taps.len() {
                let message = format!("{} gradients for {} layers", gradients.len(), taps.len());
                return Err(Error::new(Kind::Tensor, message));
            }
            let parts = taps.iter().zip(gradients).map(|(tap, above)| Ok((tap * above)?.sum_all()?));
            let parts = parts.collect::<Result<Vec<Tensor>>>()?;
            let gradient = Tensor::stack(&parts, 0)?.sum_all()?.backward()?.remove(&x);
            gradient.map_or_else(|| Ok(x.zeros_like()?), Ok)
        };
        Ok((values, Pullback(Box::new(back))))
    }
}

type Back = dyn Fn(&[Tensor]) -> Result<Tensor>;

/// The way from gradients of some taps to that of the input.
pub struct Pullback(pub(super) Box<Back>);

impl Pullback {
    /// The gradient for the input, given one for each tap, of the tap's shape.
    ///
    /// # Errors
    /// A gradient is missing or has another shape, or the run was interrupted.
    pub fn gradient(&self, above: &[Tensor]) -> Result<Tensor> {
        (self.0)(above)
    }
}

impl Pullback {
    /// Temporary.
    pub fn gradients(&self, above: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![self.gradient(above)?])
    }
}

impl std::fmt::Debug for Pullback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pullback")
    }
}
