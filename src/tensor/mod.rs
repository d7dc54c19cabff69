//! Differentiable operations over candle tensors.
//!
//! candle's own tape has no gradient for a max-pool whose kernel differs from its stride, is wrong for
//! strided convolutions of non-square images and always computes weight gradients. Each operation here is
//! computed first and then linked to its input on candle's tape with a backward rule of its own
//! ([`with_backward`]), so expressions on either side stay ordinary candle.
//!
//! Images are `[N, C, H, W]` and float32 throughout.

mod arithmetic;
mod concat;
mod conv2d;
mod cpu;
mod create;
mod finite;
mod flatten;
mod global_avg_pool;
mod gradient;
mod im2col;
mod max_pool2d;
pub mod npy;
mod reduce;
mod relu;
mod shape;
mod tape;
#[cfg(test)]
pub(crate) mod testing;
mod value;
mod window;

pub use concat::concat;
pub use conv2d::{Conv2dParams, conv2d};
pub use finite::check_finite;
pub use flatten::flatten;
pub use global_avg_pool::global_avg_pool;
pub use max_pool2d::{MaxPool2dParams, max_pool2d};
pub use relu::{ReluRule, relu};
pub use tape::with_backward;
pub use value::TensorValue;
