//! How the backward pass of a run treats each kind of operation.

use crate::tensor::ReluRule;

/// The backward rules of one run; the default is the true derivative of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// What every ReLU lets through.
    pub relu: ReluRule,
}
