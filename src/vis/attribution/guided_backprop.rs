//! Guided backpropagation: the gradient, of which every ReLU lets only what is positive through.

use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rule};
use crate::vis::Explain;

/// A sharp picture of what excites the units on the way to the score: the gradient at the network's input, of which every
/// ReLU lets through what is positive, where its input was positive too. It shows the image's edges more than what the
/// class rests on: another class, or random weights, change it little.
///
/// ```rhai
/// guided_backprop(photo("chelsea"))
/// ```
#[function(source = "Springenberg et al., Striving for Simplicity, 2014, arXiv:1412.6806")]
pub fn guided_backprop(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    let gradient = prediction.gradient(job, &Rule::Guided.into())?.squeeze(0)?;
    let unit = format!("|guided gradient| of the {}", prediction.score_name());
    Ok(Attribution::new("guided backpropagation", &prediction, gradient, Sign::Magnitude, unit))
}
