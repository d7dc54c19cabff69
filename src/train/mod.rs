//! Training of networks, on candle's variables and candle-nn's losses and optimizers.

mod fit;
mod small;

pub use fit::{Epoch, Training, fit, with_weights};
pub use small::small_classifier;
