//! LRP-αβ and z⁺: contributions of either sign by themselves.

use candle_core::Tensor;

use super::{Share, Weighted};
use crate::error::Result;
use crate::tensor::zip;

/// Bach et al., 2015: α times the relevance goes to positive contributions, minus β = α − 1 times it to negative ones. With
/// α = 1 it is z⁺.
#[derive(Debug)]
pub(super) struct AlphaBeta {
    /// At least 1.
    pub(super) alpha: f64,
}

impl Share for AlphaBeta {
    fn name(&self) -> String {
        if self.alpha == 1.0 { "z+".to_owned() } else { format!("alpha-beta {}", self.alpha) }
    }

    fn share(&self, layer: &Weighted<'_>, above: &Tensor) -> Result<Tensor> {
        let (upper, lower) = (|w: f32| w.max(0.0), |w: f32| w.min(0.0));
        let positive = layer.shared(above, &layer.contributions(upper, lower)?)?;
        let (alpha, beta) = (self.alpha as f32, (self.alpha - 1.0) as f32);
        if beta == 0.0 {
            return Ok(positive);
        }
        let negative = layer.shared(above, &layer.contributions(lower, upper)?)?;
        zip(&positive, &negative, |positive, negative| alpha * positive - beta * negative)
    }
}
