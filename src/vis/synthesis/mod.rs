//! Feature visualization: images that a network makes.

mod dream;
mod octaves;

pub use dream::{Dream, DreamOptions, Normalization, dream};
pub use octaves::OctaveOrder;
