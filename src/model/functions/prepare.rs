//! Images into a network's input space.

use crate::error::Result;
use crate::image::Image;
use crate::lang::define;
use crate::model::Model;
use crate::tensor::TensorValue;

/// An image as a tensor [1, 3, height, width] in the input space of a network, brought to its size.
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
