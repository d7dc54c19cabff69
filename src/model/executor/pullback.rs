//! The backward pass of a run, as a value.

use candle_core::{Shape, Tensor};

use super::Run;
use crate::error::{Error, Kind, Result};
use crate::model::{Graph, NodeId};

/// Computes gradients at some nodes, given those of all taps; with a weight for each image, their weighted sums over the images.
type Backward = dyn Fn(&[Tensor], &[NodeId], Option<&[f32]>) -> Result<Vec<Tensor>>;

/// From gradients of the taps of a run to gradients at other nodes: what automatic differentiation calls a
/// vector–Jacobian product. It may be asked any number of times.
pub struct Pullback {
    backward: Box<Backward>,
    /// Those of the taps.
    shapes: Vec<Shape>,
    /// Where there are gradients, with the nodes' names.
    nodes: Vec<(NodeId, String)>,
}

impl Pullback {
    /// The backward pass of a run whose taps have these values.
    pub(in crate::model) fn new(
        graph: &Graph,
        run: &Run<'_>,
        taps: &[Tensor],
        backward: impl Fn(&[Tensor], &[NodeId], Option<&[f32]>) -> Result<Vec<Tensor>> + 'static,
    ) -> Self {
        let nodes = run.pulled_back_to().iter().map(|id| (*id, graph.node(*id).name.clone())).collect();
        Self { backward: Box::new(backward), shapes: taps.iter().map(|tap| tap.shape().clone()).collect(), nodes }
    }

    /// The gradient at the first node that the run has gradients at (the input, as a rule), given one for each tap, of the
    /// tap's shape.
    ///
    /// # Errors
    /// A gradient is missing or has another shape, or the run was interrupted.
    pub fn gradient(&self, above: &[Tensor]) -> Result<Tensor> {
        let mut gradients = self.gradients(above, &[self.first()?])?;
        gradients.pop().ok_or_else(|| Error::new(Kind::Internal, "a backward pass returned nothing"))
    }

    /// The sum over the images of the batch of that gradient times a weight for each image, `[1, …]`. What stands between the
    /// node and the first layer that is not linear passes the sum instead of each image.
    ///
    /// # Errors
    /// As [`gradients`](Self::gradients), and where there is not one weight for each image.
    pub fn weighted_sum(&self, above: &[Tensor], weights: &[f32]) -> Result<Tensor> {
        self.check(above)?;
        if let Some(above) = above.iter().find(|above| above.dim(0).is_ok_and(|batch| batch != weights.len())) {
            let message = format!("{} weights for a gradient of shape {:?}", weights.len(), above.dims());
            return Err(Error::new(Kind::Tensor, message));
        }
        let mut sums = (self.backward)(above, &[self.first()?], Some(weights))?;
        sums.pop().ok_or_else(|| Error::new(Kind::Internal, "a backward pass returned nothing"))
    }

    fn first(&self) -> Result<NodeId> {
        let first = self.nodes.first().map(|(id, _)| *id);
        first.ok_or_else(|| Error::new(Kind::Internal, "the run has gradients nowhere"))
    }

    /// The gradients at some nodes, in the order asked, given one for each tap, of the tap's shape.
    ///
    /// The gradient at a node is the total derivative of Σ above · tap with respect to the node's value, through
    /// everything that reads it, as PyTorch's `retain_grad` on that value keeps it; it has that value's shape. Where a rule
    /// replaces a derivative, it is what the rules make of it.
    ///
    /// # Errors
    /// A gradient is missing or has another shape; a node is none that the run has gradients at; or the
    /// run was interrupted.
    pub fn gradients(&self, above: &[Tensor], at: &[NodeId]) -> Result<Vec<Tensor>> {
        self.check(above)?;
        if let Some(stranger) = at.iter().find(|id| self.nodes.iter().all(|(known, _)| known != *id)) {
            let names: Vec<String> = self.nodes.iter().map(|(_, name)| format!("`{name}`")).collect();
            let message = format!("the run was not planned for a gradient at node {}", stranger.index());
            return Err(Error::new(Kind::Internal, message).with_hint(format!("it has those at {}", names.join(", "))));
        }
        (self.backward)(above, at, None)
    }

    /// There must be one gradient for each tap, of its shape.
    fn check(&self, above: &[Tensor]) -> Result<()> {
        if above.len() != self.shapes.len() {
            let message = format!("{} gradients for {} tapped layers", above.len(), self.shapes.len());
            return Err(Error::new(Kind::Tensor, message));
        }
        if let Some((above, shape)) = above.iter().zip(&self.shapes).find(|(above, shape)| above.shape() != *shape) {
            let message =
                format!("a gradient of shape {:?} for a layer whose value is {:?}", above.dims(), shape.dims());
            return Err(Error::new(Kind::Tensor, message));
        }
        Ok(())
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
