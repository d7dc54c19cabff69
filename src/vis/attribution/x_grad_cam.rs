//! XGrad-CAM: as Grad-CAM, with the weights that conserve the score best.

use super::layer_maps::{AtLayers, Maps, gradient_map, weighted_sum};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;

/// Keeps weights finite where a map is empty.
const EPSILON: f64 = 1e-7;

/// Where a layer's evidence for a class lies: as `grad_cam`, but the gradients of a map are averaged with its activations as
/// weights, which makes the maps sum to the score as nearly as a weight for each can.
///
/// ```rhai
/// x_grad_cam(photo("chelsea"))
/// ```
#[function(source = "Fu et al., Axiom-based Grad-CAM, 2020, arXiv:2008.02312")]
pub fn x_grad_cam(
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
    maps.each_gradient(job, "XGrad-CAM", image, explain, |prediction, layer| {
        gradient_map(job, "XGrad-CAM", prediction, layer, augment, |activations, gradient| {
            let sums = (activations.sum_keepdim((2, 3))? + EPSILON)?;
            let weights = (gradient * activations)?.sum_keepdim((2, 3))?.div(&sums)?;
            weighted_sum(activations, &weights)
        })
    })
}
