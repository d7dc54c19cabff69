//! Images into a network's input space, and back.

use crate::error::Result;
use crate::image::Image;
use crate::lang::define;
use crate::model::Model;
use crate::tensor::TensorValue;

/// An image as a tensor [1, channels, height, width] in the input space of a network, brought to its size.
///
/// In that space a number is (pixel · range − mean) / std, channel by channel: pixels go from 0 to 1, and the rest is the
/// network's, which the model shows. Networks of torchvision take RGB with range 1, about −2.1 to 2.6; the embedded
/// one takes BGR with range 255 and a mean of [104, 117, 123]. A grey network has one channel, the luminance (Rec. 601).
/// `unprepare` goes back.
///
/// ```rhai
/// model("squeezenet1_1").prepare(photo("china")).shape
/// ```
#[define]
fn prepare(
    /// The model.
    model: Model,
    /// The image.
    image: Image,
) -> Result<TensorValue> {
    Ok(model.input(&model.view(&image)?)?.into())
}

/// The image that became a tensor in the input space of a network: the inverse of `prepare`.
///
/// Each number becomes the pixel (number · std + mean) / range, in the network's order of channels; pixels below 0 and
/// above 1 are cut off. The size stays that of the tensor. An input with one channel becomes a grey image.
///
/// ```rhai
/// let m = model("squeezenet1_1");
/// m.unprepare(m.prepare(photo("china")))
/// ```
#[define]
fn unprepare(
    /// The model.
    model: Model,
    /// The tensor: [1, channels, height, width] or [channels, height, width].
    tensor: TensorValue,
) -> Result<Image> {
    model.image_of(tensor.inner()).map_err(|error| error.at_argument("tensor"))
}
