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
mod blur;
mod choice;
mod concat;
mod conv2d;
mod cpu;
mod create;
mod fft;
mod finite;
mod flatten;
mod gradient;
mod im2col;
mod joint;
mod max_pool2d;
mod normalize;
pub mod npy;
mod pad;
mod planes;
mod pool2d;
mod reduce;
mod resize;
mod roll;
mod shape;
mod tape;
#[cfg(test)]
pub(crate) mod testing;
mod value;
mod whole;
mod window;

pub use activation::{Activation, ReluRule, activation};
pub(crate) use avg_pool2d::pooling_windows;
pub use avg_pool2d::{adaptive_avg_pool2d, avg_pool2d};
pub use blur::gaussian_blur;
pub use concat::concat;
pub use conv2d::{Conv2dParams, conv2d};
pub(crate) use cpu::with_values;
pub use fft::{FftNorm, irfft2, rfft2};
pub use finite::check_finite;
pub use flatten::flatten;
pub use joint::with_joint_backward;
pub use max_pool2d::max_pool2d;
pub use normalize::{LocalResponseNorm, batch_norm_scale, linear, local_response_norm, scale_channels, softmax};
pub use pad::{Padding, pad};
pub use pool2d::Pool2dParams;
pub use resize::{ResizeFilter, resize};
pub use roll::roll;
pub use tape::{Rule, with_backward, with_backwards};
pub use value::TensorValue;
pub use whole::{channelwise, mean_abs, zip};
