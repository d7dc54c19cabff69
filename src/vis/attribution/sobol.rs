//! Sobol' indices: how much of the score's variance comes from hiding each part of the image.

use std::ops::Range;

use super::Attribution;
use super::anytime::{Anytime, Estimate, Sampling};
use super::grid::{Cover, Grid, sobol_number};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::tensor::TensorValue;
use crate::vis::Explain;

/// Designs of the paper.
const USUAL: usize = 32;

/// The total Sobol' index of each part of an image: the share of the score's variance, when all parts are hidden more or
/// less at random, that has to do with this part, alone or together with others.
///
/// The parts are the cells of a grid. A sample is a design: two random masks of the whole grid, of which one is shown, and
/// then shown once more for each cell with that cell taken from the other; with 8×8 cells and 32 designs, 2080 images. The
/// masks are an Owen-scrambled Sobol' sequence; the index is Jansen's estimate. What hides an image by halves shows the
/// network pictures it was never trained on.
///
/// ```rhai
/// sobol(photo("chelsea"), cells=4, samples=8, seed=1)
/// ```
#[function(
    source = "Fel et al., Look at the Variance!, 2021, arXiv:2111.04138; Jansen, Analysis of variance designs for model output, 1999"
)]
pub fn sobol(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] sampling: &Sampling,
    #[options] grid: &Grid,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let question = explain.question(job, image)?;
    grid.check("sobol", &question)?;
    let prediction = question.answer(job)?;
    let seed = job.seed(sampling.seed);
    let cover = Cover::new(job, &prediction, grid, seed)?;
    let designs = Designs { cells: grid.cells * grid.cells, seed };
    let unit = format!("share of the variance of the {} (total Sobol' index)", prediction.score_name());
    let blank = grid.blank("Sobol'", &prediction, unit)?;
    let mut sampler = Anytime::new(blank, Jansen::new(designs.cells), sampling, USUAL);
    let make = |index: usize, x: &mut [f32]| {
        let mut mask = vec![0f32; designs.cells];
        designs.write(index, &mut mask);
        cover.apply(&mask, x);
        Ok(())
    };
    let take = |sampler: &mut Anytime<Jansen>, _: Range<usize>, scores: &[f32]| {
        sampler.estimate.scores.extend(scores.iter().map(|score| f64::from(*score)));
        Ok(())
    };
    let count = sampler.most().saturating_mul(designs.images());
    let outcome = prediction.each_score(job, "Sobol'", count, &mut sampler, make, take);
    sampler.finish(outcome)
}

/// The masks that `sobol` hides an image under with the same settings, a tensor [images, cells, cells] from 0 (hidden) to 1
/// (open), design by design: the first of both masks, then it with one cell after the other from the second.
///
/// ```rhai
/// sobol_masks(cells=4, samples=2, seed=1).shape
/// ```
#[function(source = "as for `sobol`")]
pub fn sobol_masks(
    job: &Job,
    /// How many designs.
    #[default(32)]
    #[range(1..=65536)]
    samples: usize,
    /// The seed of the masks; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    /// Cells of the grid along each side.
    #[default(8)]
    #[range(1..=16)]
    cells: usize,
) -> Result<TensorValue> {
    let designs = Designs { cells: cells * cells, seed: job.seed(seed) };
    let images = samples * designs.images();
    let mut masks = vec![0f32; images * designs.cells];
    masks.chunks_exact_mut(designs.cells).enumerate().for_each(|(index, mask)| designs.write(index, mask));
    TensorValue::from_values(masks, &[images, cells, cells])
}

/// The masks of all designs, made when they are needed.
struct Designs {
    /// Cells of the whole grid.
    cells: usize,
    seed: u64,
}

impl Designs {
    /// Images of one design.
    fn images(&self) -> usize {
        self.cells + 1
    }

    fn write(&self, index: usize, mask: &mut [f32]) {
        let (design, image) = (index / self.images(), index % self.images());
        for (cell, open) in mask.iter_mut().enumerate() {
            let second = image == cell + 1;
            *open = sobol_number(design, if second { self.cells + cell } else { cell }, self.seed);
        }
    }
}

/// Jansen's estimate of total indices.
struct Jansen {
    cells: usize,
    /// The scores of the images, design by design.
    scores: Vec<f64>,
}

impl Jansen {
    fn new(cells: usize) -> Self {
        Self { cells, scores: Vec::new() }
    }
}

impl Estimate for Jansen {
    /// Designs that are complete.
    fn samples(&self) -> usize {
        self.scores.len() / (self.cells + 1)
    }

    /// Each design is one.
    fn groups(&self) -> usize {
        self.samples()
    }

    /// The mean squared change of the score by each cell, over twice the variance, which is always that of all designs: a
    /// few designs may hardly vary.
    fn of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f64> {
        let designs = || self.scores.chunks_exact(self.cells + 1);
        let firsts = || designs().filter_map(|design| design.first());
        let all = designs().len().max(1) as f64;
        let mean = firsts().sum::<f64>() / all;
        let variance = firsts().map(|first| (first - mean).powi(2)).sum::<f64>() / (all - 1.0).max(1.0);
        let (mut count, mut squares) = (0f64, vec![0f64; self.cells]);
        for (_, design) in designs().enumerate().filter(|(design, _)| part(*design)) {
            let [first, others @ ..] = design else { continue };
            squares.iter_mut().zip(others).for_each(|(square, other)| *square += (first - other).powi(2));
            count += 1.0;
        }
        let scale = 2.0 * count.max(1.0) * variance;
        squares.iter().map(|square| if scale > 0.0 { square / scale } else { 0.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a + 2b + ab, with a and b uniform in [0, 1), the shares are known.
    #[test]
    fn a_known_function_has_its_known_indices() {
        let designs = Designs { cells: 4, seed: 5 };
        let mut jansen = Jansen::new(4);
        let mut mask = vec![0f32; 4];
        for index in 0..4096 * designs.images() {
            designs.write(index, &mut mask);
            let (a, b) = (f64::from(mask[0]), f64::from(mask[1]));
            jansen.scores.push(a + 2.0 * b + a * b);
        }
        // with a = ½ + α, b = ½ + β: 1.5 α + 2.5 β + αβ + …, and α, β have variance 1/12
        let (v, pair) = (1.0 / 12.0, 1.0 / 144.0);
        let all = (2.25 + 6.25) * v + pair;
        let expected = [(2.25 * v + pair) / all, (6.25 * v + pair) / all, 0.0, 0.0];
        let found = jansen.of(&|_| true);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 0.01, "{found} {expected}");
        }
    }
}
