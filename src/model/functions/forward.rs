//! What a network answers.

use crate::error::Result;
use crate::lang::{Context, define};
use crate::model::{Input, Model};
use crate::tensor::TensorValue;

/// The names of the classes of a model; of a single logit or probability, both classes.
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

/// What a network answers, for each image: its output [N, outputs], which is logits if they become probabilities by a
/// softmax or a sigmoid, also where the network's file ends in one. The model says what its output is.
///
/// ```rhai
/// forward(model("squeezenet1_1"), photo("chelsea")).argmax()
/// ```
#[define]
fn forward(
    cx: &Context<'_>,
    /// The model.
    model: Model,
    /// An image, or a tensor [N, channels, height, width] that is already in the network's input space.
    x: Input,
) -> Result<TensorValue> {
    Ok(model.forward(&x.tensor(&model)?, cx.interrupt()).map_err(|error| error.at_argument("x"))?.into())
}

/// The probability of each class, for each image: [N, classes], from 0 to 1. They sum to 1 unless the classes are
/// independent. A regression gives its values.
///
/// ```rhai
/// probabilities(model("squeezenet1_1"), photo("chelsea")).max()
/// ```
#[define]
fn probabilities(
    cx: &Context<'_>,
    /// The model.
    model: Model,
    /// An image, or a tensor [N, channels, height, width] that is already in the network's input space.
    x: Input,
) -> Result<TensorValue> {
    let output = model.forward(&x.tensor(&model)?, cx.interrupt()).map_err(|error| error.at_argument("x"))?;
    Ok(model.answer().probabilities(&output)?.into())
}
