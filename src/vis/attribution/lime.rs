//! LIME: a linear model of the score, fitted to images of which random superpixels are hidden.

use nalgebra::DVector;
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

/// How the linear model is fitted.
#[derive(Clone, Debug, Options)]
pub struct LimeOptions {
    /// How many images it is fitted to, of which the first is the whole one; each superpixel of the others is hidden with
    /// probability 1/2.
    #[default(1000)]
    #[range(2..=1000000)]
    pub samples: usize,
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
    /// The seed of the samples; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// How much each superpixel speaks for a class: the coefficients of a linear model that tells the score from which
/// superpixels are shown, fitted to random samples; those that hide little count more.
///
/// The standard error of the coefficients comes with it, so that one sees what the samples do not settle, and how much of the
/// scores' spread the linear model explains.
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
    #[options] options: &LimeOptions,
    #[options] cut: &Cut,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let LimeOptions { samples, baseline, kernel_width, ridge, seed } = options;
    let prediction = explain.prediction(job, image)?;
    let seed = job.seed(*seed);
    let pieces = Pieces::new(job, &prediction, cut, baseline, seed)?;
    let count = pieces.count();
    if *ridge == 0.0 && *samples <= count {
        return Err(too_few("lime", *samples, count, 2 * count));
    }
    let scores = pieces.scores(job, "LIME", *samples, |index| shown(seed, index, count))?;

    let sample = |index: usize| {
        let x = as_vector(&shown(seed, index, count));
        let away = 1.0 - (x.sum() / count as f64).sqrt();
        (x, (-away * away / (2.0 * kernel_width * kernel_width)).exp())
    };
    // the intercept is free: what is fitted are differences from the weighted means
    let (mut weights, mut mean_x, mut mean_y) = (0.0, DVector::zeros(count), 0.0);
    for (index, score) in scores.iter().enumerate() {
        job.interrupt().check()?;
        let (x, weight) = sample(index);
        weights += weight;
        mean_x.axpy(weight, &x, 1.0);
        mean_y += weight * score;
    }
    mean_x /= weights;
    mean_y /= weights;
    let mut equations = NormalEquations::new(count);
    for (index, score) in scores.iter().enumerate() {
        job.interrupt().check()?;
        let (x, weight) = sample(index);
        equations.add(&(x - &mean_x), score - mean_y, weight);
    }
    equations.matrix += nalgebra::DMatrix::identity(count, count) * *ridge;
    let factors = equations.factors(|| too_few("lime", *samples, count, 2 * count))?;
    let coefficients = factors.solve(&equations.right);

    // what the model explains of the scores' spread, and the spread of its coefficients over samples, whatever the errors of the model are (the
    // sandwich estimate)
    let mut spread = NormalEquations::new(count);
    let (mut unexplained, mut all) = (0.0, 0.0);
    for (index, score) in scores.iter().enumerate() {
        job.interrupt().check()?;
        let (x, weight) = sample(index);
        let x = x - &mean_x;
        let error = score - mean_y - x.dot(&coefficients);
        spread.add(&x, 0.0, (weight * error).powi(2));
        unexplained += weight * error * error;
        all += weight * (score - mean_y).powi(2);
    }
    spread.matrix.fill_upper_triangle_with_lower_triangle();
    let inverse = factors.inverse();
    let errors = (&inverse * spread.matrix * &inverse).diagonal().map(|variance| variance.max(0.0).sqrt());

    let unit = format!("weight of the superpixel for the {}", prediction.score_name());
    let values = pieces.map(&coefficients)?;
    let errors = pieces.map(&errors)?;
    let share = if all > 0.0 { 100.0 * (1.0 - unexplained / all) } else { 100.0 };
    let note = format!("The linear model explains {share:.0} % of how the scores vary.");
    Ok(Attribution::new("LIME", &prediction, values, Sign::Signed, unit).with_standard_error(errors).noted(note))
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
