//! The squared length of an image, which a regularizer keeps small.

use candle_core::{Device, Tensor};

use super::{Objective, only};
use crate::error::Result;
use crate::job::Job;
use crate::model::{Model, NodeId};

/// ‖I − c‖₂²: the sum over all pixels and colours of the square of what they differ from a colour c, red, green and blue
/// from 0 to 1. Simonyan, Vedaldi and Zisserman (2013, arXiv:1312.6034) subtract λ times it, where c is the mean of the
/// images that a network was trained on.
#[derive(Clone, Copy, Debug)]
pub struct SquaredNorm {
    /// The colour.
    pub around: [f32; 3],
}

impl Objective for SquaredNorm {
    fn taps(&self, _: &Job, model: &Model, _: &Tensor) -> Result<Vec<NodeId>> {
        model.recipe().check_picture()?;
        Ok(vec![NodeId::INPUT])
    }

    fn values(&self, _: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let rgb = model.recipe().from_input(only(activations)?)?;
        let around = Tensor::from_slice(&self.around, (1, 3, 1, 1), &Device::Cpu)?;
        Ok(rgb.broadcast_sub(&around)?.sqr()?.flatten_from(1)?.sum(1)?)
    }

    fn description(&self, _: &Model) -> String {
        "squared norm of the image".to_owned()
    }
}
