//! What a layer answers to an image, channel by channel.

use std::fmt;

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, IntoValue, Provenance, function, value_type};
use crate::model::{Input, Layer};
use crate::tensor::TensorValue;

/// The channels of a layer for one image.
#[derive(Clone, Debug)]
pub struct Activations {
    /// The layer.
    pub layer: Layer,
    /// The image as the network saw it.
    pub image: Image,
    /// `[channels, height, width]`; a layer without places has height and width 1.
    pub values: Tensor,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Activations, "activations", "activations", "The channels of a layer for one image.", provenance);

impl fmt::Display for Activations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.values.dims() {
            [channels, height, width] => {
                write!(f, "{channels} channels of {height}×{width} of layer {}", self.layer.name())
            }
            dims => write!(f, "activations {dims:?} of layer {}", self.layer.name()),
        }
    }
}

/// The activations of a layer for an image.
///
/// # Errors
/// The image cannot become the network's input, or the run was interrupted.
pub fn activations(job: &Job, layer: &Layer, image: &Image) -> Result<Activations> {
    let model = layer.model();
    let view = model.view(image)?;
    let values = layer.activations(&model.input(&view)?, job.interrupt())?.squeeze(0)?;
    let values = match values.rank() {
        3 => values,
        1 => values.reshape((values.dim(0)?, 1, 1))?,
        _ => return Err(Error::new(Kind::Internal, format!("a layer answered with shape {:?}", values.dims()))),
    };
    Ok(Activations { layer: layer.clone(), image: view, values, provenance: None })
}

/// What each channel of a layer answers to an image. Of a tensor, which can hold several inputs and be differentiated, it
/// is the tensor of the layer's activations [N, channels, height, width].
///
/// ```rhai
/// layer("fire2").activations(photo("china"))
/// ```
///
/// ```rhai
/// let x = prepare(photo("china"));
/// grad(|x| layer("fire2").activations(x).slice(1, 5, 6).mean(), x).shape
/// ```
#[function(name = "activations")]
fn activations_of(
    job: &Job,
    /// The layer.
    layer: &Layer,
    /// An image, or a tensor [N, channels, height, width] in the network's input space, as `prepare` makes it.
    x: Input,
) -> Result<Dynamic> {
    match x {
        Input::Image(image) => Ok(activations(job, layer, &image)?.into_value()),
        Input::Tensor(x) => {
            let values = layer.activations(x.inner(), job.interrupt()).map_err(|error| error.at_argument("x"))?;
            Ok(TensorValue::from(values).into_value())
        }
    }
}

/// Activations as a tensor [channels, height, width].
///
/// ```rhai
/// layer("conv1").activations(photo("china")).values.max()
/// ```
#[function(property)]
fn values(
    /// The activations.
    activations: &Activations,
) -> Result<TensorValue> {
    Ok(activations.values.clone().into())
}
