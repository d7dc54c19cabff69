//! What an image is optimized for: functions from a model's activations to a number.

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::lang::Interrupt;
use crate::model::{Layer, Rules};
use crate::tensor::half_square_sum;

/// The strength of a layer: half the sum of the squares of its activations. Its gradient at the layer is the
/// activations themselves, so whatever the layer sees is amplified (DeepDream; Mordvintsev et al., 2015).
#[derive(Clone, Debug)]
pub struct Strength {
    /// The layer.
    pub layer: Layer,
}

impl Strength {
    /// The value for `input` [1, 3, height, width] in the network's input space; on its tape.
    ///
    /// # Errors
    /// The input is too small, or the run was interrupted.
    pub fn value(&self, input: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        let taps = self.layer.model().run(input, &[self.layer.id()], &Rules::default(), interrupt)?;
        let activations = taps.first().ok_or_else(|| Error::new(Kind::Internal, "a run returned nothing"))?;
        half_square_sum(activations)
    }
}
