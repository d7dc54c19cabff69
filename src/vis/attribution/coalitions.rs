//! What LIME and KernelSHAP share: images of which some superpixels are hidden, and linear models of their scores.

use candle_core::Tensor;
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::Baseline;
use crate::error::{Error, Kind, Result};
use crate::image::superpixels::{Cut, Superpixels};
use crate::job::Job;
use crate::tensor::TensorValue;
use crate::vis::Prediction;

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

    /// The scores of `count` images; `shown(i)` says which superpixels of the `i`-th are there.
    pub fn scores(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        shown: impl Fn(usize) -> Vec<bool> + Sync,
    ) -> Result<Vec<f64>> {
        let (labels, cover) = (self.superpixels.labels(), &self.cover);
        let scores = self.prediction.scores(job, label, count, |index, pixels| {
            let shown = shown(index);
            let labels = labels.iter().cycle();
            for ((pixel, cover), label) in pixels.iter_mut().zip(cover).zip(labels) {
                if !shown[*label as usize] {
                    *pixel = *cover;
                }
            }
            Ok(())
        })?;
        Ok(scores.into_iter().map(f64::from).collect())
    }

    /// A number for each superpixel as a map: every pixel has that of its superpixel, `[1, h, w]`.
    pub fn map(&self, numbers: &DVector<f64>) -> Result<Tensor> {
        let values: Vec<f32> = self.superpixels.labels().iter().map(|label| numbers[*label as usize] as f32).collect();
        let view = &self.prediction.view;
        Ok(Tensor::from_vec(values, (1, view.height(), view.width()), self.prediction.input.device())?)
    }
}

/// Samples as a tensor [samples, superpixels] of 1 (shown) and 0 (hidden).
pub(super) fn as_tensor(samples: usize, count: usize, shown: impl Fn(usize) -> Vec<bool>) -> Result<TensorValue> {
    let values = (0..samples).flat_map(&shown).map(|shown| f32::from(u8::from(shown))).collect();
    TensorValue::from_values(values, &[samples, count])
}

/// Σ weight · x xᵀ and Σ weight · y x, for a least-squares fit of y by x.
pub(super) struct NormalEquations {
    pub matrix: DMatrix<f64>,
    pub right: DVector<f64>,
}

impl NormalEquations {
    pub fn new(count: usize) -> Self {
        Self { matrix: DMatrix::zeros(count, count), right: DVector::zeros(count) }
    }

    pub fn add(&mut self, x: &DVector<f64>, y: f64, weight: f64) {
        self.matrix.syger(weight, x, x, 1.0);
        self.right.axpy(weight * y, x, 1.0);
    }

    /// The factors of the matrix, of which only the lower half was filled.
    pub fn factors(&self, too_few: impl FnOnce() -> Error) -> Result<Cholesky<f64, Dyn>> {
        let least = self.matrix.diagonal().min();
        let found = Cholesky::new(self.matrix.clone());
        // a matrix that is singular but for rounding has tiny pivots
        let pivots = found.as_ref().map_or(0.0, |found| found.l_dirty().diagonal().min().powi(2));
        match found {
            Some(found) if pivots > 1e-12 * least => Ok(found),
            _ => Err(too_few()),
        }
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
