//! KernelSHAP: the Shapley values of superpixels, by weighted least squares.

use std::ops::Range;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::coalitions::{Fits, LinearModel, NormalEquations, Pieces, Solution, as_tensor, as_vector, too_few};
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

/// How superpixels are hidden.
#[derive(Clone, Debug, Options)]
pub struct ShapOptions {
    /// What hides a superpixel: "mean" (the image's mean colour), "grey", "black", "white", "blur", "noise", a colour
    /// [red, green, blue], or another image.
    #[default("mean")]
    pub baseline: Baseline,
}

/// What each superpixel adds to the score of a class: its Shapley value, the mean of what it adds to the others over all
/// orders in which they could be shown.
///
/// The values of all superpixels add up to the difference between the image's score and that of the hidden image. If all
/// images with hidden superpixels that there are fit into `samples` (1000 if not given, so for at most 9 superpixels), each is
/// looked at and the values are exact; else they are sampled, in pairs that show opposite superpixels, and the map has its
/// standard error. Whether the ranking is resolved is not said with fewer than 4 samples for each superpixel, nor with more
/// than 500 superpixels.
///
/// ```rhai
/// kernel_shap(photo("chelsea"), segments=8, samples=300)
/// ```
#[function(
    source = "Lundberg and Lee, A Unified Approach to Interpreting Model Predictions, 2017, arXiv:1705.07874; in \
pairs: Covert and Lee, 2021, arXiv:2012.01536; Captum's KernelShap"
)]
pub fn kernel_shap(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] sampling: &Sampling,
    #[options] options: &ShapOptions,
    #[options] cut: &Cut,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    options.baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let seed = job.seed(sampling.seed);
    let pieces = Pieces::new(job, &prediction, cut, &options.baseline, seed)?;
    let count = pieces.count();
    let plan = Plan::new(count, sampling.samples.unwrap_or(USUAL), seed);
    let unit = format!("Shapley value for the {}", prediction.score_name());
    let blank = Attribution::new("KernelSHAP", &prediction, pieces.map(&DVector::zeros(count))?, Sign::Signed, unit);
    if plan.exact {
        let (values, total) = exact(job, &pieces, &plan)?;
        let attribution = Attribution { values: pieces.map(&values)?, ..blank };
        return Ok(attribution.with_completeness_error(sum(&values) - total));
    }

    let model = Shapley { plan: &plan, hidden: 0.0, total: 0.0 };
    let mut sampler = Anytime::new(blank, Fits::new(model, pieces.labels()), sampling, USUAL);
    if sampler.most() < model.least() {
        return Err(too_few("kernel_shap", sampler.most(), count, 2 * count));
    }
    // the whole image and the hidden one, then the samples
    let ends = pieces.scores(job, "KernelSHAP", 2, |index| vec![index == 0; count])?;
    let (hidden, total) = (ends[1], ends[0] - ends[1]);
    sampler.estimate.model = Shapley { plan: &plan, hidden, total };
    let hiding = pieces.hiding();
    let make = |index: usize, pixels: &mut [f32]| {
        hiding.apply(&plan.shown(index), pixels);
        Ok(())
    };
    let take = |sampler: &mut Anytime<Fits<'_, Shapley<'_>>>, _: Range<usize>, scores: &[f32]| {
        sampler.estimate.take(scores.iter().map(|score| f64::from(*score)));
        Ok(())
    };
    let outcome = prediction.each_score(job, "KernelSHAP", sampler.most(), &mut sampler, make, take);
    if outcome.is_ok() && sampler.estimate.samples() == 0 {
        return Err(too_few("kernel_shap", sampler.most(), count, 4 * count));
    }
    let completeness_error = sampler.estimate.solution().map(|solution| sum(&solution.unknowns) - total);
    Ok(Attribution { completeness_error, ..sampler.finish(outcome)? })
}

/// The exact values, and what they add up to.
fn exact(job: &Job, pieces: &Pieces<'_>, plan: &Plan) -> Result<(DVector<f64>, f64)> {
    let count = plan.count;
    // the whole image and the hidden one, then all others
    let scores = pieces.scores(job, "KernelSHAP", 2 + plan.samples, |index| match index {
        0 | 1 => vec![index == 0; count],
        _ => plan.shown(index - 2),
    })?;
    let (hidden, total) = (scores[1], scores[0] - scores[1]);
    if count == 1 {
        return Ok((DVector::from_element(1, total), total));
    }
    let mut fits = Fits::new(Shapley { plan, hidden, total }, pieces.labels());
    fits.take(scores[2..].iter().copied());
    let solution = fits.solution().ok_or_else(|| too_few("kernel_shap", plan.samples, count, 4 * count))?;
    Ok((solution.unknowns, total))
}

/// The sum of values as a map has them.
fn sum(values: &DVector<f64>) -> f64 {
    values.iter().map(|value| f64::from(*value as f32)).sum()
}

/// The regression whose coefficients are Shapley values: they add up to `total`.
#[derive(Clone, Copy)]
struct Shapley<'a> {
    plan: &'a Plan,
    /// The score of the hidden image.
    hidden: f64,
    /// By how much that of the whole image is greater.
    total: f64,
}

impl LinearModel for Shapley<'_> {
    /// The two of a pair.
    const TOGETHER: usize = 2;

    fn unknowns(&self) -> usize {
        self.plan.count
    }

    fn least(&self) -> usize {
        2 * self.plan.count
    }

    fn origin(&self) -> f64 {
        self.hidden
    }

    fn sample(&self, index: usize) -> (DVector<f64>, f64) {
        let shown = self.plan.shown(index);
        (as_vector(&shown), self.plan.weight(&shown))
    }

    /// The unconstrained solution, moved along the direction that changes the sum at the least cost.
    fn solve(&self, sums: NormalEquations, _: f64) -> Option<Solution> {
        let factors = sums.factors()?;
        let free = factors.solve(&sums.right);
        let direction = direction(&factors);
        let unknowns = &free - &direction * ((free.sum() - self.total) / direction.sum());
        Some(Solution { unknowns, factors })
    }

    fn inverse(&self, factors: &Cholesky<f64, Dyn>) -> DMatrix<f64> {
        let direction = direction(factors);
        factors.inverse() - &direction * direction.transpose() / direction.sum()
    }

    fn correction(&self, pairs: f64) -> f64 {
        pairs / (pairs - self.plan.count as f64 / 2.0).max(1.0)
    }
}

/// The direction that changes the sum of the unknowns at the least cost.
fn direction(factors: &Cholesky<f64, Dyn>) -> DVector<f64> {
    factors.solve(&DVector::from_element(factors.l_dirty().nrows(), 1.0))
}

/// The samples that `kernel_shap` looks at with the same settings, besides the whole image and the hidden one: a tensor
/// [samples, superpixels] of 1 (shown) and 0 (hidden).
///
/// ```rhai
/// kernel_shap_samples(12, samples=6, seed=1)
/// ```
#[function(source = "as for `kernel_shap`")]
pub fn kernel_shap_samples(
    job: &Job,
    /// How many superpixels there are.
    #[range(2..=100000)]
    count: usize,
    /// How many samples at most.
    #[default(1000)]
    #[range(2..=1000000)]
    samples: usize,
    /// The seed; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
) -> Result<TensorValue> {
    let plan = Plan::new(count, samples, job.seed(seed));
    as_tensor(plan.samples, count, |index| plan.shown(index))
}

/// Which superpixels the samples show.
struct Plan {
    count: usize,
    samples: usize,
    /// Is every subset looked at, but for none and all?
    exact: bool,
    seed: u64,
    /// How probable it is that so many superpixels, from 1 on, or fewer are shown.
    sizes: Vec<f64>,
}

impl Plan {
    fn new(count: usize, samples: usize, seed: u64) -> Self {
        let subsets = (count < 60).then(|| (1usize << count) - 2);
        let exact = subsets.is_some_and(|subsets| subsets <= samples);
        let sizes = (1..count).scan(0.0, |sum, size| {
            *sum += 1.0 / (size as f64 * (count - size) as f64);
            Some(*sum)
        });
        Self { count, samples: subsets.filter(|_| exact).unwrap_or(samples), exact, seed, sizes: sizes.collect() }
    }

    /// Which superpixels a sample shows: a number of them drawn by the Shapley kernel, or the others than the sample before.
    fn shown(&self, index: usize) -> Vec<bool> {
        if self.exact {
            return (0..self.count).map(|piece| (index + 1) >> piece & 1 == 1).collect();
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64 / 2);
        let drawn = random.random::<f64>() * self.sizes.last().copied().unwrap_or(0.0);
        let size = 1 + self.sizes.iter().take_while(|sum| **sum < drawn).count();
        let is_opposite = index % 2 == 1;
        let mut shown: Vec<bool> = (0..self.count).map(|piece| (piece < size) != is_opposite).collect();
        // the same random numbers for both of a pair
        shown.shuffle(&mut random);
        shown
    }

    /// The weight of a sample: the Shapley kernel where every subset is there once; 1 where they are drawn by it.
    fn weight(&self, shown: &[bool]) -> f64 {
        if !self.exact {
            return 1.0;
        }
        let size = shown.iter().filter(|shown| **shown).count();
        let ways = (0..size).map(|place| (self.count - place) as f64 / (place + 1) as f64).product::<f64>();
        (self.count - 1) as f64 / (ways * size as f64 * (self.count - size) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A game in which superpixels work together, and against each other, three and more at a time: samples in pairs are
    /// exact for games of two.
    fn game(shown: &[bool]) -> f64 {
        let sum: f64 = shown.iter().enumerate().filter(|(_, on)| **on).map(|(i, _)| (i as f64 * 1.7).sin() + 0.3).sum();
        let both = |one: usize, other: usize| f64::from(u8::from(shown[one] && shown[other]));
        sum + 2.0 * both(0, 1) - 1.5 * both(1, 3)
            + sum.powi(3) * 0.1
            + 3.0 * both(0, 2) * both(5 % shown.len(), 3)
            + 4.0
    }

    /// Shapley values from their definition: the mean over all subsets of the others.
    fn shapley(count: usize) -> Vec<f64> {
        let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
        let value = |piece: usize| {
            let mut sum = 0.0;
            for subset in (0..1usize << count).filter(|subset| subset >> piece & 1 == 0) {
                let mut shown: Vec<bool> = (0..count).map(|other| subset >> other & 1 == 1).collect();
                let size = shown.iter().filter(|on| **on).count();
                let without = game(&shown);
                shown[piece] = true;
                let weight = factorial(size) * factorial(count - size - 1) / factorial(count);
                sum += weight * (game(&shown) - without);
            }
            sum
        };
        (0..count).map(value).collect()
    }

    /// What samples of a game say; superpixel and pixel are one.
    fn fits<'a>(plan: &'a Plan, labels: &'a [u32], game: impl Fn(&[bool]) -> f64) -> Fits<'a, Shapley<'a>> {
        let (whole, hidden) = (game(&vec![true; plan.count]), game(&vec![false; plan.count]));
        let mut fits = Fits::new(Shapley { plan, hidden, total: whole - hidden }, labels);
        fits.take((0..plan.samples).map(|index| game(&plan.shown(index))));
        fits
    }

    fn labels(count: usize) -> Vec<u32> {
        (0..count as u32).collect()
    }

    #[test]
    fn all_subsets_give_the_exact_shapley_values() {
        for count in 4..=9 {
            let plan = Plan::new(count, 1000, 1);
            assert!(plan.exact);
            let values = fits(&plan, &labels(count), game).of(&|_| true);
            for (value, exact) in values.iter().zip(shapley(count)) {
                assert!((value - exact).abs() < 1e-9, "{count}: {value} {exact}");
            }
        }
    }

    /// Sampled values are off by as much as their standard errors say, and always add up.
    #[test]
    fn samples_come_near_the_shapley_values() {
        let (count, runs) = (14, 60);
        let exact = shapley(count);
        let (mut off, mut said) = (0.0, 0.0);
        for seed in 0..runs {
            let (plan, labels) = (Plan::new(count, 200, seed), labels(count));
            let fits = fits(&plan, &labels, game);
            let (values, errors) = (fits.of(&|_| true), fits.error().unwrap_or_else(|| unreachable!("sampled")));
            let total = game(&vec![true; count]) - game(&vec![false; count]);
            assert!((values.iter().sum::<f64>() - total).abs() < 1e-9);
            off += values.iter().zip(&exact).map(|(value, exact)| (value - exact).powi(2)).sum::<f64>();
            said += errors.iter().map(|error| error.powi(2)).sum::<f64>();
        }
        let ratio = (off / said).sqrt();
        assert!((0.7..1.4).contains(&ratio), "off {ratio} times what is said");
        assert!((off / (runs as f64 * count as f64)).sqrt() < 0.25, "{off}");
        assert!(said > 1e-6, "{said}");
    }

    /// Pairs are exact for games of two, so each half of the samples is: no group holds one of a pair without the other.
    #[test]
    fn halves_hold_whole_pairs() {
        let two = |shown: &[bool]| {
            let on: Vec<f64> = shown.iter().map(|on| f64::from(u8::from(*on))).collect();
            (0..12).map(|i| on[i] * (i as f64 - 5.0 * on[(i + 3) % 12])).sum::<f64>()
        };
        let (plan, labels) = (Plan::new(12, 400, 8), labels(12));
        let fits = fits(&plan, &labels, two);
        assert_eq!((fits.samples(), fits.groups()), (400, 20));
        let whole = fits.of(&|_| true);
        let half = fits.of(&|group| group % 2 == 0);
        assert!(half.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-9), "{half:?} {whole:?}");
    }

    /// What settles nothing does not agree with what does.
    #[test]
    fn too_few_samples_disagree() {
        let (plan, labels) = (Plan::new(12, 200, 8), labels(12));
        let fits = fits(&plan, &labels, game);
        let whole = fits.of(&|_| true);
        assert!(fits.of(&|group| group == 3).iter().zip(&whole).all(|(a, b)| *a == -b));
    }

    #[test]
    fn pairs_are_opposite() {
        let plan = Plan::new(20, 50, 3);
        for pair in 0..25 {
            let (one, other) = (plan.shown(2 * pair), plan.shown(2 * pair + 1));
            assert!(one.iter().zip(&other).all(|(one, other)| one != other));
        }
        assert!(!plan.exact);
    }
}
