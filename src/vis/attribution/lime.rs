//! LIME: a linear model of the score, fitted to images of which random superpixels are hidden.

use std::ops::Range;

use nalgebra::DVector;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::coalitions::{Fits, LinearModel, NormalEquations, Pieces, Solution, as_tensor, too_few};
use super::{Anytime, Attribution, Baseline, Estimate, Sampling, Sign};
use crate::error::Result;
use crate::image::superpixels::Cut;
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::Input;
use crate::tensor::TensorValue;
use crate::vis::Explain;

/// Images that are usual.
const USUAL: usize = 1000;

/// How the linear model is fitted.
#[derive(Clone, Debug, Options)]
pub struct LimeOptions {
    /// What hides a superpixel: "mean" (the image's mean colour), "grey", "black", "white", "blur", "noise", a colour
    /// [red, green, blue], or another image.
    #[default("mean")]
    pub baseline: Baseline,
    /// How fast an image counts less, the more of it is hidden: with the weight exp(−d² / (2 width²)), where
    /// d = 1 − √(share of superpixels that are shown).
    #[default(0.25)]
    #[range(0.001..=1000)]
    pub kernel_width: f64,
    /// How much large coefficients cost (ridge regression).
    #[default(1)]
    #[range(0..=1000000000)]
    pub ridge: f64,
}

/// How much each superpixel speaks for a class: the coefficients of a linear model that tells the score from which
/// superpixels are shown, fitted to random samples; those that hide little count more.
///
/// The first sample is the whole image; each superpixel of the others is hidden with probability 1/2. The standard error of
/// the coefficients comes with it, so that one sees what the samples do not settle, and how much of the scores' spread the
/// linear model explains. Whether the ranking is resolved is not said with fewer than 4 samples for each superpixel, nor
/// with 500 superpixels or more.
///
/// ```rhai
/// lime(photo("chelsea"), segments=20, samples=60, seed=1)
/// ```
#[function(
    source = "Ribeiro, Singh and Guestrin, \"Why Should I Trust You?\", 2016, arXiv:1602.04938; the authors' code, \
marcotcr/lime (kernel, sampling, ridge); Captum's Lime"
)]
pub fn lime(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] sampling: &Sampling,
    #[options] options: &LimeOptions,
    #[options] cut: &Cut,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let &LimeOptions { ref baseline, kernel_width, ridge } = options;
    let question = explain.question(job, image)?;
    baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let seed = job.seed(sampling.seed);
    let pieces = Pieces::new(job, &prediction, cut, baseline, seed)?;
    let count = pieces.count();
    let model = Lime { seed, count, kernel_width, ridge, whole: f64::from(prediction.score) };
    let unit = format!("weight of the superpixel for the {}", prediction.score_name());
    let blank = Attribution::new("LIME", &prediction, pieces.map(&DVector::zeros(count))?, Sign::Signed, unit);
    let mut sampler = Anytime::new(blank, Fits::new(model, pieces.labels()), sampling, USUAL);
    if sampler.most() < model.least() {
        return Err(too_few("lime", sampler.most(), count, 2 * count));
    }
    let hiding = pieces.hiding();
    let make = |index: usize, pixels: &mut [f32]| {
        hiding.apply(&shown(seed, index, count), pixels);
        Ok(())
    };
    let take = |sampler: &mut Anytime<Fits<'_, Lime>>, _: Range<usize>, scores: &[f32]| {
        sampler.estimate.take(scores.iter().map(|score| f64::from(*score)));
        Ok(())
    };
    let outcome = prediction.each_score(job, "LIME", sampler.most(), &mut sampler, make, take);
    if outcome.is_ok() && sampler.estimate.samples() == 0 {
        return Err(too_few("lime", sampler.most(), count, 2 * count));
    }
    let note = explained(&sampler.estimate)
        .map(|share| format!("The linear model explains {:.0} % of how the scores vary.", 100.0 * share));
    Ok(Attribution { note, ..sampler.finish(outcome)? })
}

/// The share of the scores' spread that the model explains.
fn explained(fits: &Fits<'_, Lime>) -> Option<f64> {
    let residuals = fits.residuals(&fits.solution()?.unknowns);
    let weights: f64 = residuals.iter().map(|(weight, ..)| weight).sum();
    let mean = residuals.iter().map(|(weight, score, _)| weight * score).sum::<f64>() / weights;
    let all: f64 = residuals.iter().map(|(weight, score, _)| weight * (score - mean).powi(2)).sum();
    let unexplained: f64 = residuals.iter().map(|(weight, _, error)| weight * error * error).sum();
    Some(if all > 0.0 { 1.0 - unexplained / all } else { 1.0 })
}

/// Ridge regression of the scores by which superpixels are shown.
#[derive(Clone, Copy)]
struct Lime {
    seed: u64,
    /// Superpixels.
    count: usize,
    kernel_width: f64,
    ridge: f64,
    /// The score of the whole image.
    whole: f64,
}

impl LinearModel for Lime {
    const TOGETHER: usize = 1;

    /// The coefficients, and the intercept.
    fn unknowns(&self) -> usize {
        self.count + 1
    }

    fn least(&self) -> usize {
        if self.ridge == 0.0 { self.count + 1 } else { 2 }
    }

    fn origin(&self) -> f64 {
        self.whole
    }

    /// What is hidden counts −1 and what is shown 0: the whole image, beside which all others may weigh next to nothing,
    /// then adds to the intercept alone.
    fn sample(&self, index: usize) -> (DVector<f64>, f64) {
        let shown = shown(self.seed, index, self.count);
        let share = shown.iter().filter(|shown| **shown).count() as f64 / self.count as f64;
        let away = 1.0 - share.sqrt();
        let x = shown.iter().map(|shown| if *shown { 0.0 } else { -1.0 }).chain([1.0]);
        let weight = (-away * away / (2.0 * self.kernel_width * self.kernel_width)).exp();
        (DVector::from_iterator(self.count + 1, x), weight)
    }

    /// The intercept is free; a part of the samples has its part of the ridge.
    fn solve(&self, mut sums: NormalEquations, share: f64) -> Option<Solution> {
        for piece in 0..self.count {
            sums.matrix[(piece, piece)] += self.ridge * share;
        }
        let factors = sums.factors()?;
        Some(Solution { unknowns: factors.solve(&sums.right), factors })
    }
}

/// The samples that `lime` fits its model to with the same seed: a tensor [samples, superpixels] of 1 (shown) and 0
/// (hidden).
///
/// ```rhai
/// lime_samples(8, samples=3, seed=1)
/// ```
#[function(source = "as for `lime`")]
pub fn lime_samples(
    job: &Job,
    /// How many superpixels there are.
    #[range(1..=100000)]
    count: usize,
    /// How many samples.
    #[default(1000)]
    #[range(2..=1000000)]
    samples: usize,
    /// The seed; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
) -> Result<TensorValue> {
    let seed = job.seed(seed);
    as_tensor(samples, count, |index| shown(seed, index, count))
}

/// Which superpixels a sample shows; each sample has random numbers of its own.
fn shown(seed: u64, index: usize, count: usize) -> Vec<bool> {
    if index == 0 {
        return vec![true; count];
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(index as u64);
    (0..count).map(|_| random.random_bool(0.5)).collect()
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;

    const SEED: u64 = 5;

    fn score(shown: &[bool]) -> f64 {
        let sum: f64 = shown.iter().enumerate().map(|(i, on)| f64::from(u8::from(*on)) * (i as f64 * 1.3).cos()).sum();
        3.0 + sum + 0.2 * sum * sum
    }

    /// The equations as they are defined, of differences from weighted means.
    #[test]
    fn it_is_the_ridge_regression_with_its_sandwich_errors() {
        let (count, samples, ridge) = (7, 90, 0.7);
        for kernel_width in [0.25, 0.02] {
            let labels: Vec<u32> = (0..count as u32).collect();
            let lime = Lime { seed: SEED, count, kernel_width, ridge, whole: score(&vec![true; count]) };
            let mut fits = Fits::new(lime, &labels);
            fits.take((0..samples).map(|index| score(&shown(SEED, index, count))));

            let x = DMatrix::from_fn(samples, count, |sample, piece| {
                f64::from(u8::from(shown(SEED, sample, count)[piece]))
            });
            let y = DVector::from_fn(samples, |sample, _| score(&shown(SEED, sample, count)));
            let weights = DVector::from_fn(samples, |sample, _| {
                let away = 1.0 - (x.row(sample).sum() / count as f64).sqrt();
                (-away * away / (2.0 * kernel_width * kernel_width)).exp()
            });
            let (all, means) = (weights.sum(), x.transpose() * &weights / weights.sum());
            let y = y.add_scalar(-weights.dot(&y) / all);
            let x = DMatrix::from_fn(samples, count, |sample, piece| x[(sample, piece)] - means[piece]);
            let w = DMatrix::from_diagonal(&weights);
            let left = x.transpose() * &w * &x + DMatrix::identity(count, count) * ridge;
            let inverse = left.try_inverse().unwrap_or_else(|| unreachable!("it has a ridge"));
            let coefficients = &inverse * (x.transpose() * &w * &y);
            let wrong = &y - &x * &coefficients;
            let gradients = &w * DMatrix::from_diagonal(&wrong) * &x;
            let variances = (&inverse * (gradients.transpose() * &gradients) * &inverse).diagonal();

            let near = |found: &[f64], expected: &DVector<f64>| {
                let most = expected.amax();
                found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-9 * most)
            };
            assert!(near(&fits.of(&|_| true), &coefficients), "{coefficients}");
            let errors = fits.error().unwrap_or_else(|| unreachable!("enough samples"));
            assert!(near(&errors, &variances.map(f64::sqrt)), "{errors:?} {variances}");
            let share = 1.0 - (w * &wrong).dot(&wrong) / weights.component_mul(&y).dot(&y);
            let found = explained(&fits).unwrap_or(0.0);
            assert!((found - share).abs() < 1e-9, "{found} {share}");
        }
    }

    /// A ranking is said to be resolved only where halves of the samples can tell.
    #[test]
    fn few_samples_are_not_asked_for_halves() {
        let labels: Vec<u32> = (0..9).collect();
        let mut fits = Fits::new(Lime { seed: SEED, count: 9, kernel_width: 0.25, ridge: 0.0, whole: 0.0 }, &labels);
        let mut take = |samples: usize| {
            let first = fits.residuals(&DVector::zeros(10)).len();
            fits.take((first..first + samples).map(|index| score(&shown(SEED, index, 9))));
            (fits.samples(), fits.groups())
        };
        assert_eq!(take(8), (0, 0));
        assert_eq!(take(31), (39, 0));
        assert_eq!(take(1), (40, 20));
    }
}
