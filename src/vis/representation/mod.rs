//! What a layer is and what it makes of an image.

mod activations;
mod filters;

pub use activations::{Activations, activations};
pub use filters::{Filters, Through, filters};
