//! KernelSHAP: the Shapley values of superpixels, by weighted least squares.

use nalgebra::DVector;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::coalitions::{NormalEquations, Pieces, as_tensor, as_vector, too_few};
use super::{Attribution, Baseline, Sign};
use crate::error::Result;
use crate::image::superpixels::Cut;
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::Input;
use crate::tensor::TensorValue;
use crate::vis::Explain;

/// How the Shapley values are estimated.
#[derive(Clone, Debug, Options)]
pub struct ShapOptions {
    /// How many images with hidden superpixels are looked at. If all that there are fit, each is, and the values are exact.
    #[default(1000)]
    #[range(2..=1000000)]
    pub samples: usize,
    /// What hides a superpixel: "mean" (the image's mean colour), "grey", "black", "white", "blur", "noise", a colour
    /// [red, green, blue], or another image.
    #[default("mean")]
    pub baseline: Baseline,
    /// The seed of the samples; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// What each superpixel adds to the score of a class: its Shapley value, the mean of what it adds to the others over all
/// orders in which they could be shown.
///
/// The values of all superpixels add up to the difference between the image's score and that of the hidden image. With few
/// superpixels (at most 9 for 1,000 samples) all images are looked at and the values are exact; else they are sampled, in
/// pairs that show opposite superpixels, and the map has its standard error.
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
    #[options] options: &ShapOptions,
    #[options] cut: &Cut,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    let seed = job.seed(options.seed);
    let pieces = Pieces::new(job, &prediction, cut, &options.baseline, seed)?;
    let count = pieces.count();
    let plan = Plan::new(count, options.samples, seed);
    if !plan.exact && plan.samples < 2 * count {
        return Err(too_few("kernel_shap", options.samples, count, 2 * count));
    }
    // the whole image and the hidden one, then the samples
    let scores = pieces.scores(job, "KernelSHAP", 2 + plan.samples, |index| match index {
        0 | 1 => vec![index == 0; count],
        _ => plan.shown(index - 2),
    })?;
    let (whole, hidden) = (scores[0], scores[1]);
    let total = whole - hidden;

    let (values, errors) = if count == 1 {
        (DVector::from_element(1, total), None)
    } else {
        fit(job, &plan, &scores[2..], hidden, total)?
    };
    let unit = format!("Shapley value for the {}", prediction.score_name());
    let sum = values.iter().map(|value| f64::from(*value as f32)).sum::<f64>();
    let map = pieces.map(&values)?;
    let attribution =
        Attribution::new("KernelSHAP", &prediction, map, Sign::Signed, unit).with_completeness_error(sum - total);
    match errors {
        Some(errors) => Ok(attribution.with_standard_error(pieces.map(&errors)?)),
        None => Ok(attribution),
    }
}

/// The values that fit the scores best and add up to `total`, and their standard errors if they were sampled.
fn fit(
    job: &Job,
    plan: &Plan,
    scores: &[f64],
    hidden: f64,
    total: f64,
) -> Result<(DVector<f64>, Option<DVector<f64>>)> {
    let count = plan.count;
    let mut equations = NormalEquations::new(count);
    for (index, score) in scores.iter().enumerate() {
        job.interrupt().check()?;
        let shown = plan.shown(index);
        equations.add(&as_vector(&shown), score - hidden, plan.weight(&shown));
    }
    let factors = equations.factors(|| too_few("kernel_shap", plan.samples, count, 4 * count))?;
    // the unconstrained solution, moved along the direction that changes the sum at the least cost
    let free = factors.solve(&equations.right);
    let ones = DVector::from_element(count, 1.0);
    let direction = factors.solve(&ones);
    let scale = direction.sum();
    let values = &free - &direction * ((free.sum() - total) / scale);
    if plan.exact {
        return Ok((values, None));
    }

    // the spread over samples, whatever the errors of the linear model are; the two of a pair belong together
    let mut spread = NormalEquations::new(count);
    for (pair, scores) in scores.chunks(2).enumerate() {
        let mut gradient = DVector::zeros(count);
        for (index, score) in scores.iter().enumerate() {
            let x = as_vector(&plan.shown(2 * pair + index));
            gradient.axpy(score - hidden - x.dot(&values), &x, 1.0);
        }
        spread.add(&gradient, 0.0, 1.0);
    }
    spread.matrix.fill_upper_triangle_with_lower_triangle();
    let constrained = factors.inverse() - &direction * direction.transpose() / scale;
    let pairs = scores.len().div_ceil(2) as f64;
    let left = pairs / (pairs - count as f64 / 2.0).max(1.0);
    let variances = (&constrained * spread.matrix * &constrained).diagonal() * left;
    Ok((values, Some(variances.map(|variance| variance.max(0.0).sqrt()))))
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

    fn estimate(count: usize, samples: usize, seed: u64) -> (DVector<f64>, Option<DVector<f64>>) {
        let plan = Plan::new(count, samples, seed);
        let scores: Vec<f64> = (0..plan.samples).map(|index| game(&plan.shown(index))).collect();
        let (whole, hidden) = (game(&vec![true; count]), game(&vec![false; count]));
        fit(&Job::detached(), &plan, &scores, hidden, whole - hidden).unwrap_or_else(|error| unreachable!("{error}"))
    }

    #[test]
    fn all_subsets_give_the_exact_shapley_values() {
        for count in 4..=9 {
            let (values, errors) = estimate(count, 1000, 1);
            assert!(errors.is_none());
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
            let (values, errors) = estimate(count, 200, seed);
            let errors = errors.unwrap_or_else(|| unreachable!("sampled"));
            let total = game(&vec![true; count]) - game(&vec![false; count]);
            assert!((values.sum() - total).abs() < 1e-9);
            off += values.iter().zip(&exact).map(|(value, exact)| (value - exact).powi(2)).sum::<f64>();
            said += errors.iter().map(|error| error.powi(2)).sum::<f64>();
        }
        let ratio = (off / said).sqrt();
        assert!((0.7..1.4).contains(&ratio), "off {ratio} times what is said");
        assert!((off / (runs as f64 * count as f64)).sqrt() < 0.25, "{off}");
        assert!(said > 1e-6, "{said}");
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
