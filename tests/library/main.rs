//! The library, called from Rust: methods against the language and against what is known, tensors against PyTorch, jobs
//! that are stopped, sessions side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod folders;
mod interrupt;
mod methods;
mod occlusion;
mod tensor_functions;
mod tensor_ops;
