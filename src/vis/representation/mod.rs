//! What a layer is and what it makes of an image.

mod activations;
mod doctor;
mod embedding;
mod filters;
mod neighbors;
mod space;
mod top_patches;

pub use activations::{Activations, activations};
pub use doctor::{Case, Findings, doctor};
pub use embedding::{Embedding, MapStyle, Rows, pca, tsne, umap};
pub use filters::{Filters, Through, filters};
pub use neighbors::{Near, NearIn, Neighbors, Query, knn_accuracy, labels, neighbors};
pub use space::{FeatureSpace, PIXELS, Space, point, points};
pub use top_patches::{Order, Patch, PatchRow, TopPatches, top_patches};
