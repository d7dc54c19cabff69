//! LayerCAM: the maps of a layer times the positive gradient, place by place.

use super::layer_maps::{AtLayers, Maps, gradient_map};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;

/// Where a layer's evidence for a class lies: its maps, each place weighted by the positive part of the gradient there. It
/// works for early layers too, whose maps are finer.
///
/// ```rhai
/// layer_cam(photo("chelsea"), layer="fire5")
/// ```
#[function(source = "Jiang et al., LayerCAM, 2021, doi:10.1109/TIP.2021.3089943")]
pub fn layer_cam(
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
    maps.each_gradient(job, "LayerCAM", image, explain, |prediction, layer| {
        gradient_map(job, "LayerCAM", prediction, layer, augment, |activations, gradient| {
            Ok((activations * gradient.relu()?)?.sum(1)?)
        })
    })
}
