//! Linear maps along one axis, as matrices whose rows are mostly zeros, and pairs of them on images.

use candle_core::Tensor;
use rayon::prelude::*;

use super::planes::{compute, with_last};
use super::with_backward;
use crate::error::Result;

/// Rows of an image that go through a matrix side by side.
const LANES: usize = 8;
/// Neighbouring columns that are summed in registers.
const BLOCK: usize = 16;

/// A matrix that stores one run of numbers for each row; outside it the row is zero.
#[derive(Clone, Debug)]
pub(super) struct Banded {
    columns: usize,
    runs: Vec<Run>,
    weights: Vec<f32>,
}

/// Where a row's numbers begin: in the matrix, and in the list of weights.
#[derive(Clone, Copy, Debug)]
struct Run {
    column: usize,
    offset: usize,
    length: usize,
}

impl Banded {
    /// A matrix of no rows.
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, runs: Vec::new(), weights: Vec::new() }
    }

    /// Adds a row of these entries (column, weight), columns below the matrix's; repeated columns add up.
    pub(super) fn push(&mut self, entries: impl Iterator<Item = (usize, f64)> + Clone) {
        let entries = entries.filter(|(_, weight)| *weight != 0.0);
        let columns = entries.clone().map(|(column, _)| column);
        let first = columns.clone().min().unwrap_or(0);
        let length = columns.max().map_or(0, |last| last + 1 - first);
        let offset = self.weights.len();
        self.runs.push(Run { column: first, offset, length });
        self.weights.resize(offset + length, 0.0);
        for (column, weight) in entries {
            self.weights[offset + column - first] += weight as f32;
        }
    }

    fn transposed(&self) -> Self {
        let mut touched = vec![(usize::MAX, 0); self.columns];
        for (row, run) in self.runs.iter().enumerate() {
            for (first, end) in &mut touched[run.column..run.column + run.length] {
                *first = row.min(*first);
                *end = row + 1;
            }
        }
        let mut count = 0;
        let mut runs = Vec::with_capacity(self.columns);
        for (first, end) in touched {
            let length = end.saturating_sub(first);
            runs.push(Run { column: first.min(end), offset: count, length });
            count += length;
        }
        let mut weights = vec![0f32; count];
        for row in 0..self.rows() {
            let (start, run) = self.row(row);
            for (to, weight) in runs[start..].iter().zip(run) {
                weights[to.offset + row - to.column] = *weight;
            }
        }
        Self { columns: self.rows(), runs, weights }
    }

    fn rows(&self) -> usize {
        self.runs.len()
    }

    /// The first column of a row that isn't zero, and the numbers from there.
    fn row(&self, row: usize) -> (usize, &[f32]) {
        let Run { column, offset, length } = self.runs[row];
        (column, &self.weights[offset..offset + length])
    }

    fn is_identity(&self) -> bool {
        self.rows() == self.columns && (0..self.rows()).all(|row| self.row(row) == (row, &[1.0]))
    }
}

/// `vertical · x · horizontalᵀ` for each plane `[..., height, width]`; differentiable.
///
/// # Errors
/// The planes do not have as many rows and columns as the matrices take, or the result is too large.
pub(super) fn separable(x: &Tensor, vertical: Banded, horizontal: Banded, operation: &'static str) -> Result<Tensor> {
    let y = apply(x, &vertical, &horizontal, operation)?;
    with_backward(x, y, move |gradient| apply(gradient, &vertical.transposed(), &horizontal.transposed(), operation))
}

fn apply(x: &Tensor, vertical: &Banded, horizontal: &Banded, operation: &str) -> Result<Tensor> {
    let width = horizontal.rows();
    let shape = with_last(x, 2, &[vertical.rows(), width], operation)?;
    compute(x, shape, |from, to| {
        match (vertical.is_identity(), horizontal.is_identity()) {
            (true, true) => to.copy_from_slice(from),
            (true, false) => along_rows(horizontal, from, to),
            (false, true) => along_columns(vertical, width, from, to),
            (false, false) => {
                let mut between = vec![0f32; from.len() / horizontal.columns * width];
                along_rows(horizontal, from, &mut between);
                along_columns(vertical, width, &between, to);
            }
        }
        Ok(())
    })
}

/// Each row of `from` through the matrix.
///
/// Several rows are interleaved first: then the inner loop runs over them, one after another in memory.
fn along_rows(matrix: &Banded, from: &[f32], to: &mut [f32]) {
    let groups = from.par_chunks(LANES * matrix.columns).zip(to.par_chunks_mut(LANES * matrix.rows()));
    groups.for_each_init(
        || vec![[0f32; LANES]; matrix.columns],
        |lanes, (from, to)| {
            for (lane, row) in from.chunks_exact(matrix.columns).enumerate() {
                for (slot, value) in lanes.iter_mut().zip(row) {
                    slot[lane] = *value;
                }
            }
            for place in 0..matrix.rows() {
                let (start, weights) = matrix.row(place);
                let mut sums = [0f32; LANES];
                for (weight, values) in weights.iter().zip(&lanes[start..]) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum += weight * value;
                    }
                }
                for (row, sum) in to.chunks_exact_mut(matrix.rows()).zip(sums) {
                    row[place] = sum;
                }
            }
        },
    );
}

/// Each column of the planes of `from`, `width` wide, through the matrix.
fn along_columns(matrix: &Banded, width: usize, from: &[f32], to: &mut [f32]) {
    to.par_chunks_mut(width).enumerate().for_each(|(row, to)| {
        let plane = row / matrix.rows() * matrix.columns;
        let (start, weights) = matrix.row(row % matrix.rows());
        let rows = || weights.iter().zip(from[(plane + start) * width..].chunks_exact(width));
        let (blocks, rest) = to.as_chunks_mut::<BLOCK>();
        for (place, block) in blocks.iter_mut().enumerate() {
            let mut sums = [0f32; BLOCK];
            for (weight, row) in rows() {
                for (sum, value) in sums.iter_mut().zip(&row[place * BLOCK..(place + 1) * BLOCK]) {
                    *sum += weight * value;
                }
            }
            *block = sums;
        }
        let done = width - rest.len();
        for (column, sum) in rest.iter_mut().enumerate() {
            *sum = rows().map(|(weight, row)| weight * row[done + column]).sum();
        }
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::tensor::testing::values;

    fn matrix(columns: usize, rows: &[&[(usize, f64)]]) -> Banded {
        let mut matrix = Banded::new(columns);
        rows.iter().for_each(|row| matrix.push(row.iter().copied()));
        matrix
    }

    #[test]
    fn repeated_entries_add_up_and_empty_rows_give_zero() {
        let across = matrix(4, &[&[(3, 2.0), (1, 1.0), (3, 0.5)], &[], &[(0, 0.0)], &[(2, -1.0)]]);
        let x = Tensor::new(&[[1f32, 10.0, 100.0, 1000.0]], &Device::Cpu).unwrap();
        let y = apply(&x, &matrix(1, &[&[(0, 1.0)]]), &across, "test").unwrap();
        assert_eq!(values(&y), [2510.0, 0.0, 0.0, -100.0]);
        let back = apply(&y, &matrix(1, &[&[(0, 1.0)]]), &across.transposed(), "test").unwrap();
        assert_eq!(values(&back), [0.0, 2510.0, 100.0, 6275.0]);
    }

    #[test]
    fn the_identity_is_known_by_its_numbers() {
        assert!(matrix(2, &[&[(0, 1.0), (1, 0.0)], &[(1, 0.75), (1, 0.25)]]).is_identity());
        assert!(!matrix(2, &[&[(1, 1.0)], &[(0, 1.0)]]).is_identity());
        assert!(!matrix(2, &[&[(0, 1.0)]]).is_identity());
        assert!(!matrix(2, &[&[(0, 1.0)], &[(1, 2.0)]]).is_identity());
    }
}
