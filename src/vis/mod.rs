//! Methods for looking into networks. Each returns data; how it is shown is decided elsewhere.
//!
//! A method is a function that takes a [`Job`](crate::Job), what it looks at, and its options. What methods share stands in
//! this folder: [`options`], the [`Prediction`] that attributions explain, and the [`ascent`] that makes images.

pub mod ascent;
pub mod attribution;
mod classify;
mod color;
pub mod descent;
pub mod evaluation;
pub mod fooling;
pub mod laplacian;
pub mod objective;
pub mod optimizer;
pub mod options;
mod panels;
pub mod param;
mod patches;
mod prediction;
mod pyramid;
pub mod representation;
pub mod segmentation;
pub mod style;
pub mod synthesis;
pub mod texture;
mod tiles;
pub mod transform;

pub use classify::{Classification, classify};
pub use options::Explain;
pub use panels::{Panel, Panels};
pub use prediction::{Backward, Gather, Gradients, Pass, Prediction, Question};
