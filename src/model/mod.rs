//! Models: immutable named graphs with their weights, classes and input recipe.
//!
//! A [`Graph`] says what is computed, an [`Executor`] computes it. Running a [`Model`] takes *taps* (the nodes
//! whose values come back), [`Rules`] (how gradients pass an operation) and an
//! [`Interrupt`](crate::job::Interrupt); it computes only what the taps need and leaves nothing behind. A [`Run`] may
//! start at any layer from given values, and a [`Pullback`] has gradients at any layer.

mod answer;
mod area;
mod arguments;
mod before_rectifier;
mod bounds;
pub mod budget;
mod classes;
mod defaults;
mod edit;
mod executor;
mod file;
mod functions;
mod graph;
mod layer;
mod named;
mod network;
mod onnx;
mod op;
mod options;
mod picture;
mod planned;
mod receptive_field;
mod recipe;
mod rules;
mod selection;
mod shapes;
#[cfg(test)]
pub(crate) mod sketch;
mod stages;
#[cfg(test)]
mod toy;
mod weights;
pub mod zoo;

pub use answer::{Answer, AnswerKind, AnswerOf, Scored};
pub use area::Area;
pub use arguments::{ChannelNumbers, ClassName, Input, LayerName};
pub use classes::Classes;
use executor::Scope;
pub use executor::{Executor, Pullback, Reference, Retained, RetainedRun, Run, WriteGradient};
pub use functions::{layer_table, without_weights};
pub use graph::{Builder, Graph, Node, NodeId};
pub use layer::{Layer, LayerRow};
pub use network::Model;
pub use op::{BatchNorm, Conv2d, Linear, Op, Parameter, Patch, Scale};
pub use options::{ModelOptions, Resize};
pub use planned::{Patches, Planned};
pub use receptive_field::ReceptiveField;
pub use recipe::{Channels, FileLayout, InputRecipe, LUMINANCE, Numbers, ResizeRule};
pub use rules::{BackwardRule, Operation, RULE_SETS, Rule, Rules};
pub use selection::{Network, resolve_layer, resolve_layers};
pub use stages::stages_up_to;
pub use weights::{Step, Weights};
