//! Grad-CAM: the maps of a layer, weighted by how much the score depends on each.

use super::{Attribution, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Layer, LayerName, Model};
use crate::vis::Explain;

/// Where a layer's evidence for a class lies: its maps, each weighted by the mean gradient of the score on it, added up;
/// what speaks against the class is cut off at 0.
///
/// The values have the resolution of the layer, which is coarse for late ones.
///
/// ```rhai
/// grad_cam(photo("chelsea"), class="Egyptian cat")
/// ```
#[function(source = "Selvaraju et al., Grad-CAM, 2017, arXiv:1610.02391")]
pub fn grad_cam(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layer: a layer, which decides the network, or the name of one. If not given, the network's last that has places.
    #[default]
    #[leading]
    layer: Option<LayerName>,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let (prediction, layer) = explain.prediction_at(job, image, layer.as_ref(), Model::default_cam_layer)?;
    check_places(&layer)?;
    let (activations, gradient) = prediction.gradient_at(job, &layer)?;
    let weights = gradient.mean_keepdim((2, 3))?;
    let map = activations.broadcast_mul(&weights)?.sum(1)?.relu()?;
    let unit = format!("evidence for the {}", prediction.score_name());
    Ok(Attribution::new("Grad-CAM", &prediction, map, Sign::Positive, unit).of_layer(layer))
}

/// A map needs a layer with places.
fn check_places(layer: &Layer) -> Result<()> {
    if matches!(layer.shape(), [_, height, width] if height * width > 1) {
        return Ok(());
    }
    let message = format!("grad_cam: layer {} has no places, its shape is {:?}", layer.name(), layer.shape());
    let error = Error::new(Kind::Argument, message).at_argument("layer");
    Err(error.with_hint("choose one before the last pooling"))
}
