//! Networks: the zoo, files of other programs and single operations against PyTorch's numbers; recipes and answers; training.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod attacks;
mod attribution;
mod cases;
mod hooks;
mod incremental;
mod made_up;
mod network_ops;
mod onnx;
mod pth;
mod recipes;
mod squeezenet;
mod toys;
mod training;
mod zoo;
