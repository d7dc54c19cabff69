//! Images into a network's input space, and back.

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Reject, function};
use crate::model::{Model, Network};
use crate::tensor::TensorValue;

/// An image as a tensor [1, channels, height, width] in the input space of a network, brought to its size.
///
/// Of a tensor of pixels [N, 3, height, width], whose size stays, it is [N, channels, height, width]. That is
/// differentiable, for pixels that are optimized.
///
/// In that space a number is (pixel · range − mean) / std, channel by channel: pixels go from 0 to 1, and the rest is the
/// network's, which the model shows. Networks of torchvision take RGB with range 1, about −2.1 to 2.6; the embedded
/// one takes BGR with range 255 and a mean of [104, 117, 123]. A grey network has one channel, the luminance (Rec. 601).
/// `unprepare` goes back.
///
/// ```rhai
/// prepare(photo("china")).shape
/// ```
///
/// ```rhai
/// let pixels = photo("china").resize(96, 64).to_tensor();
/// grad(|pixels| layer("fire2").activations(prepare(pixels)).mean(), pixels).shape
/// ```
#[function]
fn prepare(
    job: &Job,
    /// An image, or pixels from 0 to 1: a tensor [3, height, width] or [N, 3, height, width].
    image: &Picture,
    #[options] network: &Network,
) -> Result<TensorValue> {
    let model = network.get(job)?;
    image.prepared(&model).map(TensorValue::from).map_err(|error| error.at_argument("image"))
}

/// An image, or the pixels of several.
enum Picture {
    Image(Image),
    /// [3, height, width] or [N, 3, height, width].
    Pixels(TensorValue),
}

impl FromValue for Picture {
    const EXPECTED: &'static str = "an image or a tensor of pixels";
    const TYPES: &'static [&'static str] = &["image", "tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match value.clone().try_cast::<Image>() {
            Some(image) => Ok(Self::Image(image)),
            None => TensorValue::from_value(value).map(Self::Pixels),
        }
    }
}

impl Picture {
    fn prepared(&self, model: &Model) -> Result<Tensor> {
        let pixels = match self {
            Self::Image(image) => return model.input(&model.view(image)?),
            Self::Pixels(pixels) => pixels.inner(),
        };
        match pixels.dims() {
            [3, _, _] => model.recipe().to_input(&pixels.unsqueeze(0)?),
            [_, 3, _, _] => model.recipe().to_input(pixels),
            dims => Err(Error::new(Kind::Tensor, format!("prepare: a tensor of shape {dims:?} is no picture"))
                .with_hint("it takes pixels as [3, height, width] or [N, 3, height, width]")),
        }
    }
}

/// The image that became a tensor in the input space of a network: the inverse of `prepare`.
///
/// Each number becomes the pixel (number · std + mean) / range, in the network's order of channels; pixels below 0 and
/// above 1 are cut off. The size stays that of the tensor. An input with one channel becomes a grey image.
///
/// ```rhai
/// unprepare(prepare(photo("china")))
/// ```
#[function]
fn unprepare(
    job: &Job,
    /// The tensor: [1, channels, height, width] or [channels, height, width].
    tensor: TensorValue,
    #[options] network: &Network,
) -> Result<Image> {
    network.get(job)?.image_of(tensor.inner()).map_err(|error| error.at_argument("tensor"))
}
