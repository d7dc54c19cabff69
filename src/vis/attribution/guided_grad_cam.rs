//! Guided Grad-CAM: guided backpropagation where Grad-CAM finds evidence.

use super::layer_maps::{AtLayers, Maps, gradient_map, weighted_sum};
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rule};
use crate::tensor::{InterpolateMode, interpolate, mean};
use crate::vis::Explain;

/// The sharp lines of guided backpropagation where Grad-CAM finds evidence for the class: the product of both, after the
/// coarse map has been enlarged bilinearly to the size of the input.
///
/// ```rhai
/// guided_grad_cam(photo("chelsea"), class="Egyptian cat")
/// ```
#[function(source = "Selvaraju et al., Grad-CAM, 2017, arXiv:1610.02391")]
pub fn guided_grad_cam(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] maps: &Maps,
    #[options] explain: &Explain,
) -> Result<AtLayers> {
    maps.each_gradient(job, "guided Grad-CAM", image, explain, |prediction, layer| {
        let guided = prediction.gradient(job, &Rule::Guided.into())?.squeeze(0)?;
        let cam = gradient_map(job, "Grad-CAM", prediction, layer.clone(), false, |activations, gradient| {
            weighted_sum(activations, &mean(gradient, &[2, 3], true)?)
        })?;
        let size = [guided.dim(1)?, guided.dim(2)?];
        let cam = interpolate(&cam.values, size, InterpolateMode::Bilinear, false)?;
        let values = guided.broadcast_mul(&cam)?;
        let unit = format!("|guided gradient × evidence| of the {}", prediction.score_name());
        let product = Attribution::new("guided Grad-CAM", prediction, values, Sign::Magnitude, unit);
        Ok(product.noted(format!("Where layer {} has evidence for it.", layer.label())))
    })
}
