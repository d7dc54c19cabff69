//! Integrated gradients: the gradient along a straight line from a baseline to the image.

use candle_core::Tensor;

use super::quadrature::Quadrature;
use super::{Attribution, Baselines, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::Input;
use crate::vis::{Explain, Prediction};

/// The steps are not doubled beyond this.
const MOST_STEPS: usize = 1600;

/// A straight line from a baseline to the image.
#[derive(Clone, Debug, Options)]
pub struct Path {
    /// Where the line starts, the image of nothing: "black", "white", "mean", "grey", "blur", "noise", a colour, an image,
    /// or a list of these, over which the result is averaged.
    #[default("black")]
    pub baseline: Baselines,
    /// Places on the line where the gradient is taken.
    #[default(50)]
    #[range(2..=10000)]
    pub steps: usize,
    /// The seed of noise as a baseline; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// What each pixel contributes to the difference between the score of the image and that of a baseline: the gradient,
/// averaged along the straight line between both, times how far the pixel has changed. The contributions sum to the
/// difference; the steps are doubled until they do up to `tolerance`, and what remains is stated.
///
/// ```rhai
/// integrated_gradients(photo("chelsea"), steps=20)
/// ```
#[function(source = "Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks, 2017, arXiv:1703.01365")]
pub fn integrated_gradients(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] path: &Path,
    /// How the integral is computed: "gauss-legendre" or "trapezoid".
    #[default("gauss-legendre")]
    rule: Quadrature,
    /// How far the sum may be from the difference of both scores, as a part of it, before the steps are doubled, up to 1,600;
    /// 1 leaves them as they are.
    #[default(0.05)]
    #[range(0.0..=1.0)]
    tolerance: f64,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    path.baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let baselines = path.baseline.inputs(job, &prediction, path.seed)?;
    let start = baseline_score(job, &prediction, &baselines)?;
    let difference = f64::from(prediction.score) - start;
    let mut steps = path.steps;
    let (values, error) = loop {
        let values = integrate(job, &prediction, &baselines, rule, steps)?;
        let error = values.iter().sum::<f64>() - difference;
        if error.abs() <= tolerance * difference.abs() || tolerance >= 1.0 || steps * 2 > MOST_STEPS {
            break (values, error);
        }
        steps *= 2;
    };
    job.note("steps", steps.to_string());
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let values = Tensor::from_vec(values, prediction.input.shape(), prediction.input.device())?.squeeze(0)?;
    let unit = format!("part of the {}", prediction.score_name());
    Ok(Attribution::new("integrated gradients", &prediction, values, Sign::Signed, unit).with_completeness_error(error))
}

/// The mean score of the baselines.
pub(super) fn baseline_score(job: &Job, prediction: &Prediction, baselines: &[Tensor]) -> Result<f64> {
    let mut sum = 0.0;
    for baseline in baselines {
        sum += f64::from(prediction.score_of(job, baseline)?);
    }
    Ok(sum / baselines.len().max(1) as f64)
}

/// The integral for each number of the input, averaged over the baselines.
pub(super) fn integrate(
    job: &Job,
    prediction: &Prediction,
    baselines: &[Tensor],
    rule: Quadrature,
    steps: usize,
) -> Result<Vec<f64>> {
    let places = rule.places(steps);
    let weights: Vec<f64> = places.iter().map(|(_, weight)| weight / baselines.len().max(1) as f64).collect();
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let mut values = vec![0f64; input.len()];
    for baseline in baselines {
        let start: Vec<f32> = baseline.flatten_all()?.to_vec1()?;
        let make = |index: usize, x: &mut [f32]| {
            let place = places[index].0 as f32;
            x.iter_mut().zip(&start).for_each(|(x, start)| *x = start + place * (*x - start));
            Ok(())
        };
        let gradient = prediction.sum_of_gradients(job, "integrated gradients", &weights, make)?;
        let terms = values.iter_mut().zip(&gradient).zip(input.iter().zip(&start));
        terms.for_each(|((sum, gradient), (x, start))| *sum += gradient * f64::from(x - start));
    }
    Ok(values)
}
