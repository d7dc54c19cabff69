//! Grad-CAM++: as Grad-CAM, with weights that give each place of a map its own share.

use candle_core::Tensor;

use super::layer_maps::{AtLayers, Maps, gradient_map, weighted_sum};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;

/// Keeps the shares finite where nothing happens.
const EPSILON: f64 = 1e-6;

/// Where a layer's evidence for a class lies: as `grad_cam`, but each map is weighted by its positive gradients, so that
/// several things of the class in one image, and small ones, count as much as one large one.
///
/// ```rhai
/// grad_cam_plus_plus(photo("chelsea"))
/// ```
#[function(source = "Chattopadhyay et al., Grad-CAM++, 2017, arXiv:1710.11063; jacobgil/pytorch-grad-cam")]
pub fn grad_cam_plus_plus(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] maps: &Maps,
    /// Whether the map is the mean over six copies of the input: mirrored or not, times 0.9, 1 and 1.1.
    #[default(false)]
    augment: bool,
    #[options] explain: &Explain,
) -> Result<AtLayers> {
    maps.each_gradient(job, "Grad-CAM++", image, explain, |prediction, layer| {
        gradient_map(job, "Grad-CAM++", prediction, layer, augment, combine)
    })
}

/// The map of activations and gradients `[1, channels, h, w]`, `[1, h, w]`.
pub(super) fn combine(activations: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let squares = gradient.sqr()?;
    let sums = activations.sum_keepdim((2, 3))?;
    let denominator = ((&squares * 2.0)? + (&squares * gradient)?.broadcast_mul(&sums)?)?;
    let shares = (&squares / (denominator + EPSILON)?)?;
    let shares = gradient.ne(0f32)?.where_cond(&shares, &shares.zeros_like()?)?;
    let weights = (gradient.relu()? * shares)?.sum_keepdim((2, 3))?;
    weighted_sum(activations, &weights)
}
