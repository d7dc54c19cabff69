//! MuFidelity: whether the map's sums over random parts go with the drops of the score without them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::correlation::spearman;
use super::measure::{Better, Measure, named};
use super::order::{behind, map_of};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::vis::attribution::{Attribution, Baseline};

/// The rank correlation, from −1 to 1, of two numbers over random parts of the image: the sum of the map there, and how much
/// the score drops when that part is hidden.
///
/// The image is cut into cells, and each of them hidden with probability `part`.
///
/// ```rhai
/// mu_fidelity(grad_cam(photo("chelsea")), samples=30, seed=1)
/// ```
#[function(
    source = "Bhatt, Weller and Moura, Evaluating and Aggregating Feature-based Model Explanations, 2020, arXiv:2005.00631; xplique's MuFidelity"
)]
pub fn mu_fidelity(
    job: &Job,
    /// The attribution.
    #[each]
    attribution: &Attribution,
    /// Cells along each side of the image.
    #[default(9)]
    #[range(1..=1000)]
    cells: usize,
    /// The share of cells that is hidden.
    #[default(0.2)]
    #[range(0.01..=0.99)]
    part: f64,
    /// How many random parts.
    #[default(200)]
    #[range(2..=100000)]
    samples: usize,
    /// What stands for a hidden part: "mean", "black", "white", "grey", "blur", "noise", a colour, or an image; zeros in the
    /// network's input if not given.
    #[default]
    baseline: Option<Baseline>,
    /// The seed of the parts; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
) -> Result<Measure> {
    let prediction = &attribution.prediction;
    let (_, _, height, width) = prediction.input.dims4()?;
    if cells > height.min(width) {
        let message = format!("mu_fidelity: `cells` is {cells}, the network sees {width}×{height} pixels");
        return Err(Error::new(Kind::Argument, message).at_argument("cells"));
    }
    let seed = job.seed(seed);
    let map = map_of(attribution)?;
    let hidden = behind(job, prediction, baseline.as_ref(), Some(seed))?;
    let cell = |pixel: usize| {
        let (row, column) = (pixel / width, pixel % width);
        (2 * row + 1) * cells / (2 * height) * cells + (2 * column + 1) * cells / (2 * width)
    };
    let cell_of: Vec<usize> = (0..height * width).map(cell).collect();
    let mut masses = vec![0f64; cells * cells];
    cell_of.iter().zip(&map).for_each(|(cell, value)| masses[*cell] += f64::from(*value));
    let draw = |index: usize| -> Vec<bool> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(index as u64);
        (0..cells * cells).map(|_| random.random_bool(part)).collect()
    };
    let scores = prediction.scores(job, "MuFidelity", samples, |index, x| {
        let drawn = draw(index);
        for (plane, behind) in x.chunks_exact_mut(height * width).zip(hidden.chunks_exact(height * width)) {
            for ((value, behind), cell) in plane.iter_mut().zip(behind).zip(&cell_of) {
                if drawn[*cell] {
                    *value = *behind;
                }
            }
        }
        Ok(())
    })?;
    let sums: Vec<f64> = (0..samples)
        .map(|index| draw(index).iter().zip(&masses).filter(|(hidden, _)| **hidden).map(|(_, mass)| mass).sum())
        .collect();
    let drops: Vec<f64> = scores.iter().map(|score| f64::from(prediction.score) - f64::from(*score)).collect();
    let meaning = "rank correlation of the map's sums with the drops of the score";
    Ok(Measure::new("MuFidelity", named(attribution), spearman(&sums, &drops), Better::Higher, meaning))
}
