//! What a network answers.

use crate::error::Result;
use crate::lang::{Context, define};
use crate::model::{Input, Model};
use crate::tensor::TensorValue;

/// The names of the classes of a model.
///
/// ```rhai
/// model("squeezenet1_1").classes()[105]
/// ```
#[define]
fn classes(
    /// The model.
    model: Model,
) -> Result<Vec<String>> {
    Ok(model.classes().names().to_vec())
}

/// What a network answers before softmax, for each image and class: logits [N, classes].
///
/// ```rhai
/// forward(model("squeezenet1_1"), photo("chelsea")).argmax()
/// ```
#[define]
fn forward(
    cx: &Context<'_>,
    /// The model.
    model: Model,
    /// An image, or a tensor [N, 3, height, width] that is already in the network's input space.
    x: Input,
) -> Result<TensorValue> {
    let input = match x {
        Input::Image(image) => model.input(&model.view(&image)?)?,
        Input::Tensor(tensor) => tensor.inner().clone(),
    };
    Ok(model.forward(&input, cx.interrupt()).map_err(|error| error.at_argument("x"))?.into())
}
