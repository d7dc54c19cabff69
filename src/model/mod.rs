//! Models: immutable named graphs with their weights, classes and input recipe.
//!
//! A [`Graph`] says what is computed, an [`Executor`] computes it. Running a [`Model`] takes *taps* (the nodes
//! whose values come back), [`Rules`] (how gradients pass an operation) and an
//! [`Interrupt`](crate::lang::Interrupt); it computes only what the taps need and leaves nothing behind. A [`Run`] may
//! start at any layer from given values, and a [`Pullback`] has gradients at any layer.

mod bounds;
pub mod budget;
mod classes;
mod edit;
mod executor;
mod file;
mod graph;
mod handle;
mod layer;
mod onnx;
mod op;
mod planned;
mod receptive_field;
mod recipe;
mod rules;
mod shapes;
#[cfg(test)]
mod toy;
mod weights;
mod words;
pub mod zoo;

pub use classes::Classes;
use executor::Scope;
pub use executor::{Executor, Pullback, Reference, Run};
pub use graph::{Builder, Graph, Node, NodeId};
pub use handle::Model;
pub use layer::{Layer, LayerRow};
pub use onnx::OnnxOptions;
pub use op::{BatchNorm, Conv2d, Linear, Op, Parameter, Patch, Scale};
pub use planned::Planned;
pub use receptive_field::ReceptiveField;
pub use recipe::{ChannelOrder, InputRecipe, ResizeRule};
pub use rules::{BackwardRule, Operation, RULE_SETS, Rule, Rules};
pub use weights::{Step, Weights};
pub use words::{ClassName, Input, LayerName, layer_table, or_embedded, without_weights};
