//! What an image is optimized for: functions from a model's activations to a number.

use candle_core::Tensor;

use crate::error::Result;
use crate::lang::Interrupt;
use crate::model::{Layer, Rules};

/// The strength of a layer: half the sum of the squares of its activations. Its gradient at the layer is the
/// activations themselves, so whatever the layer sees is amplified (DeepDream; Mordvintsev et al., 2015).
#[derive(Clone, Debug)]
pub struct Strength {
    /// The layer.
    pub layer: Layer,
}

impl Strength {
    /// Its gradient at `input` [1, 3, height, width] in the network's input space.
    ///
    /// # Errors
    /// The input is too small, or the run was interrupted.
    pub fn gradient(&self, input: &Tensor, interrupt: &Interrupt) -> Result<Tensor> {
        let (activations, back) =
            self.layer.model().pullback(input, &[self.layer.id()], &Rules::default(), interrupt)?;
        back.gradient(&activations)
    }
}
