//! Feature visualization: images that a network makes.

mod dream;
mod octaves;
mod settings;
mod transforms;
mod visualize;

pub use dream::{Dream, DreamOptions, Normalization, dream};
pub use octaves::OctaveOrder;
pub use settings::{AscentOptions, ImageSize, Parametrization, Stepping};
pub use transforms::{Step, Transforms};
pub use visualize::{diverse, maximize, visualize};
