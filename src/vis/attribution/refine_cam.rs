//! RefineCAM: the product of the maps of several layers.

use candle_core::{D, Tensor};

use super::layer_maps::{AtLayers, LayerChoice, Maps, gradient_map};
use super::{Attribution, Sign, grad_cam_plus_plus};
use crate::error::Result;
use crate::image::{Filter, resample};
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, LayerName};
use crate::vis::Explain;

/// Where the evidence of early and of late layers agrees: the Grad-CAM++ maps of several layers, each scaled to 1 and
/// enlarged to the largest, multiplied. The late ones say what, the early ones where exactly.
///
/// ```rhai
/// refine_cam(photo("chelsea"))
/// ```
#[function(source = "RefineCAM, arXiv:2605.14641; jacobgil/pytorch-grad-cam")]
pub fn refine_cam(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The layers, as names or handles; if not given, the later half of those over the depth of the network.
    #[default]
    layers: Option<Vec<LayerName>>,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let one = |layer: LayerChoice| -> Result<AtLayers> {
        let maps = Maps { layer: Some(layer) };
        maps.each_gradient(job, "RefineCAM", image, explain, |prediction, layer| {
            gradient_map(job, "RefineCAM", prediction, layer, false, grad_cam_plus_plus::combine)
        })
    };
    let maps: Vec<Attribution> = match layers {
        Some(layers) => layers.into_iter().map(|layer| one(layer.into())?.one()).collect::<Result<_>>()?,
        None => match one(LayerChoice::All)? {
            AtLayers::One(one) => vec![*one],
            AtLayers::All(all) => {
                let half = all.len() / 2;
                all.into_iter().skip(half).collect()
            }
        },
    };
    let sizes = maps.iter().map(|map| Ok((map.values.dim(D::Minus2)?, map.values.dim(D::Minus1)?)));
    let sizes: Vec<(usize, usize)> = sizes.collect::<Result<_>>()?;
    let (height, width) = sizes.iter().copied().max_by_key(|(height, width)| height * width).unwrap_or((1, 1));
    let mut product = vec![1f32; height * width];
    for (map, size) in maps.iter().zip(&sizes) {
        let values: Vec<f32> = map.values.flatten_all()?.to_vec1()?;
        let large = resample(&values, (size.1, size.0), (width, height), Filter::Bilinear)?;
        let most = large.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        product.iter_mut().zip(large).for_each(|(product, value)| *product *= value.max(0.0) / most);
    }
    let Some(last) = maps.last() else {
        let message = "refine_cam: `layers` is an empty list";
        return Err(crate::error::Error::new(crate::error::Kind::Argument, message).at_argument("layers"));
    };
    let values = Tensor::from_vec(product, (1, height, width), last.values.device())?;
    let names: Vec<&str> = maps.iter().filter_map(|map| map.layer.as_ref()).map(crate::model::Layer::name).collect();
    let unit = format!("product of {} maps, each up to 1", maps.len());
    let note = format!("From layers {}.", names.join(", "));
    Ok(Attribution::new("RefineCAM", &last.prediction, values, Sign::Positive, unit).noted(note))
}
