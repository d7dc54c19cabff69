//! Percept: see what a convolutional network has learned.
pub mod console;
pub mod error;
pub mod image;
pub mod jupyter;
pub mod lang;
pub mod model;
pub mod render;
pub mod repl;
pub mod session;
pub mod tensor;
pub mod vis;
