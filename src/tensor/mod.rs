//! Differentiable operations over candle tensors.
//!
//! candle's own tape has no gradient for a max-pool whose kernel differs from its stride, is wrong for
//! strided convolutions of non-square images and always computes weight gradients. Each operation here is
//! computed first and then linked to its inputs on candle's tape with backward rules of its own ([`with_backward`],
//! [`with_backwards`]), so expressions on either side stay ordinary candle. Weights that are on the tape get
//! gradients too; for those that aren't, none is computed.
//!
//! Images are `[N, C, H, W]` and float32 throughout. What works on planes alone takes `[..., H, W]`.

mod activation;
mod arithmetic;
mod avg_pool2d;
mod banded;
mod binary;
mod blur;
mod compare;
mod concat;
mod conv2d;
mod conv2d_params;
mod cpu;
mod create;
mod dims;
mod display;
mod elementwise;
mod fft;
mod finite;
mod flatten;
mod functions;
mod gradient;
mod im2col;
mod indexing;
mod interpolate;
mod joint;
mod linalg;
mod matmul;
mod max_pool2d;
mod normalize;
pub mod npy;
mod operand;
mod order;
mod pad;
mod planes;
mod pool2d;
mod reduce;
mod roll;
mod rows;
mod seed;
mod selection;
mod separable;
mod shape;
mod softmax;
mod statistics;
mod sum;
mod tape;
#[cfg(test)]
pub(crate) mod testing;
mod value;
mod window;

pub use activation::{Activation, ReluRule, activation};
pub(crate) use avg_pool2d::pooling_windows;
pub use avg_pool2d::{adaptive_avg_pool2d, avg_pool2d};
pub use blur::gaussian_blur;
pub use concat::concat;
pub use conv2d::conv2d;
pub use conv2d_params::Conv2dParams;
pub(crate) use cpu::{channels_last, rows_of, with_any_order, with_values};
pub use create::normal;
pub use elementwise::{affine, channelwise, map, mean_abs, zip};
pub use fft::{FftNorm, irfft2, rfft2};
pub use finite::check_finite;
pub use flatten::flatten;
pub use interpolate::{InterpolateMode, interpolate};
pub use joint::with_joint_backward;
pub use matmul::matmul;
pub use max_pool2d::max_pool2d;
pub use normalize::{LocalResponseNorm, batch_norm_scale, linear, local_response_norm, scale_channels, softmax};
pub use pad::{Padding, pad};
pub use pool2d::Pool2dParams;
pub use roll::roll;
pub use seed::Seed;
pub use separable::{Separable, mirrored};
pub use statistics::norm;
pub use sum::{mean, sum, sum_all, sum_of};
pub use tape::{Rule, with_backward, with_backwards};
pub use value::TensorValue;
