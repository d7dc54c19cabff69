//! Gradient × input: what each pixel contributes, if the network were linear.

use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rules};
use crate::vis::Explain;

/// What each pixel would contribute to the score if the network were linear: the gradient times the input. It depends on
/// what the network takes for zero, which for most is a mean colour; `integrated_gradients` makes that a choice.
///
/// ```rhai
/// input_x_gradient(photo("chelsea"))
/// ```
#[function(source = "Shrikumar et al., Not Just a Black Box, 2016, arXiv:1605.01713")]
pub fn input_x_gradient(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.before_gradient(job, image)?;
    let gradient = prediction.gradient(job, &Rules::default())?;
    let values = (gradient * &prediction.input)?.squeeze(0)?;
    let unit = format!("part of the {}", prediction.score_name());
    Ok(Attribution::new("gradient × input", &prediction, values, Sign::Signed, unit))
}
