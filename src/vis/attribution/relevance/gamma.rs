//! LRP-γ: contributions that go with the value weigh more.

use candle_core::Tensor;

use super::{Share, Weighted};
use crate::error::Result;
use crate::tensor::zip;

/// Montavon et al., 2019, in the form of Andéol et al., 2021 (arXiv:2106.01266), which knows inputs of both signs: where
/// the value is positive, contributions above zero count 1 + γ times, where it is negative those below.
#[derive(Debug)]
pub(super) struct Gamma {
    pub(super) gamma: f64,
}

impl Share for Gamma {
    fn name(&self) -> String {
        format!("gamma {}", self.gamma)
    }

    fn share(&self, layer: &Weighted<'_>, above: &Tensor) -> Result<Tensor> {
        let gamma = self.gamma as f32;
        let value = layer.value()?;
        let rising = |w: f32| w + gamma * w.max(0.0);
        let falling = |w: f32| w + gamma * w.min(0.0);
        let of_positive = zip(above, &value, |relevance, z| if z > 0.0 { relevance } else { 0.0 })?;
        let of_negative = zip(above, &value, |relevance, z| if z < 0.0 { relevance } else { 0.0 })?;
        let positive = layer.shared(&of_positive, &layer.contributions(rising, falling)?)?;
        let negative = layer.shared(&of_negative, &layer.contributions(falling, rising)?)?;
        zip(&positive, &negative, |a, b| a + b)
    }
}
