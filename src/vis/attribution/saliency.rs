//! Saliency: which pixels would change the score most.

use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rules};
use crate::vis::Explain;

/// Which pixels would change the score of a class most: the gradient of the score at the network's input. The map shows
/// the largest magnitude over the colour channels, or with `signed` the sum: positive where a brighter pixel raises the
/// score.
///
/// ```rhai
/// saliency(photo("chelsea"), class="Egyptian cat")
/// ```
#[function(source = "Simonyan, Vedaldi and Zisserman, Deep Inside Convolutional Networks, 2013, arXiv:1312.6034")]
pub fn saliency(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// Whether the map shows the sign of the gradient too.
    #[default(false)]
    signed: bool,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.before_gradient(job, image)?;
    let gradient = prediction.gradient(job, &Rules::default())?.squeeze(0)?;
    let (sign, unit) = if signed { (Sign::Signed, "gradient") } else { (Sign::Magnitude, "|gradient|") };
    let unit = format!("{unit} of the {}", prediction.score_name());
    Ok(Attribution::new("saliency", &prediction, gradient, sign, unit))
}
