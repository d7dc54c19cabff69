//! HSIC: how much the score depends on each part of the image.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::Attribution;
use super::anytime::{Anytime, Estimate, Sampling};
use super::grid::{Cover, Grid, sobol_number};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::Input;
use crate::tensor::TensorValue;
use crate::vis::Explain;

/// Masks of the paper.
const USUAL: usize = 500;
/// All pairs of samples are compared, so there is an end to them.
const MOST: usize = 20_000;
/// Samples are counted in so many groups.
const GROUPS: usize = 20;

/// The dependence of the score on each part of an image, as the Hilbert-Schmidt independence criterion measures it: 0 if
/// hiding that part never matters, whatever else is hidden.
///
/// The parts are the cells of a grid, each of which is hidden or open at random (a Sobol' sequence, rounded). Two masks are
/// alike in a cell if they agree about it (the kernel of binary numbers), two scores by how near they are (a Gaussian whose
/// width is the median of the scores). The value is tr(K H L H) / (n − 1)² for n masks.
///
/// ```rhai
/// hsic(photo("chelsea"), cells=4, samples=60, seed=1)
/// ```
#[function(
    source = "Novello, Fel and Vigouroux, Making Sense of Dependence, 2022, arXiv:2206.06219; Gretton et al., 2005"
)]
pub fn hsic(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] sampling: &Sampling,
    #[options] grid: &Grid,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    if let Some(samples) = sampling.samples.filter(|samples| *samples > MOST) {
        let message = format!("hsic: `samples` is {samples}; all pairs are compared, so {MOST} is the most");
        return Err(Error::new(Kind::Argument, message).at_argument("samples"));
    }
    let question = explain.question(job, image)?;
    grid.check("hsic", &question)?;
    let prediction = question.answer(job)?;
    let seed = job.seed(sampling.seed);
    let cover = Cover::new(job, &prediction, grid, seed)?;
    let count = grid.cells * grid.cells;
    let unit = format!("dependence of the {} (HSIC)", prediction.score_name());
    let mut sampler = Anytime::new(grid.blank("HSIC", &prediction, unit)?, Dependence::new(count), sampling, USUAL);
    let mut again = vec![0f32; count];
    let make = |index: usize, x: &mut [f32]| {
        let mut mask = vec![0f32; count];
        write(index, seed, &mut mask);
        cover.apply(&mask, x);
        Ok(())
    };
    let take = |sampler: &mut Anytime<Dependence>, batch: Range<usize>, scores: &[f32]| {
        for (index, score) in batch.zip(scores) {
            write(index, seed, &mut again);
            sampler.estimate.add(&again, *score);
        }
        Ok(())
    };
    let outcome = prediction.each_score(job, "HSIC", sampler.most(), &mut sampler, make, take);
    sampler.finish(outcome)
}

/// The masks that `hsic` hides an image under with the same settings, a tensor [samples, cells, cells] of 0 (hidden) and 1
/// (open).
///
/// ```rhai
/// hsic_masks(cells=4, samples=3, seed=1).shape
/// ```
#[function(source = "as for `hsic`")]
pub fn hsic_masks(
    job: &Job,
    /// How many masks.
    #[default(500)]
    #[range(1..=20000)]
    samples: usize,
    /// The seed of the masks; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    /// Cells of the grid along each side.
    #[default(8)]
    #[range(1..=16)]
    cells: usize,
) -> Result<TensorValue> {
    let seed = job.seed(seed);
    let mut masks = vec![0f32; samples * cells * cells];
    masks.chunks_exact_mut(cells * cells).enumerate().for_each(|(index, mask)| write(index, seed, mask));
    TensorValue::from_values(masks, &[samples, cells, cells])
}

/// Writes one mask.
fn write(index: usize, seed: u64, mask: &mut [f32]) {
    let open = |cell: usize| f32::from(u8::from(sobol_number(index, cell, seed) >= 0.5));
    mask.iter_mut().enumerate().for_each(|(cell, value)| *value = open(cell));
}

/// The criterion for each cell.
///
/// The kernel of two binary numbers, 1 + (½ if they agree, else −½), is 1 + ½·s·s′ with s = ±1. Centring takes the 1 away,
/// so that tr(K H L H) is half of a quadratic form of the signs, less their mean.
struct Dependence {
    cells: usize,
    /// The signs of each sample's cells, sample after sample.
    signs: Vec<f64>,
    scores: Vec<f64>,
    /// Sums over pairs, and for how many samples they were made.
    pairs: Mutex<(usize, Arc<Pairs>)>,
}

/// Sums over pairs of samples (j, k) of two groups, for each pair of groups.
#[derive(Default)]
struct Pairs {
    /// Of L(j, k).
    plain: Vec<f64>,
    /// For each cell, of s(j)·L(j, k).
    first: Vec<Vec<f64>>,
    /// For each cell, of s(j)·s(k)·L(j, k).
    both: Vec<Vec<f64>>,
}

impl Dependence {
    fn new(cells: usize) -> Self {
        Self { cells, signs: Vec::new(), scores: Vec::new(), pairs: Mutex::default() }
    }

    fn add(&mut self, mask: &[f32], score: f32) {
        self.signs.extend(mask.iter().map(|open| 2.0 * f64::from(*open) - 1.0));
        self.scores.push(f64::from(score));
    }

    /// The kernel of two scores: a Gaussian as wide as their median.
    fn kernel(&self) -> impl Fn(f64, f64) -> f64 + use<> {
        let mut sorted = self.scores.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = |at: usize| sorted.get(at).copied().unwrap_or(0.0);
        let width = (middle(sorted.len() / 2) + middle(sorted.len().saturating_sub(1) / 2)) / 2.0;
        let twice = 2.0 * (width * width).max(f64::MIN_POSITIVE);
        move |a: f64, b: f64| (-(a - b).powi(2) / twice).exp()
    }

    /// The sums over pairs of the samples so far.
    fn pairs(&self) -> Arc<Pairs> {
        // whoever panicked before has left what was there
        let mut kept = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != self.scores.len() {
            *kept = (self.scores.len(), Arc::new(self.sum_pairs()));
        }
        kept.1.clone()
    }

    fn sum_pairs(&self) -> Pairs {
        let (groups, kernel) = (self.groups(), self.kernel());
        let empty = || vec![0f64; groups * groups];
        let mut pairs = Pairs {
            plain: empty(),
            first: (0..self.cells).map(|_| empty()).collect(),
            both: (0..self.cells).map(|_| empty()).collect(),
        };
        // for one sample j: sums over the samples k of each group, without and with the sign of each cell
        let mut row = vec![0f64; groups];
        let mut signed = vec![0f64; groups * self.cells];
        for (j, (score, signs)) in self.scores.iter().zip(self.signs.chunks_exact(self.cells)).enumerate() {
            row.fill(0.0);
            signed.fill(0.0);
            for (k, (other, others)) in self.scores.iter().zip(self.signs.chunks_exact(self.cells)).enumerate() {
                let like = kernel(*score, *other);
                row[k % groups] += like;
                let sums = &mut signed[k % groups * self.cells..][..self.cells];
                sums.iter_mut().zip(others).for_each(|(sum, sign)| *sum += sign * like);
            }
            for group in 0..groups {
                let at = j % groups * groups + group;
                pairs.plain[at] += row[group];
                for (cell, sign) in signs.iter().enumerate() {
                    pairs.first[cell][at] += sign * row[group];
                    pairs.both[cell][at] += sign * signed[group * self.cells + cell];
                }
            }
        }
        pairs
    }
}

impl Estimate for Dependence {
    fn samples(&self) -> usize {
        self.scores.len()
    }

    fn groups(&self) -> usize {
        self.scores.len().min(GROUPS)
    }

    fn of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f64> {
        let pairs = self.pairs();
        let groups = self.groups();
        let taken: Vec<usize> = (0..groups).filter(|group| part(*group)).collect();
        let samples = |group: usize| (self.scores.len() - group).div_ceil(groups.max(1));
        let count: usize = taken.iter().map(|group| samples(*group)).sum();
        let all =
            |of: &[f64]| -> f64 { taken.iter().map(|a| taken.iter().map(|b| of[a * groups + b]).sum::<f64>()).sum() };
        let plain = all(&pairs.plain);
        let mut means = vec![0f64; self.cells];
        for (_, signs) in
            self.signs.chunks_exact(self.cells).enumerate().filter(|(sample, _)| part(sample % groups.max(1)))
        {
            means.iter_mut().zip(signs).for_each(|(mean, sign)| *mean += sign / count.max(1) as f64);
        }
        let scale = 0.5 / (count as f64 - 1.0).max(1.0).powi(2);
        let of_cell = |(cell, mean): (usize, &f64)| {
            let quadratic = all(&pairs.both[cell]) - 2.0 * mean * all(&pairs.first[cell]) + mean * mean * plain;
            (scale * quadratic).max(0.0)
        };
        means.iter().enumerate().map(of_cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tr(K H L H) / (n − 1)², matrix by matrix.
    #[test]
    fn it_is_the_trace_of_the_definition() {
        let (samples, cells) = (45usize, 4usize);
        let mut dependence = Dependence::new(cells);
        let mut masks = vec![vec![0f32; cells]; samples];
        for (index, mask) in masks.iter_mut().enumerate() {
            write(index, 9, mask);
            dependence.add(mask, 1.0 + 2.0 * mask[0] - mask[1] * mask[2] + 0.01 * index as f32);
        }
        let part = |sample: usize| sample % GROUPS != 3 && sample % GROUPS != 7;
        let kernel = dependence.kernel();
        let kept: Vec<usize> = (0..samples).filter(|sample| part(*sample)).collect();
        let n = kept.len();
        let matrix = |of: &dyn Fn(usize, usize) -> f64| nalgebra::DMatrix::from_fn(n, n, |j, k| of(kept[j], kept[k]));
        let l = matrix(&|j, k| kernel(dependence.scores[j], dependence.scores[k]));
        let h = nalgebra::DMatrix::<f64>::identity(n, n) - nalgebra::DMatrix::from_element(n, n, 1.0 / n as f64);
        let found = dependence.of(&|group| group != 3 && group != 7);
        for (cell, found) in found.iter().enumerate() {
            let k = matrix(&|j, k| 1.0 + 0.5 - f64::from(masks[j][cell] - masks[k][cell]).powi(2));
            let expected = (&k * &h * &l * &h).trace() / ((n - 1) * (n - 1)) as f64;
            assert!((found - expected).abs() < 1e-12, "cell {cell}: {found} {expected}");
        }
        assert!(found[0] > found[3]);
    }
}
