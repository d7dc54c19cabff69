//! Flat and w²: by the weights alone, whatever was read.

use candle_core::Tensor;

use super::layer::quiet;
use super::{STABILIZER, Share, Weighted, stabilized};
use crate::error::Result;
use crate::tensor::zip;

/// Lapuschkin et al., 2019: relevance is shared out evenly among all inputs that a unit sees.
#[derive(Debug)]
pub(super) struct Flat;

/// Montavon et al., 2017: relevance is shared out by the squares of the weights.
#[derive(Debug)]
pub(super) struct WSquare;

impl Share for Flat {
    fn name(&self) -> String {
        "flat".to_owned()
    }

    fn share(&self, layer: &Weighted<'_>, above: &Tensor) -> Result<Tensor> {
        by_weights(layer, above, &layer.weight(|_| 1.0)?, None)
    }
}

impl Share for WSquare {
    fn name(&self) -> String {
        "w2".to_owned()
    }

    fn share(&self, layer: &Weighted<'_>, above: &Tensor) -> Result<Tensor> {
        by_weights(layer, above, &layer.weight(|w| w * w)?, layer.bias(|b| b * b)?.as_ref())
    }
}

fn by_weights(layer: &Weighted<'_>, above: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let sum = layer.at.through(&layer.x.ones_like()?, weight, bias)?;
    let ratio = zip(above, &sum, |relevance, sum| quiet(relevance / stabilized(sum, STABILIZER)))?;
    layer.at.back(&ratio, weight)
}
