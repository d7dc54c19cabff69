//! Saliency: which pixels would change the score most (Simonyan, Vedaldi and Zisserman, "Deep Inside
//! Convolutional Networks", 2013).

use candle_core::Var;

use super::{Attribution, Question, Sign};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::lang::{Context, define};
use crate::model::{ClassName, Model, Rules, or_embedded};

/// Which pixels would change the score of a class most: the gradient's absolute value, the greatest of the input's
/// channels.
///
/// ```rhai
/// saliency(photo("chelsea"), class="Egyptian cat")
/// ```
#[define]
fn saliency(
    cx: &Context<'_>,
    /// The image.
    image: Image,
    /// The class, by name or number; the most probable one if not given.
    #[default]
    class: Option<ClassName>,
    /// The network; the embedded one if not given.
    #[default]
    model: Option<Model>,
) -> Result<Attribution> {
    let question = Question::new(cx, or_embedded(cx, model)?, &image, class.as_ref())?;
    let input = Var::from_tensor(&question.input)?;
    let output = [question.model.graph().output()];
    let logits = question.model.run(input.as_tensor(), &output, &Rules::default(), cx.interrupt())?;
    let score = logits.first().map(|logits| Ok::<_, Error>(question.scores(logits)?.sum_all()?)).transpose()?;
    let gradients = score.map(|score: candle_core::Tensor| score.backward()).transpose()?;
    let gradient = gradients
        .as_ref()
        .and_then(|gradients| gradients.get(&input))
        .ok_or_else(|| Error::new(Kind::Internal, "the score does not depend on the image"))?;
    let values = gradient.squeeze(0)?.abs()?.max(0)?.flatten_all()?.to_vec1()?;
    let measures = format!("|gradient| of the {}", question.score_name());
    Ok(question.answer("saliency", values, Sign::Magnitude, measures))
}
