//! LRP-0 and LRP-ε: by the contributions to the value, which ε keeps away from zero.

use candle_core::Tensor;

use super::layer::quiet;
use super::{Share, Weighted, stabilized};
use crate::error::Result;
use crate::tensor::zip;

/// Bach et al., 2015: Rᵢ = Σⱼ xᵢ wᵢⱼ Rⱼ / (zⱼ ± ε).
#[derive(Debug)]
pub(super) struct Epsilon {
    /// ε; 0 leaves only what keeps from dividing by zero.
    pub(super) epsilon: f64,
}

/// Nothing is divided by less, even under LRP-0.
const LEAST: f64 = 1e-12;

impl Share for Epsilon {
    fn name(&self) -> String {
        if self.epsilon == 0.0 { "0".to_owned() } else { format!("epsilon {}", self.epsilon) }
    }

    fn share(&self, layer: &Weighted<'_>, above: &Tensor) -> Result<Tensor> {
        let epsilon = self.epsilon.max(LEAST);
        let ratio = zip(above, &layer.value()?, |relevance, z| quiet(relevance / stabilized(z, epsilon)))?;
        zip(&layer.at.back(&ratio, &layer.folded.weight)?, layer.x, |back, x| back * x)
    }
}
