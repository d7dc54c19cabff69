//! Texture and style: images with the Gram matrices of other images, by a network.

mod colors;
mod loss;
mod options;
mod places;
mod stages;
mod statistics;
mod texture;
mod transfer;

pub use options::{Descending, Pooling, StyleLayers};
pub use texture::{Texture, TextureOptions, texture, texture_distance};
pub use transfer::{Images, PreserveColor, StartFrom, Transfer, TransferOptions, style_transfer};
