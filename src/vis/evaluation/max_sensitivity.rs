//! Max-sensitivity: how much the map changes at most when the image changes a little.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::again::{Again, norm, range, values};
use super::measure::{Better, Measure};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::vis::Explain;
use crate::vis::attribution::Method;

/// The greatest change of a method's values, relative to their own size, over random changes of the image by at most
/// `radius`: ‖φ(x + δ) − φ(x)‖ / ‖φ(x)‖.
///
/// ```rhai
/// max_sensitivity(grad_cam, photo("chelsea"), samples=3, seed=1)
/// ```
#[function(
    source = "Yeh et al., On the (In)fidelity and Sensitivity of Explanations, 2019, arXiv:1901.09392; Captum's sensitivity_max"
)]
pub fn max_sensitivity(
    job: &Job,
    /// The method: the name of one, or a function of an image that returns an attribution.
    method: &Method,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// How far each number of the network's input changes at most, as a part of their range.
    #[default(0.01)]
    #[range(0.000001..=10.0)]
    radius: f64,
    /// How many random changes.
    #[default(10)]
    #[range(1..=100000)]
    samples: usize,
    /// The seed of the changes; change number i is that of `rand([1, C, h, w], seed=seed + i)`, brought from 0 … 1 to
    /// −1 … 1. Without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    #[options] explain: &Explain,
) -> Result<Measure> {
    let seed = job.seed(seed);
    let again = Again::new(job, method, image, explain)?;
    let input: Vec<f32> = again.clean.prediction.input.flatten_all()?.to_vec1()?;
    let radius = range(&input) * radius as f32;
    let clean = values(&again.clean)?;
    let size = norm(clean.iter().copied()).max(f64::MIN_POSITIVE);
    let progress = job.progress("max-sensitivity", samples);
    let mut greatest = 0f64;
    for index in 0..samples {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(index as u64));
        let changed = input.iter().map(|x| x + radius * (2.0 * random.random::<f32>() - 1.0)).collect();
        let other = values(&again.of_input(job, changed)?)?;
        greatest = greatest.max(norm(other.iter().zip(&clean).map(|(a, b)| a - b)) / size);
        progress.advance(1)?;
    }
    let meaning = "greatest relative change of the map for a small change of the image";
    Ok(Measure::new("max-sensitivity", again.name(), greatest, Better::Lower, meaning))
}
