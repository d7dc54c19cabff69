//! Grad-CAM: the maps of a layer, weighted by how much the score depends on each.

use super::layer_maps::{AtLayers, Maps, gradient_map, weighted_sum};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::tensor::mean;
use crate::vis::Explain;

/// Where a layer's evidence for a class lies: its maps, each weighted by the mean gradient of the score on it, added up;
/// what speaks against the class is cut off at 0.
///
/// The values have the resolution of the layer, which is coarse for late ones.
///
/// ```rhai
/// grad_cam(photo("chelsea"), class="Egyptian cat")
/// ```
///
/// ```rhai
/// grad_cam(photo("chelsea"), layer="all")
/// ```
#[function(source = "Selvaraju et al., Grad-CAM, 2017, arXiv:1610.02391")]
pub fn grad_cam(
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
    maps.each_gradient(job, "Grad-CAM", image, explain, |prediction, layer| {
        gradient_map(job, "Grad-CAM", prediction, layer, augment, |activations, gradient| {
            weighted_sum(activations, &mean(gradient, &[2, 3], true)?)
        })
    })
}
