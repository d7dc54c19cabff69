//! What a network answers.

use crate::error::Result;
use crate::job::Job;
use crate::lang::define;
use crate::model::{Input, Network};
use crate::tensor::TensorValue;

/// The names of the classes of a model; of a single logit or probability, both classes.
///
/// ```rhai
/// classes()[105]
/// ```
#[define]
fn classes(job: &Job, #[options] network: &Network) -> Result<Vec<String>> {
    Ok(network.get(job)?.classes().names().to_vec())
}

/// What a network answers, for each image: its output [N, outputs], which is logits if they become probabilities by a
/// softmax or a sigmoid, also where the network's file ends in one. The model says what its output is.
///
/// ```rhai
/// forward(photo("chelsea")).argmax()
/// ```
#[define]
fn forward(
    job: &Job,
    /// An image, or a tensor [N, channels, height, width] that is already in the network's input space.
    x: Input,
    #[options] network: &Network,
) -> Result<TensorValue> {
    let model = network.get(job)?;
    Ok(model.forward(&x.tensor(&model)?, job.interrupt()).map_err(|error| error.at_argument("x"))?.into())
}

/// The probability of each class, for each image: [N, classes], from 0 to 1. They sum to 1 unless the classes are
/// independent. A regression gives its values.
///
/// ```rhai
/// probabilities(photo("chelsea")).max()
/// ```
#[define]
fn probabilities(
    job: &Job,
    /// An image, or a tensor [N, channels, height, width] that is already in the network's input space.
    x: Input,
    #[options] network: &Network,
) -> Result<TensorValue> {
    let model = network.get(job)?;
    let output = model.forward(&x.tensor(&model)?, job.interrupt()).map_err(|error| error.at_argument("x"))?;
    Ok(model.answer().probabilities(&output)?.into())
}
