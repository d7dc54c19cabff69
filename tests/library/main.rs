//! The library, called from Rust: methods against the language and against what is known, tensors against PyTorch, jobs
//! that are stopped, sessions side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod axioms;
#[path = "../common/mod.rs"]
mod common;
mod evaluation;
mod folders;
mod fooling;
mod image_measures;
mod interrupt;
mod inversion;
mod methods;
mod occlusion;
mod segmentation;
mod showing;
mod style;
mod superpixels;
mod synthesis;
mod tensor_functions;
mod tensor_ops;

/// Bytes [3, height, width] as an image.
fn golden_image(bytes: &candle_core::Tensor) -> percept::Image {
    let (_, height, width) = bytes.dims3().unwrap();
    let bytes = bytes.flatten_all().unwrap().to_vec1::<u8>().unwrap();
    percept::Image::from_planes(width, height, bytes.iter().map(|b| f32::from(*b) / 255.0).collect(), None).unwrap()
}
