//! Guided IG: integrated gradients along a path that changes first what the score hangs on least.

use candle_core::Tensor;

use super::integrated_gradients::{Path, baseline_score};
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, Rules};
use crate::vis::Explain;

/// Distances nearer than this count as equal.
const NEAR: f64 = 1e-9;

/// What each pixel contributes to the difference between the score of the image and that of a baseline, along a path that at
/// each step changes first the pixels with the smallest gradients, so that it avoids places where noise moves the score.
///
/// Each step takes one run of the network, since the path depends on the gradients.
///
/// ```rhai
/// guided_ig(photo("chelsea"), steps=10)
/// ```
#[function(source = "Kapishnikov et al., Guided Integrated Gradients, 2021, arXiv:2106.09788; PAIR-code/saliency")]
pub fn guided_ig(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// Steps of the path.
    #[default(200)]
    #[range(1..=10000)]
    steps: usize,
    /// The part of the input, those with the smallest gradients, that may change at a time.
    #[default(0.25)]
    #[range(0.0..=1.0)]
    fraction: f64,
    /// How far from the straight line any number of the input may be, as a part of its length; 0 is integrated gradients.
    #[default(0.02)]
    #[range(0.0..=1.0)]
    max_distance: f64,
    /// Where the path starts: "black", "white", "mean", "grey", "blur", "noise", a colour, an image, or a list of these, over
    /// which the result is averaged.
    #[default("black")]
    baseline: super::Baselines,
    /// The seed of noise as a baseline; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let path = Path { baseline, steps, seed };
    let baselines = path.baseline.inputs(job, &prediction, path.seed)?;
    let input: Vec<f64> = doubles(&prediction.input)?;
    let progress = job.progress("guided IG", steps * baselines.len());
    let mut values = vec![0f64; input.len()];
    for baseline in &baselines {
        let mut walk = Walk::new(&input, doubles(baseline)?, steps, fraction, max_distance);
        for step in 0..steps {
            let x: Vec<f32> = walk.x.iter().map(|value| *value as f32).collect();
            let x = Tensor::from_vec(x, prediction.input.shape(), prediction.input.device())?;
            let gradient = prediction.pass(job, &x, &Rules::default(), None)?.gradient;
            walk.step(step, &doubles(&gradient)?);
            progress.advance(1)?;
        }
        values.iter_mut().zip(&walk.values).for_each(|(sum, value)| *sum += value / baselines.len() as f64);
    }
    let start = baseline_score(job, &prediction, &baselines)?;
    let error = values.iter().sum::<f64>() - (f64::from(prediction.score) - start);
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    let values = Tensor::from_vec(values, prediction.input.shape(), prediction.input.device())?.squeeze(0)?;
    let unit = format!("part of the {}", prediction.score_name());
    Ok(Attribution::new("guided IG", &prediction, values, Sign::Signed, unit).with_completeness_error(error))
}

fn doubles(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f64::from).collect())
}

/// A path on its way from the baseline to the image.
struct Walk<'a> {
    end: &'a [f64],
    start: Vec<f64>,
    x: Vec<f64>,
    values: Vec<f64>,
    steps: usize,
    fraction: f64,
    max_distance: f64,
}

impl<'a> Walk<'a> {
    fn new(end: &'a [f64], start: Vec<f64>, steps: usize, fraction: f64, max_distance: f64) -> Self {
        Self { x: start.clone(), values: vec![0.0; end.len()], end, start, steps, fraction, max_distance }
    }

    /// Goes until the distance to the end is what the straight line would have after this step.
    fn step(&mut self, step: usize, gradient: &[f64]) {
        let whole = distance(&self.start, self.end);
        if whole == 0.0 {
            return;
        }
        let alpha = (step as f64 + 1.0) / self.steps as f64;
        let low = (alpha - self.max_distance).max(0.0);
        let high = (alpha + self.max_distance).min(1.0);
        let on_line = |index: usize, alpha: f64| self.start[index] + (self.end[index] - self.start[index]) * alpha;
        let lows: Vec<f64> = (0..self.x.len()).map(|index| on_line(index, low)).collect();
        let highs: Vec<f64> = (0..self.x.len()).map(|index| on_line(index, high)).collect();
        let wanted = whole * (1.0 - alpha);
        loop {
            let before = self.x.clone();
            for (index, x) in self.x.iter_mut().enumerate() {
                let length = self.end[index] - self.start[index];
                if length != 0.0 && (*x - self.start[index]) / length < low {
                    *x = lows[index];
                }
            }
            let now = distance(&self.x, self.end);
            if (wanted - now).abs() <= (NEAR * wanted.max(now)).max(NEAR) {
                self.collect(&before, gradient);
                return;
            }
            // what has gone as far as it may is not chosen
            let sizes: Vec<f64> = (0..self.x.len())
                .map(|index| if self.x[index] == highs[index] { f64::INFINITY } else { gradient[index].abs() })
                .collect();
            let threshold = lower_quantile(&sizes, self.fraction);
            let chosen: Vec<usize> =
                (0..sizes.len()).filter(|index| sizes[*index] <= threshold && sizes[*index].is_finite()).collect();
            let room: f64 = chosen.iter().map(|index| (self.x[*index] - highs[*index]).abs()).sum();
            let part = if room > 0.0 { (now - wanted) / room } else { f64::INFINITY };
            for index in &chosen {
                let x = self.x[*index];
                self.x[*index] = if part > 1.0 { highs[*index] } else { x + (highs[*index] - x) * part };
            }
            self.collect(&before, gradient);
            if part <= 1.0 || chosen.is_empty() {
                return;
            }
        }
    }

    /// Adds what the last change contributes.
    fn collect(&mut self, before: &[f64], gradient: &[f64]) {
        for (index, value) in self.values.iter_mut().enumerate() {
            *value += (self.x[index] - before[index]) * gradient[index];
        }
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum()
}

/// The largest value that at most so much of all is below.
fn lower_quantile(values: &[f64], fraction: f64) -> f64 {
    let mut sorted = values.to_vec();
    let index = (fraction * sorted.len().saturating_sub(1) as f64).floor() as usize;
    if index >= sorted.len() {
        return f64::INFINITY;
    }
    *sorted.select_nth_unstable_by(index, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of PAIR's implementation, printed by tools/golden/attribution/guided_ig.py.
    #[test]
    fn the_path_is_that_of_the_reference_implementation() {
        let gradient = |x: &[f64]| -> Vec<f64> {
            let before = |index: usize| x[(index + x.len() - 1) % x.len()];
            (0..x.len()).map(|index| (3.0 * x[index]).sin() + x[index].powi(2) + 0.1 * before(index)).collect()
        };
        let end: Vec<f64> = (0..12).map(|index| (2.0 * f64::from(index)).cos() + 0.1 * f64::from(index)).collect();
        for (steps, fraction, distance, expected) in [
            (
                6,
                0.25,
                0.10,
                [
                    0.838496004,
                    0.094554482,
                    0.200625330,
                    1.060714933,
                    0.091729408,
                    0.116433804,
                    1.285335755,
                    0.695618199,
                    0.024051305,
                    1.417056902,
                    1.355802712,
                    0.016790275,
                ],
            ),
            (
                10,
                0.5,
                0.02,
                [
                    0.941832372,
                    0.103206122,
                    0.220446710,
                    1.175997823,
                    0.102097112,
                    0.128244096,
                    1.352956430,
                    0.796382743,
                    0.026159239,
                    1.487185621,
                    1.440149153,
                    0.019759202,
                ],
            ),
            (
                5,
                0.1,
                1.00,
                [
                    0.810851167,
                    0.041618745,
                    0.096872511,
                    0.757172400,
                    0.036627933,
                    0.052177318,
                    0.963700322,
                    0.658300126,
                    0.009677223,
                    1.133303969,
                    1.042157905,
                    0.007086729,
                ],
            ),
        ] {
            let mut walk = Walk::new(&end, vec![0.0; 12], steps, fraction, distance);
            for step in 0..steps {
                let slope = gradient(&walk.x);
                walk.step(step, &slope);
            }
            for (ours, theirs) in walk.values.iter().zip(expected) {
                assert!((ours - theirs).abs() < 1e-8, "{steps} steps: {:?}", walk.values);
            }
        }
    }
}
