//! What LIME and KernelSHAP share: images of which some superpixels are hidden, and linear models of their scores.

use candle_core::Tensor;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::{Baseline, Estimate};
use crate::error::{Error, Kind, Result};
use crate::image::superpixels::{Cut, Superpixels};
use crate::job::Job;
use crate::tensor::TensorValue;
use crate::vis::Prediction;

/// Samples are counted in so many groups.
const GROUPS: usize = 20;
/// With more unknowns the groups are not asked for what halves of the samples say: each half is a fit of its own.
const MANY: usize = 500;

/// Superpixels of the image that a prediction is about, and what hides them: an input of the network.
pub(super) struct Pieces<'a> {
    prediction: &'a Prediction,
    superpixels: Superpixels,
    cover: Vec<f32>,
}

impl<'a> Pieces<'a> {
    pub fn new(job: &Job, prediction: &'a Prediction, cut: &Cut, baseline: &Baseline, seed: u64) -> Result<Self> {
        let superpixels = cut.of(&prediction.view, job.interrupt())?;
        let cover = baseline.input(job, prediction, Some(seed))?.flatten_all()?.to_vec1()?;
        Ok(Self { prediction, superpixels, cover })
    }

    pub fn count(&self) -> usize {
        self.superpixels.count()
    }

    /// The number of the superpixel that each pixel is in.
    pub fn labels(&self) -> &[u32] {
        self.superpixels.labels()
    }

    /// What hides superpixels.
    pub fn hiding(&self) -> Hiding<'_> {
        Hiding { labels: self.labels(), cover: &self.cover }
    }

    /// The scores of `count` images; `shown(i)` says which superpixels of the `i`-th are there.
    pub fn scores(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        shown: impl Fn(usize) -> Vec<bool> + Sync,
    ) -> Result<Vec<f64>> {
        let hiding = self.hiding();
        let scores = self.prediction.scores(job, label, count, |index, pixels| {
            hiding.apply(&shown(index), pixels);
            Ok(())
        })?;
        Ok(scores.into_iter().map(f64::from).collect())
    }

    /// A number for each superpixel as a map: every pixel has that of its superpixel, `[1, h, w]`.
    pub fn map(&self, numbers: &DVector<f64>) -> Result<Tensor> {
        let values: Vec<f32> = spread(self.labels(), numbers).into_iter().map(|number| number as f32).collect();
        let view = &self.prediction.view;
        Ok(Tensor::from_vec(values, (1, view.height(), view.width()), self.prediction.input.device())?)
    }
}

/// Hides superpixels of an input.
#[derive(Clone, Copy)]
pub(super) struct Hiding<'a> {
    labels: &'a [u32],
    cover: &'a [f32],
}

impl Hiding<'_> {
    /// Covers the superpixels of the input `[C, h, w]` that are not shown.
    pub fn apply(&self, shown: &[bool], pixels: &mut [f32]) {
        let labels = self.labels.iter().cycle();
        for ((pixel, cover), label) in pixels.iter_mut().zip(self.cover).zip(labels) {
            if !shown[*label as usize] {
                *pixel = *cover;
            }
        }
    }
}

/// The number of each pixel's superpixel.
fn spread(labels: &[u32], numbers: &DVector<f64>) -> Vec<f64> {
    labels.iter().map(|label| numbers[*label as usize]).collect()
}

/// Samples as a tensor [samples, superpixels] of 1 (shown) and 0 (hidden).
pub(super) fn as_tensor(samples: usize, count: usize, shown: impl Fn(usize) -> Vec<bool>) -> Result<TensorValue> {
    let values = (0..samples).flat_map(&shown).map(|shown| f32::from(u8::from(shown))).collect();
    TensorValue::from_values(values, &[samples, count])
}

/// Σ weight · x xᵀ and Σ weight · y x, for a least-squares fit of y by x.
pub(super) struct NormalEquations {
    /// Only the lower half is filled.
    pub matrix: DMatrix<f64>,
    pub right: DVector<f64>,
    samples: usize,
}

impl NormalEquations {
    fn new(count: usize) -> Self {
        Self { matrix: DMatrix::zeros(count, count), right: DVector::zeros(count), samples: 0 }
    }

    fn add(&mut self, x: &DVector<f64>, y: f64, weight: f64) {
        self.matrix.syger(weight, x, x, 1.0);
        self.right.axpy(weight * y, x, 1.0);
        self.samples += 1;
    }

    fn add_all(&mut self, others: &Self) {
        self.matrix += &others.matrix;
        self.right += &others.right;
        self.samples += others.samples;
    }

    /// The factors of the matrix, unless it is singular.
    pub fn factors(&self) -> Option<Cholesky<f64, Dyn>> {
        let least = self.matrix.diagonal().min();
        let found = Cholesky::new(self.matrix.clone())?;
        // a matrix that is singular but for rounding has tiny pivots
        (found.l_dirty().diagonal().min().powi(2) > 1e-12 * least).then_some(found)
    }
}

/// A linear model of the scores of images, by which superpixels they show.
pub(super) trait LinearModel: Sync {
    /// So many samples, one after the other, belong together.
    const TOGETHER: usize;

    /// How many unknowns it has: one for each superpixel, and behind them others.
    fn unknowns(&self) -> usize;

    /// So many samples are needed at least.
    fn least(&self) -> usize;

    /// From where scores are counted.
    fn origin(&self) -> f64;

    /// How often each unknown is in the score of a sample, and how much the sample counts.
    fn sample(&self, index: usize) -> (DVector<f64>, f64);

    /// The unknowns from the sums over a share of the samples, if these settle them.
    fn solve(&self, sums: NormalEquations, share: f64) -> Option<Solution>;

    /// What the right side of the equations is multiplied with to give the unknowns.
    fn inverse(&self, factors: &Cholesky<f64, Dyn>) -> DMatrix<f64> {
        factors.inverse()
    }

    /// How much the variance is greater than so many samples, each with what belongs to it, say.
    fn correction(&self, _samples: f64) -> f64 {
        1.0
    }
}

/// The unknowns of a linear model.
pub(super) struct Solution {
    pub unknowns: DVector<f64>,
    /// Of the matrix of the equations.
    pub factors: Cholesky<f64, Dyn>,
}

/// A linear model, fitted to the scores of samples; its values are those of each pixel's superpixel.
pub(super) struct Fits<'a, M> {
    pub model: M,
    labels: &'a [u32],
    /// The scores of the samples, less the origin.
    scores: Vec<f64>,
    /// Sums over the samples of each group.
    groups: Vec<NormalEquations>,
    /// Do the samples settle the unknowns?
    settled: bool,
}

impl<'a, M: LinearModel> Fits<'a, M> {
    /// A model without samples; `labels` are the numbers of the pixels' superpixels.
    pub fn new(model: M, labels: &'a [u32]) -> Self {
        let unknowns = model.unknowns();
        let groups = if unknowns > MANY { 1 } else { GROUPS };
        let groups = (0..groups).map(|_| NormalEquations::new(unknowns)).collect();
        Self { model, labels, scores: Vec::new(), groups, settled: false }
    }

    /// Takes the scores of the next samples.
    pub fn take(&mut self, scores: impl Iterator<Item = f64>) {
        for score in scores {
            let (index, y) = (self.scores.len(), score - self.model.origin());
            let (x, weight) = self.model.sample(index);
            let group = index / M::TOGETHER % self.groups.len();
            self.groups[group].add(&x, y, weight);
            self.scores.push(y);
        }
        self.settled = self.settled || self.scores.len() >= self.model.least() && self.solution().is_some();
    }

    /// What all samples say.
    pub fn solution(&self) -> Option<Solution> {
        self.solution_of(&|_| true)
    }

    /// For each sample how much it counts, its score, and by how much the model is wrong about it.
    pub fn residuals(&self, unknowns: &DVector<f64>) -> Vec<(f64, f64, f64)> {
        let residual = |(index, y): (usize, &f64)| {
            let (x, weight) = self.model.sample(index);
            (weight, *y, y - x.dot(unknowns))
        };
        self.scores.iter().enumerate().map(residual).collect()
    }

    fn solution_of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Option<Solution> {
        let mut sums = NormalEquations::new(self.model.unknowns());
        let groups = self.groups.iter().take(self.used()).enumerate();
        groups.filter(|(group, _)| part(*group)).for_each(|(_, group)| sums.add_all(group));
        let share = sums.samples as f64 / self.scores.len().max(1) as f64;
        self.model.solve(sums, share)
    }

    /// How many groups have samples.
    fn used(&self) -> usize {
        self.scores.len().div_ceil(M::TOGETHER).min(self.groups.len())
    }
}

impl<M: LinearModel> Estimate for Fits<'_, M> {
    /// None as long as they do not settle the unknowns.
    fn samples(&self) -> usize {
        if self.settled { self.scores.len() } else { 0 }
    }

    /// None as long as half of the samples are less than two for each unknown: what such halves say scatters far more than
    /// what all of them say.
    fn groups(&self) -> usize {
        if self.scores.len() < 4 * self.model.unknowns() { 0 } else { self.used() }
    }

    /// A part that does not settle the unknowns must not seem to agree with the others: it says the opposite.
    fn of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f64> {
        if let Some(solution) = self.solution_of(part) {
            return spread(self.labels, &solution.unknowns);
        }
        let opposite = self.solution().map(|solution| spread(self.labels, &-solution.unknowns));
        opposite.unwrap_or_else(|| vec![0.0; self.labels.len()])
    }

    /// The spread of the unknowns over samples, whatever the errors of the linear model are (the sandwich estimate).
    fn error(&self) -> Option<Vec<f64>> {
        let count = self.scores.len();
        let Solution { unknowns, factors } = self.solution().filter(|_| count > 1)?;
        let mut middle = NormalEquations::new(unknowns.len());
        for first in (0..count).step_by(M::TOGETHER) {
            let mut gradient = DVector::zeros(unknowns.len());
            for (index, y) in self.scores.iter().enumerate().skip(first).take(M::TOGETHER) {
                let (x, weight) = self.model.sample(index);
                gradient.axpy(weight * (y - x.dot(&unknowns)), &x, 1.0);
            }
            middle.add(&gradient, 0.0, 1.0);
        }
        middle.matrix.fill_upper_triangle_with_lower_triangle();
        let inverse = self.model.inverse(&factors);
        let correction = self.model.correction(middle.samples as f64);
        let variances = (&inverse * middle.matrix * &inverse).diagonal() * correction;
        Some(spread(self.labels, &variances.map(|variance| variance.max(0.0).sqrt())))
    }
}

/// A vector of 1 for each superpixel that is shown, and 0 for each that is not.
pub(super) fn as_vector(shown: &[bool]) -> DVector<f64> {
    DVector::from_iterator(shown.len(), shown.iter().map(|shown| f64::from(u8::from(*shown))))
}

/// The error of a fit that has too few samples.
pub(super) fn too_few(method: &str, samples: usize, count: usize, needed: usize) -> Error {
    let message = format!("{method}: `samples` is {samples}, too few for {count} superpixels");
    let hint = format!("take at least {needed}, or fewer `segments`");
    Error::new(Kind::Argument, message).with_hint(hint).at_argument("samples")
}
