//! Images into a network's input space, and back.

use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::define;
use crate::model::Network;
use crate::tensor::TensorValue;

/// An image as a tensor [1, channels, height, width] in the input space of a network, brought to its size.
///
/// In that space a number is (pixel · range − mean) / std, channel by channel: pixels go from 0 to 1, and the rest is the
/// network's, which the model shows. Networks of torchvision take RGB with range 1, about −2.1 to 2.6; the embedded
/// one takes BGR with range 255 and a mean of [104, 117, 123]. A grey network has one channel, the luminance (Rec. 601).
/// `unprepare` goes back.
///
/// ```rhai
/// prepare(photo("china")).shape
/// ```
#[define]
fn prepare(
    job: &Job,
    /// The image.
    image: Image,
    #[options] network: &Network,
) -> Result<TensorValue> {
    let model = network.get(job)?;
    Ok(model.input(&model.view(&image)?)?.into())
}

/// The image that became a tensor in the input space of a network: the inverse of `prepare`.
///
/// Each number becomes the pixel (number · std + mean) / range, in the network's order of channels; pixels below 0 and
/// above 1 are cut off. The size stays that of the tensor. An input with one channel becomes a grey image.
///
/// ```rhai
/// unprepare(prepare(photo("china")))
/// ```
#[define]
fn unprepare(
    job: &Job,
    /// The tensor: [1, channels, height, width] or [channels, height, width].
    tensor: TensorValue,
    #[options] network: &Network,
) -> Result<Image> {
    network.get(job)?.image_of(tensor.inner()).map_err(|error| error.at_argument("tensor"))
}
