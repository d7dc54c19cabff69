//! IDGI: integrated gradients without what does not change the score.

use candle_core::Tensor;

use super::integrated_gradients::Path;
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rules};
use crate::vis::{Explain, Gradients};

/// What each pixel contributes to the difference between the score of the image and that of a baseline, with only the part
/// of each step along the gradient: each step's change of the score is shared among the pixels by their squared gradients,
/// so that noise across it is left out. The sum is exact, the values are not negative where the score rises.
///
/// ```rhai
/// idgi(photo("chelsea"), steps=20)
/// ```
#[function(source = "Yang, Wang and Bilgic, IDGI, 2023, arXiv:2303.14242")]
pub fn idgi(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] path: &Path,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    path.baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let baselines = path.baseline.inputs(job, &prediction, path.seed)?;
    let starts: Vec<Vec<f32>> =
        baselines.iter().map(|start| start.flatten_all()?.to_vec1()).collect::<candle_core::Result<_>>()?;
    // both ends of each of the steps
    let points = path.steps + 1;
    let make = |index: usize, x: &mut [f32]| {
        let (start, place) = (&starts[index / points], (index % points) as f32 / path.steps as f32);
        x.iter_mut().zip(start).for_each(|(x, start)| *x = start + place * (*x - start));
        Ok(())
    };
    let mut values = vec![0f64; prediction.input.elem_count()];
    // the squared gradients at a step's beginning, with their sum, and the score there
    let mut begun: Option<(Vec<f32>, f64, f32)> = None;
    let at = Gradients { rules: &Rules::default(), layer: None };
    prediction.each_gradient(job, "IDGI", points * starts.len(), &at, &mut (), make, |(), range, pass| {
        for ((index, mut squares), score) in
            range.zip(pass.gradient.flatten_from(1)?.to_vec2::<f32>()?).zip(pass.scores)
        {
            if index % points > 0
                && let Some((squares, total, before)) = &begun
                && *total > 0.0
            {
                let share = f64::from(score - before) / total / starts.len() as f64;
                values.iter_mut().zip(squares).for_each(|(value, square)| *value += share * f64::from(*square));
            }
            squares.iter_mut().for_each(|gradient| *gradient *= *gradient);
            let total = crate::tensor::sum_of(&squares, f64::from);
            begun = Some((squares, total, score));
        }
        Ok(())
    })?;
    let start = super::integrated_gradients::baseline_score(job, &prediction, &baselines)?;
    let error = values.iter().sum::<f64>() - (f64::from(prediction.score) - start);
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let values = Tensor::from_vec(values, prediction.input.shape(), prediction.input.device())?.squeeze(0)?;
    let unit = format!("part of the {}", prediction.score_name());
    Ok(Attribution::new("IDGI", &prediction, values, Sign::Signed, unit).with_completeness_error(error))
}
