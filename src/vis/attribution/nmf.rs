//! Non-negative matrix factorization.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use crate::error::Result;
use crate::job::Job;

/// Steps at most.
const STEPS: usize = 2000;
/// It has come to rest when a step makes the error smaller by less than this part of it.
const REST: f64 = 1e-7;

/// A matrix of places × channels as a sum of outer products of numbers that are not negative.
#[derive(Debug)]
pub(super) struct Factors {
    /// For each factor one number for each place.
    pub(super) maps: Vec<Vec<f64>>,
    /// For each factor one number for each channel, of length 1.
    pub(super) vectors: Vec<Vec<f64>>,
    /// The norm of what is missed, by that of the matrix.
    pub(super) error: f64,
    /// How many steps were taken.
    pub(super) steps: usize,
    /// Whether more of them would change little.
    pub(super) at_rest: bool,
}

/// Factorizes `values`, channel by channel, by hierarchical alternating least squares from NNDSVD, whose zeros are the mean.
///
/// # Errors
/// It was interrupted.
pub(super) fn factorize(job: &Job, values: &[f32], channels: usize, count: usize) -> Result<Factors> {
    let places = values.len() / channels.max(1);
    let x = DMatrix::from_fn(places, channels, |place, channel| f64::from(values[channel * places + place]));
    let norm = x.norm();
    let (mut w, mut h) = start(&x, count);
    let progress = job.progress("factorization", STEPS);
    let (mut before, mut steps, mut at_rest) = (f64::INFINITY, 0, norm == 0.0);
    while steps < STEPS && !at_rest {
        sweep(&mut w, &(&x * &h), &(h.transpose() * &h));
        let (cross, inner) = (x.transpose() * &w, w.transpose() * &w);
        sweep(&mut h, &cross, &inner);
        // ‖X − WHᵀ‖² without that matrix
        let squared = norm * norm - 2.0 * cross.dot(&h) + (&inner * (h.transpose() * &h)).trace();
        let error = squared.max(0.0).sqrt() / norm;
        steps += 1;
        at_rest = before - error <= REST * error.max(REST);
        before = error;
        progress.advance(1)?;
    }
    let error = if norm == 0.0 { 0.0 } else { (&x - &w * h.transpose()).norm() / norm };
    let (mut maps, mut vectors) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for (map, vector) in w.column_iter().zip(h.column_iter()) {
        let length = vector.norm();
        let scale = if length > 0.0 { length } else { 1.0 };
        maps.push(map.iter().map(|value| value * scale).collect());
        vectors.push(vector.iter().map(|value| value / scale).collect());
    }
    Ok(Factors { maps, vectors, error, steps, at_rest })
}

/// Each column of `w` in turn gets the best values for what the others leave, given `x · h` and `hᵀ · h`.
fn sweep(w: &mut DMatrix<f64>, cross: &DMatrix<f64>, inner: &DMatrix<f64>) {
    for factor in 0..w.ncols() {
        let weight = inner[(factor, factor)];
        if weight <= 0.0 {
            continue;
        }
        let change: DVector<f64> = (cross.column(factor) - &*w * inner.column(factor)) / weight;
        w.column_mut(factor)
            .iter_mut()
            .zip(change.iter())
            .for_each(|(value, change)| *value = (*value + change).max(0.0));
    }
}

/// NNDSVD: of each pair of singular vectors the part of one sign that is larger; what is 0 gets the mean.
fn start(x: &DMatrix<f64>, count: usize) -> (DMatrix<f64>, DMatrix<f64>) {
    let wide = x.ncols() > x.nrows();
    let eigen = SymmetricEigen::new(if wide { x * x.transpose() } else { x.transpose() * x });
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let (mut w, mut h) = (DMatrix::zeros(x.nrows(), count), DMatrix::zeros(x.ncols(), count));
    for (factor, index) in order.into_iter().take(count).enumerate() {
        let own: DVector<f64> = eigen.eigenvectors.column(index).into();
        let other = if wide { x.transpose() * &own } else { x * &own };
        // the other side is as long as the singular value
        let singular = other.norm();
        let other = if singular > 0.0 { other / singular } else { other };
        let (left, right) = if wide { (own, other) } else { (other, own) };
        let parts = [1.0, -1.0].map(|sign| (left.map(|v| (sign * v).max(0.0)), right.map(|v| (sign * v).max(0.0))));
        let sizes = parts.each_ref().map(|(left, right)| left.norm() * right.norm());
        let [first, second] = parts;
        let ((left, right), size) = if sizes[0] >= sizes[1] { (first, sizes[0]) } else { (second, sizes[1]) };
        if size > 0.0 {
            let scale = (singular * size).sqrt();
            w.set_column(factor, &(&left * (scale / left.norm())));
            h.set_column(factor, &(&right * (scale / right.norm())));
        }
    }
    let mean = x.mean();
    for value in w.iter_mut().chain(h.iter_mut()).filter(|value| **value < 1e-6) {
        *value = mean;
    }
    (w, h)
}
