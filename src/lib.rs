//! Percept: see what a convolutional network has learned.
pub mod error;
pub mod image;
pub mod render;
