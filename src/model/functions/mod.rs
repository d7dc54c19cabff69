//! The functions of the language about models and layers, one file for each group.

mod edit;
mod forward;
mod layers;
mod model;
mod prepare;
mod save;

pub use layers::{layer_table, without_weights};
