//! What a network answers.

use crate::error::Result;
use crate::job::Job;
use crate::lang::define;
use crate::model::{Input, Network};
use crate::tensor::TensorValue;

/// The names of the classes of a model.
///
/// ```rhai
/// classes()[105]
/// ```
#[define]
fn classes(job: &Job, #[options] network: &Network) -> Result<Vec<String>> {
    Ok(network.get(job)?.classes().names().to_vec())
}

/// What a network answers before softmax, for each image and class: logits [N, classes].
///
/// ```rhai
/// forward(photo("chelsea")).argmax()
/// ```
#[define]
fn forward(
    job: &Job,
    /// An image, or a tensor [N, 3, height, width] that is already in the network's input space.
    x: Input,
    #[options] network: &Network,
) -> Result<TensorValue> {
    let model = network.get(job)?;
    let input = match x {
        Input::Image(image) => model.input(&model.view(&image)?)?,
        Input::Tensor(tensor) => tensor.inner().clone(),
    };
    Ok(model.forward(&input, job.interrupt()).map_err(|error| error.at_argument("x"))?.into())
}
