//! Expected gradients (GradientSHAP): integrated gradients over random baselines and random places on the line.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::integrated_gradients::baseline_score;
use super::{Anytime, Attribution, Baselines, Means, Sampling, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rules};
use crate::tensor::normal;
use crate::vis::{Explain, Gradients, Pass};

/// Pairs of a baseline and a place that are usual.
const USUAL: usize = 50;

/// What each pixel contributes on average over several baselines: for each sample one of them and one place on the line from
/// it to the image are drawn, and the gradient there counts times the difference. It estimates the SHAP values of a network
/// that is linear between the image and its baselines.
///
/// ```rhai
/// expected_gradients(photo("chelsea"), baseline=["black", "white", "noise"], samples=25, seed=1)
/// ```
#[function(
    source = "Erion et al., Expected Gradients, 2019, arXiv:1906.10670; Lundberg and Lee, 2017, arXiv:1705.07874 (GradientSHAP)"
)]
pub fn expected_gradients(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// The baselines: "black", "white", "mean", "grey", "blur", "noise", a colour, an image, or a list of these.
    #[default(["black", "white", "blur", "noise"])]
    baseline: Baselines,
    #[options] sampling: &Sampling,
    /// The standard deviation of noise that is added to the image in each sample, as a part of the range of the network's
    /// input.
    #[default(0.0)]
    #[range(0.0..=10.0)]
    noise: f64,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let seed = job.seed(sampling.seed);
    let baselines = baseline.inputs(job, &prediction, Some(seed))?;
    let difference = f64::from(prediction.score) - baseline_score(job, &prediction, &baselines)?;
    let starts: Vec<Vec<f32>> =
        baselines.iter().map(|start| start.flatten_all()?.to_vec1()).collect::<candle_core::Result<_>>()?;
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let low = input.iter().copied().fold(f32::INFINITY, f32::min);
    let deviation = (input.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low) * noise as f32;
    // what sample i draws: its baseline, its place, then its noise
    let draw = |index: usize| {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(index as u64);
        let start = &starts[random.random_range(0..starts.len())];
        let place = random.random::<f32>();
        let mut noisy = input.clone();
        if deviation > 0.0 {
            noisy.iter_mut().zip(normal(&mut random)).for_each(|(x, noise)| *x += deviation * noise);
        }
        (start, place, noisy)
    };
    let make = |index: usize, x: &mut [f32]| {
        let (start, place, noisy) = draw(index);
        x.iter_mut().zip(start.iter().zip(&noisy)).for_each(|(x, (start, end))| *x = start + place * (end - start));
        Ok(())
    };
    let unit = format!("part of the {}", prediction.score_name());
    let blank = prediction.input.zeros_like()?.squeeze(0)?;
    let blank = Attribution::new("expected gradients", &prediction, blank, Sign::Signed, unit);
    let mut sampler = Anytime::new(blank, Means::new(input.len()), sampling, USUAL);
    let take = |sampler: &mut Anytime<Means>, range: Range<usize>, pass: Pass| {
        for (index, mut sample) in range.zip(pass.gradient.flatten_from(1)?.to_vec2::<f32>()?) {
            let (start, _, noisy) = draw(index);
            sample.iter_mut().zip(start.iter().zip(&noisy)).for_each(|(value, (start, end))| *value *= end - start);
            sampler.estimate.add_each(&sample, f64::from);
        }
        Ok(())
    };
    let at = Gradients { rules: &Rules::default(), layer: None };
    let outcome = prediction.each_gradient(job, "expected gradients", sampler.most(), &at, &mut sampler, make, take);
    let attribution = sampler.finish(outcome)?;
    let sum = crate::tensor::sum_of(&attribution.values.flatten_all()?.to_vec1::<f32>()?, f64::from);
    Ok(attribution.with_completeness_error(sum - difference))
}
