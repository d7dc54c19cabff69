//! Sums over long vectors in double precision, in parts of a fixed size and order, so that no result depends on the
//! number of threads.

use rayon::prelude::*;

/// Numbers of one part; parts are summed in order.
pub(super) const PART: usize = 1 << 13;
/// Sums that run side by side, so that the loop can use vectors.
const LANES: usize = 8;

/// Σ aᵢ bᵢ.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    if a.len() <= PART {
        return dot_part(a, b);
    }
    let parts: Vec<f64> = a.par_chunks(PART).zip(b.par_chunks(PART)).map(|(a, b)| dot_part(a, b)).collect();
    parts.iter().sum()
}

/// The same in one go.
pub(super) fn dot_part(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0f64; LANES];
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    lanes.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

/// to ← to + factor · from.
pub(super) fn add_scaled(to: &mut [f64], factor: f64, from: &[f64]) {
    let add = |to: &mut [f64], from: &[f64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += factor * from);
    if to.len() <= PART {
        add(to, from);
    } else {
        to.par_chunks_mut(PART).zip(from.par_chunks(PART)).for_each(|(to, from)| add(to, from));
    }
}
