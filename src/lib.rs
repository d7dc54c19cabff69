//! Percept: see what a convolutional network has learned.
pub mod error;
pub mod image;
pub mod lang;
pub mod model;
pub mod render;
pub mod session;
pub mod tensor;
pub mod vis;
