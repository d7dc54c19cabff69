//! HiResCAM: the maps of a layer times the gradient, place by place.

use super::layer_maps::{AtLayers, Maps, gradient_map};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;

/// Where a layer's evidence for a class lies: its maps times the gradient of the score, place by place, added up. Behind the
/// layer only a linear part left, it shows exactly what raised the score; `grad_cam` may show places that did not.
///
/// ```rhai
/// hires_cam(photo("chelsea"))
/// ```
#[function(source = "Draelos and Carin, HiResCAM, 2020, arXiv:2011.08891")]
pub fn hires_cam(
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
    maps.each_gradient(job, "HiResCAM", image, explain, |prediction, layer| {
        gradient_map(job, "HiResCAM", prediction, layer, augment, |activations, gradient| {
            Ok((activations * gradient)?.sum(1)?)
        })
    })
}
