//! Sampling that may end at any time: at a number of samples, once the ranking is stable, or when it is interrupted.

use candle_core::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Attribution, Sampled};
use crate::error::{Error, Kind, Result};
use crate::job::Progress;
use crate::lang::{Dynamic, Options, choices};
use crate::model::budget;
use crate::vis::Gather;

/// Samples are counted in so many groups, which are left out by halves to see how much hangs on them.
const GROUPS: usize = 20;
/// So few groups say nothing about the others.
const LEAST_GROUPS: usize = 4;
/// How many halves are looked at.
const HALVES: usize = 100;
/// Of estimates of so many numbers, fewer are.
const MANY: usize = 100_000;
const FEWER_HALVES: usize = 20;
/// Of so many halves, one may disagree.
const CONFIDENCE: usize = 20;
/// The share of the top tenth that the halves must agree about.
pub const RESOLVED: f64 = 0.9;
/// Numbers that a thread takes at once.
const PART: usize = 1 << 13;
/// Without a bound, sampling for a stable ranking ends after so many times the usual number.
const PATIENCE: usize = 10;

/// What ends sampling before its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// A ranking that is resolved.
    Stable,
}

choices!(Until { "stable" => Stable });

/// How long is sampled, and from which random numbers.
#[derive(Clone, Copy, Debug, Options)]
pub struct Sampling {
    /// How many samples are taken at most. If not given, the method's usual number: 4000 masks of `rise`, 32 designs of
    /// `sobol`, 500 masks of `hsic`, 50 copies of `smooth_grad` and `smooth`, 50 pairs of `expected_gradients`, 1000 images of
    /// `lime` and `kernel_shap`; with `until="stable"` ten times that.
    #[default]
    #[range(1..=1000000)]
    pub samples: Option<usize>,
    /// "stable" ends it once the ranking is resolved: of 100 random halves of the samples (20 for values of more than 100,000
    /// numbers), 95 % agree with the whole about nine tenths of the places in the top tenth. A half differs from the whole as
    /// much as the whole does from the truth.
    #[default]
    pub until: Option<Until>,
    /// The seed of what is drawn; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// An estimate from samples, which are counted in groups.
pub trait Estimate: Sync {
    /// Samples that were taken.
    fn samples(&self) -> usize;

    /// How many groups they are counted in.
    fn groups(&self) -> usize;

    /// The estimate `[C, h, w]` from the groups for which `part` holds, of which there is at least one.
    fn of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f64>;

    /// The standard error of the estimate from all samples, if enough of them were taken.
    fn error(&self) -> Option<Vec<f64>> {
        self.halved_error()
    }

    /// The standard error as halves of the samples tell it.
    fn halved_error(&self) -> Option<Vec<f64>> {
        let whole = self.of(&|_| true);
        let mut squares = vec![0f64; whole.len()];
        let halves = halves(self.groups(), whole.len())?;
        for half in &halves {
            let other = self.of(&|group| half[group]);
            squares.iter_mut().zip(other.iter().zip(&whole)).for_each(|(sum, (a, b))| *sum += (a - b).powi(2));
        }
        // of an odd number of groups the smaller half is taken, which scatters a little more than the whole
        let (all, half) = (self.groups() as f64, (self.groups() / 2) as f64);
        let scale = half / (all - half) / halves.len() as f64;
        Some(squares.into_iter().map(|sum| (sum * scale).sqrt()).collect())
    }
}

/// Random halves of groups that tell of so many numbers, the same each time; none if there are too few groups.
fn halves(groups: usize, numbers: usize) -> Option<Vec<Vec<bool>>> {
    if groups < LEAST_GROUPS {
        return None;
    }
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let half = |_| {
        let mut taken: Vec<bool> = (0..groups).map(|group| group < groups / 2).collect();
        taken.shuffle(&mut random);
        taken
    };
    Some((0..if numbers > MANY { FEWER_HALVES } else { HALVES }).map(half).collect())
}

/// Means over samples, one for each number.
pub struct Means {
    samples: usize,
    /// The sums of each group.
    sums: Vec<Vec<f64>>,
    squares: Vec<f64>,
}

impl Means {
    /// The means of `count` numbers.
    pub fn new(count: usize) -> Self {
        // the groups of a large image must not fill the memory
        let groups = (budget::memory() / 8 / (8 * count.max(1))).clamp(LEAST_GROUPS, GROUPS);
        Self { samples: 0, sums: vec![vec![0.0; count]; groups], squares: vec![0.0; count] }
    }

    /// Takes `f` of each number of one sample.
    pub fn add_each(&mut self, sample: &[f32], f: impl Fn(f32) -> f64 + Sync) {
        let group = self.samples % self.sums.len();
        self.samples += 1;
        let sums = self.sums[group].par_chunks_mut(PART).zip(self.squares.par_chunks_mut(PART));
        sums.zip(sample.par_chunks(PART)).for_each(|((sums, squares), sample)| {
            for ((sum, square), value) in sums.iter_mut().zip(squares).zip(sample) {
                let number = f(*value);
                *sum += number;
                *square += number * number;
            }
        });
    }

    /// Takes the numbers of one sample.
    pub fn add(&mut self, numbers: impl Iterator<Item = f64>) {
        let group = self.samples % self.sums.len();
        self.samples += 1;
        for ((sum, square), number) in self.sums[group].iter_mut().zip(&mut self.squares).zip(numbers) {
            *sum += number;
            *square += number * number;
        }
    }
}

impl Estimate for Means {
    fn samples(&self) -> usize {
        self.samples
    }

    fn groups(&self) -> usize {
        self.samples.min(self.sums.len())
    }

    fn of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f64> {
        let all = self.sums.len();
        let mut count = 0;
        let mut means = vec![0f64; self.squares.len()];
        for group in (0..self.groups()).filter(|group| part(*group)) {
            count += (self.samples - group).div_ceil(all);
            means.iter_mut().zip(&self.sums[group]).for_each(|(mean, sum)| *mean += sum);
        }
        means.iter_mut().for_each(|mean| *mean /= count.max(1) as f64);
        means
    }

    fn error(&self) -> Option<Vec<f64>> {
        let count = self.samples as f64;
        let error = |(mean, square): (&f64, &f64)| ((square / count - mean * mean).max(0.0) / (count - 1.0)).sqrt();
        (self.samples > 1).then(|| self.of(&|_| true).iter().zip(&self.squares).map(error).collect())
    }
}

/// A method that is sampling: its estimate so far, and when it ends.
pub struct Anytime<E> {
    /// What was made of the samples so far.
    pub estimate: E,
    /// The result, all but its numbers: its values have their shape.
    blank: Attribution,
    most: usize,
    until: Option<Until>,
    /// At how many samples it is next asked whether the ranking is resolved.
    next: usize,
    /// What was found the last time, and at how many samples.
    stability: Option<(usize, Option<f64>)>,
}

impl<E: Estimate> Anytime<E> {
    /// Sampling for the numbers of `blank`, whose values only have the shape. `usual` is how many samples are taken if
    /// nothing is said.
    pub fn new(blank: Attribution, estimate: E, sampling: &Sampling, usual: usize) -> Self {
        let until = sampling.until;
        let most = sampling.samples.unwrap_or(if until.is_some() { usual.saturating_mul(PATIENCE) } else { usual });
        Self { estimate, blank, most, until, next: (usual / 10).max(2 * LEAST_GROUPS), stability: None }
    }

    /// How many samples are taken at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// The result, given how the run ended: an interrupt ends sampling, and what there is stays.
    ///
    /// # Errors
    /// The run failed, or was interrupted before there was a sample.
    pub fn finish(mut self, outcome: Result<()>) -> Result<Attribution> {
        match outcome {
            Err(error) if error.kind() == Kind::Interrupted && self.estimate.samples() > 0 => {}
            outcome => outcome?,
        }
        let stability = self.stability()?;
        let mut attribution = self.so_far()?;
        let error = self.estimate.error().map(|error| self.tensor(&error)).transpose()?;
        attribution.standard_error = error;
        attribution.sampled = Some(Sampled { samples: self.estimate.samples(), most: self.most, stability });
        Ok(attribution)
    }

    fn so_far(&self) -> Result<Attribution> {
        if self.estimate.samples() == 0 {
            return Err(Error::interrupted());
        }
        Ok(Attribution { values: self.tensor(&self.estimate.of(&|_| true))?, ..self.blank.clone() })
    }

    fn tensor(&self, numbers: &[f64]) -> Result<Tensor> {
        let numbers: Vec<f32> = numbers.iter().map(|number| *number as f32).collect();
        Ok(Tensor::from_vec(numbers, self.blank.values.shape(), self.blank.values.device())?)
    }

    /// The share of the top tenth that the halves agree about.
    fn stability(&mut self) -> Result<Option<f64>> {
        let samples = self.estimate.samples();
        if let Some((at, stability)) = self.stability
            && at == samples
        {
            return Ok(stability);
        }
        let (estimate, sign, channels) = (&self.estimate, self.blank.sign, self.blank.values.dim(0)?);
        let mut stability = None;
        if let Some(halves) = halves(estimate.groups(), self.blank.values.elem_count()) {
            let top = |part: &(dyn Fn(usize) -> bool + Sync)| {
                let numbers: Vec<f32> = estimate.of(part).into_iter().map(|number| number as f32).collect();
                top_tenth(&sign.map(&numbers, channels))
            };
            let whole = top(&|_| true);
            let count = whole.iter().filter(|top| **top).count().max(1) as f64;
            let share = |half: &Vec<bool>| {
                let other = top(&|group| half[group]);
                other.iter().zip(&whole).filter(|(a, b)| **a && **b).count() as f64 / count
            };
            let mut shares: Vec<f64> = halves.par_iter().map(share).collect();
            shares.sort_by(f64::total_cmp);
            stability = shares.get(shares.len() / CONFIDENCE).copied();
        }
        self.stability = Some((samples, stability));
        Ok(stability)
    }
}

impl<E: Estimate> Gather for Anytime<E> {
    fn enough(&mut self) -> Result<bool> {
        if self.until.is_none() || self.estimate.samples() < self.next {
            return Ok(false);
        }
        self.next = self.estimate.samples() + self.estimate.samples().div_ceil(4);
        Ok(self.stability()?.is_some_and(|stability| stability >= RESOLVED))
    }

    fn report(&self, progress: &Progress<'_>, steps: usize) -> Result<()> {
        progress.advance_showing(steps, &|| Ok(Dynamic::from(self.so_far()?)))
    }
}

/// Which places are among the greatest tenth, at least one; of equals the first.
fn top_tenth(map: &[f32]) -> Vec<bool> {
    let count = ((map.len() as f64 / 10.0).round() as usize).clamp(1, map.len().max(1));
    let mut order: Vec<u32> = (0..map.len() as u32).collect();
    let value = |place: u32| map.get(place as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let mut taken = vec![false; map.len()];
    if count < map.len() {
        order.select_nth_unstable_by(count - 1, |a, b| value(*b).total_cmp(&value(*a)).then(a.cmp(b)));
    }
    order.into_iter().take(count).for_each(|place| taken[place as usize] = true);
    taken
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::normal;

    #[test]
    fn the_top_tenth_are_the_greatest() {
        let map: Vec<f32> = (0..30).map(|place| ((place * 7) % 30) as f32).collect();
        let top: Vec<usize> = top_tenth(&map).iter().enumerate().filter(|(_, top)| **top).map(|(at, _)| at).collect();
        let mut values: Vec<f32> = top.iter().map(|at| map[*at]).collect();
        values.sort_by(f32::total_cmp);
        assert_eq!(values, [27.0, 28.0, 29.0]);
        assert_eq!(top_tenth(&[1.0, 1.0]), [true, false]);
    }

    #[test]
    fn means_and_their_errors_are_those_of_the_samples() {
        let mut means = Means::new(2);
        let samples = [[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]];
        samples.iter().for_each(|sample| means.add(sample.iter().copied()));
        let mean = 7.0 / 3.0;
        let variance = [1.0f64, 2.0, 4.0].iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 2.0;
        assert_eq!(means.of(&|_| true), [mean, 5.0]);
        let error = means.error().unwrap();
        assert!((error[0] - (variance / 3.0).sqrt()).abs() < 1e-12 && error[1] == 0.0, "{error:?}");
        // the first and the last sample
        assert_eq!(means.of(&|group| group != 1), [2.5, 5.0]);
    }

    /// Halves scatter about the whole as the whole does about the truth, so they give the standard error too.
    #[test]
    fn halves_tell_the_standard_error() {
        struct ByHalves(Means);
        impl Estimate for ByHalves {
            fn samples(&self) -> usize {
                self.0.samples()
            }
            fn groups(&self) -> usize {
                self.0.groups()
            }
            fn of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f64> {
                self.0.of(part)
            }
        }
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut numbers = normal(&mut random);
        let mut means = Means::new(200);
        for _ in 0..400 {
            let sample: Vec<f64> = numbers.by_ref().take(200).map(f64::from).collect();
            means.add(sample.into_iter());
        }
        let rms = |errors: Vec<f64>| (errors.iter().map(|error| error * error).sum::<f64>() / 200.0).sqrt();
        let exact = rms(means.error().unwrap());
        assert!((exact - 0.05).abs() < 0.001, "{exact}");
        let halved = rms(ByHalves(means).error().unwrap());
        assert!((halved / exact - 1.0).abs() < 0.05, "{halved} {exact}");
    }
}
