//! Feature visualization: images that a network makes.

mod accentuate;
mod activation_grid;
mod dream;
mod each;
mod importance;
mod natural;
mod octaves;
mod semantic_dictionary;
mod settings;
mod sheet;
mod spectrum;
mod transforms;
mod visualize;
mod visualize_class;

pub use accentuate::{AccentuateOptions, accentuate};
pub use activation_grid::{CellScale, GridOptions, activation_grid};
pub use dream::{Dream, DreamOptions, Normalization, dream};
pub use importance::importance_mask;
pub use octaves::OctaveOrder;
pub use semantic_dictionary::semantic_dictionary;
pub use settings::{AscentOptions, ImageSize, Parametrization, Stepping};
pub use sheet::sheet;
pub use spectrum::spectrum;
pub use transforms::{Step, Transforms};
pub use visualize::{diverse, maximize, visualize};
pub use visualize_class::{ClassImage, ClassImageOptions, Style, class_image, visualize_class};
