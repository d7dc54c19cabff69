//! The deconvnet: the gradient, with the ReLUs applied on the way back instead of their derivatives.

use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rule};
use crate::vis::Explain;

/// What excites the units on the way to the score: the gradient at the network's input, of which every ReLU lets through
/// what is positive, whatever its own input was.
///
/// ```rhai
/// deconvnet(photo("chelsea"))
/// ```
#[function(source = "Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, arXiv:1311.2901")]
pub fn deconvnet(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    let gradient = prediction.gradient(job, &Rule::Deconvnet.into())?.squeeze(0)?;
    let unit = format!("|deconvnet gradient| of the {}", prediction.score_name());
    Ok(Attribution::new("deconvnet", &prediction, gradient, Sign::Magnitude, unit))
}
