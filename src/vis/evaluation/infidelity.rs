//! Infidelity: how far the map is from predicting what small noise does to the score.

use std::sync::Mutex;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::measure::{Better, Measure, named};
use super::order::values_of;
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::tensor::normal;
use crate::vis::attribution::Attribution;

/// The mean squared difference, over noise that is subtracted from the image, between the change of the score and the one
/// that the attribution predicts: its values times the noise.
///
/// Attributions have scales of their own, so their values are multiplied by the number for which this is least, unless
/// `scaled` is false. A map that is coarser than the image, or says nothing about direction, counts the same for each channel.
///
/// ```rhai
/// infidelity(integrated_gradients(photo("chelsea"), steps=5), samples=20, seed=1)
/// ```
#[function(
    source = "Yeh et al., On the (In)fidelity and Sensitivity of Explanations, 2019, arXiv:1901.09392; Captum's infidelity"
)]
pub fn infidelity(
    job: &Job,
    /// The attribution.
    #[each]
    attribution: &Attribution,
    /// How many samples of noise.
    #[default(200)]
    #[range(1..=100000)]
    samples: usize,
    /// The standard deviation of the noise, as a part of the range of the network's input.
    #[default(0.05)]
    #[range(0.000001..=10.0)]
    noise: f64,
    /// Whether the values are scaled so that they fit best.
    #[default(true)]
    scaled: bool,
    /// The seed of the noise; sample number i has the noise of `randn([C, h, w], seed=seed + i)`. Without it, the next of the
    /// session's.
    #[default]
    seed: Option<u64>,
) -> Result<Measure> {
    let prediction = &attribution.prediction;
    let seed = job.seed(seed);
    let values = values_of(attribution)?;
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let low = input.iter().copied().fold(f32::INFINITY, f32::min);
    let high = input.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let deviation = (high - low) * noise as f32;
    let predicted = Mutex::new(vec![0f64; samples]);
    let scores = prediction.scores(job, "infidelity", samples, |index, x| {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(index as u64));
        let mut sum = 0.0;
        for ((x, value), noise) in x.iter_mut().zip(&values).zip(normal(&mut random)) {
            let change = deviation * noise;
            *x -= change;
            sum += f64::from(change) * f64::from(*value);
        }
        if let Ok(mut predicted) = predicted.lock() {
            predicted[index] = sum;
        }
        Ok(())
    })?;
    let predicted = predicted.into_inner().unwrap_or_default();
    let changes: Vec<f64> = scores.iter().map(|score| f64::from(prediction.score) - f64::from(*score)).collect();
    let mean = |of: &dyn Fn(f64, f64) -> f64| {
        predicted.iter().zip(&changes).map(|(predicted, change)| of(*predicted, *change)).sum::<f64>() / samples as f64
    };
    let square = mean(&|predicted, _| predicted * predicted);
    let scale = match scaled {
        true if square > 0.0 => mean(&|predicted, change| predicted * change) / square,
        true => 0.0,
        false => 1.0,
    };
    let value = mean(&|predicted, change| (scale * predicted - change).powi(2));
    let all = mean(&|_, change| change * change);
    let measure = Measure::new(
        "infidelity",
        named(attribution),
        value,
        Better::Lower,
        "mean squared error of the change that the map predicts for noise",
    );
    let share = if all > 0.0 { 100.0 * value / all } else { 0.0 };
    Ok(measure.noted(format!("{share:.0} % of the mean squared change of the score is not predicted")))
}
