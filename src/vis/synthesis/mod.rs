//! Feature visualization: images that a network makes.

mod caricature;
mod dream;
mod dream_layers;
mod dream_zoom;
mod grow;
mod interpolation;
mod inversion_series;
mod invert;
mod octaves;
mod resume;
mod settings;
mod transforms;
mod visualize;

pub use caricature::caricature;
pub use dream::{Dream, DreamOptions, Normalization, dream};
pub use dream_layers::dream_layers;
pub use dream_zoom::{ZoomOptions, dream_zoom};
pub use grow::{GrowthOptions, grow};
pub use interpolation::interpolation;
pub use inversion_series::inversion_series;
pub use invert::{InversionOptions, InversionStart, invert};
pub use octaves::OctaveOrder;
pub use settings::{AscentOptions, ImageSize, Parametrization, Stepping};
pub use transforms::{Step, Transforms};
pub use visualize::{diverse, maximize, visualize};
