//! The backward pass of a run, as a value.

use candle_core::{Shape, Tensor};

use super::Run;
use crate::error::{Error, Kind, Result};
use crate::model::{Graph, NodeId};

/// Computes gradients at some nodes, given those of all taps.
type Backward = dyn Fn(&[Tensor], &[NodeId]) -> Result<Vec<Tensor>>;

/// From gradients of the taps of a run to gradients at other nodes: what automatic differentiation calls a
/// vector–Jacobian product. It may be asked any number of times.
pub struct Pullback {
    backward: Box<Backward>,
    /// Those of the taps.
    shapes: Vec<Shape>,
    /// Where there are gradients, with the nodes' names: those the run started from, then those it was asked for.
    nodes: Vec<(NodeId, String)>,
}

impl Pullback {
    /// The backward pass of a run whose taps have these values.
    pub(in crate::model) fn new(
        graph: &Graph,
        run: &Run<'_>,
        taps: &[Tensor],
        backward: impl Fn(&[Tensor], &[NodeId]) -> Result<Vec<Tensor>> + 'static,
    ) -> Self {
        let nodes = run.from.iter().chain(run.gradients_at).map(|id| (*id, graph.node(*id).name.clone())).collect();
        Self { backward: Box::new(backward), shapes: taps.iter().map(|tap| tap.shape().clone()).collect(), nodes }
    }

    /// The gradient at the node the run started from (the input, as a rule), given one for each tap, of the tap's shape.
    ///
    /// # Errors
    /// A gradient is missing or has another shape, or the run was interrupted.
    pub fn gradient(&self, above: &[Tensor]) -> Result<Tensor> {
        let start = self.nodes.first().map(|(id, _)| *id);
        let start = start.ok_or_else(|| Error::new(Kind::Internal, "the run started nowhere"))?;
        let mut gradients = self.gradients(above, &[start])?;
        gradients.pop().ok_or_else(|| Error::new(Kind::Internal, "a backward pass returned nothing"))
    }

    /// The gradients at some nodes, in the order asked, given one for each tap, of the tap's shape.
    ///
    /// The gradient at a node is the total derivative of Σ above · tap with respect to the node's value, through
    /// everything that reads it, as PyTorch's `retain_grad` on that value keeps it; it has that value's shape. Where a rule
    /// replaces a derivative, it is what the rules make of it.
    ///
    /// # Errors
    /// A gradient is missing or has another shape; a node is neither one that the run started from nor one of its
    /// `gradients_at`; or the run was interrupted.
    pub fn gradients(&self, above: &[Tensor], at: &[NodeId]) -> Result<Vec<Tensor>> {
        if above.len() != self.shapes.len() {
            let message = format!("{} gradients for {} tapped layers", above.len(), self.shapes.len());
            return Err(Error::new(Kind::Tensor, message));
        }
        if let Some((above, shape)) = above.iter().zip(&self.shapes).find(|(above, shape)| above.shape() != *shape) {
            let message =
                format!("a gradient of shape {:?} for a layer whose value is {:?}", above.dims(), shape.dims());
            return Err(Error::new(Kind::Tensor, message));
        }
        if let Some(stranger) = at.iter().find(|id| self.nodes.iter().all(|(known, _)| known != *id)) {
            let names: Vec<String> = self.nodes.iter().map(|(_, name)| format!("`{name}`")).collect();
            let message = format!("the run was not planned for a gradient at node {}", stranger.index());
            return Err(Error::new(Kind::Internal, message).with_hint(format!("it has those at {}", names.join(", "))));
        }
        (self.backward)(above, at)
    }
}

impl std::fmt::Debug for Pullback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pullback").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Refuses a backward pass from nothing.
pub(in crate::model) fn check_taps(run: &Run<'_>) -> Result<()> {
    if run.taps.is_empty() {
        return Err(Error::new(Kind::Argument, "a gradient needs at least one tapped layer"));
    }
    Ok(())
}
