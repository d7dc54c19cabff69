//! Feature visualization: images that a network makes.

mod dream;

pub use dream::{Dream, DreamOptions, dream};
