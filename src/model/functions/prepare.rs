//! Images into a network's input space.

use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::define;
use crate::model::Network;
use crate::tensor::TensorValue;

/// An image as a tensor [1, 3, height, width] in the input space of a network, brought to its size.
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
