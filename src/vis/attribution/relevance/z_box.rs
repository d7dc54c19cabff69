//! z^B, for inputs between two bounds.

use candle_core::Tensor;

use super::layer::Term;
use super::{Share, Weighted};
use crate::error::Result;

/// Montavon et al., 2017 (arXiv:1512.02479): contributions are counted from the bound that lies against the weight's sign, so that
/// none is negative.
#[derive(Debug)]
pub(super) struct ZBox {
    /// What the darkest and the brightest pixel are as input, by channel.
    pub(super) low: Vec<f32>,
    pub(super) high: Vec<f32>,
}

impl Share for ZBox {
    fn name(&self) -> String {
        "box".to_owned()
    }

    fn share(&self, layer: &Weighted<'_>, above: &Tensor) -> Result<Tensor> {
        let bound = |values: &[f32]| -> Result<Tensor> {
            let bound = Tensor::new(values, layer.x.device())?.reshape((1, values.len(), 1, 1))?;
            Ok(bound.broadcast_as(layer.x.shape())?.contiguous()?)
        };
        // biases of the three terms cancel
        let term = |x: Tensor, weight: Tensor, sign: f32| Term { x, weight, bias: None, sign };
        let terms = [
            term(layer.x.clone(), layer.folded.weight.clone(), 1.0),
            term(bound(&self.low)?, layer.weight(|w| w.max(0.0))?, -1.0),
            term(bound(&self.high)?, layer.weight(|w| w.min(0.0))?, -1.0),
        ];
        layer.shared(above, &terms)
    }
}
