//! Points: rows of numbers.

#[cfg(test)]
use std::ops::Range;

use crate::error::{Error, Kind, Result};

/// An error about what was given.
pub(in crate::points) fn wrong<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::new(Kind::Argument, message))
}

/// Finite numbers in rows, each of which is a point: `[rows, columns]`, row by row.
///
/// There may be no row, but each has at least one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Points {
    /// Takes `rows · columns` numbers, row by row.
    ///
    /// # Errors
    ///
    /// If there are more or fewer numbers, no columns, or a number that is NaN or infinite.
    pub fn new(values: Vec<f32>, rows: usize, columns: usize) -> Result<Self> {
        if columns == 0 {
            return Err(Error::new(Kind::Argument, "points have no columns"));
        }
        if rows.checked_mul(columns) != Some(values.len()) {
            let message = format!("{} numbers are not {rows} rows of {columns}", values.len());
            return Err(Error::new(Kind::Argument, message));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (row, column) = (at / columns, at % columns);
            let message = format!("row {row} has {} in column {column}; all numbers must be finite", values[at]);
            return Err(Error::new(Kind::Argument, message));
        }
        Ok(Self { values, rows, columns })
    }

    /// How many points there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many numbers a point has.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All numbers, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// One point; `index` is below [`rows`](Self::rows).
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.columns..][..self.columns]
    }

    /// The numbers of some rows.
    #[cfg(test)]
    pub(in crate::points) fn range(&self, rows: Range<usize>) -> &[f32] {
        &self.values[rows.start * self.columns..rows.end * self.columns]
    }

    /// The first rows.
    ///
    /// # Errors
    /// There are not so many.
    pub fn first(&self, rows: usize) -> Result<Self> {
        let values = self.values.get(..rows.saturating_mul(self.columns)).unwrap_or_default();
        Self::new(values.to_vec(), rows, self.columns)
    }

    /// The mean of each column.
    pub(in crate::points) fn mean(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns];
        for row in self.iter() {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        sums.iter_mut().for_each(|sum| *sum /= self.rows as f64);
        sums
    }

    /// The points one after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::points) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Points that are uniform in [−1, 1) around `groups` centres.
    pub(in crate::points) fn grouped(seed: u64, rows: usize, columns: usize, groups: usize) -> (Points, Vec<usize>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let centers: Vec<f32> = (0..groups * columns).map(|_| random.random_range(-3.0..3.0)).collect();
        let labels: Vec<usize> = (0..rows).map(|row| row % groups).collect();
        let mut values = Vec::with_capacity(rows * columns);
        for label in &labels {
            let center = &centers[label * columns..][..columns];
            values.extend(center.iter().map(|center| center + random.random_range(-1.0f32..1.0)));
        }
        (Points::new(values, rows, columns).unwrap(), labels)
    }

    /// Points on a small grid, so that many distances are equal and some points are the same, or 0.
    pub(in crate::points) fn on_a_grid(seed: u64, rows: usize, columns: usize) -> Points {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let values = (0..rows * columns).map(|_| random.random_range(-1..=1) as f32).collect();
        Points::new(values, rows, columns).unwrap()
    }

    /// The same result from pools of one and of three threads.
    pub(in crate::points) fn for_any_threads<T: Send + PartialEq + std::fmt::Debug>(
        compute: impl Fn() -> T + Sync,
    ) -> T {
        let with =
            |threads: usize| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(&compute);
        let result = with(1);
        assert_eq!(result, with(3));
        result
    }

    #[test]
    fn what_is_no_table_of_finite_numbers_is_refused() {
        let message =
            |values: &[f32], rows, columns| Points::new(values.to_vec(), rows, columns).unwrap_err().to_string();
        assert_eq!(message(&[1.0; 5], 2, 3), "5 numbers are not 2 rows of 3");
        assert_eq!(message(&[], 0, 0), "points have no columns");
        assert_eq!(message(&[], usize::MAX, 2), "0 numbers are not 18446744073709551615 rows of 2");
        assert_eq!(message(&[0.0, 1.0, 2.0, f32::NAN], 2, 2), "row 1 has NaN in column 1; all numbers must be finite");
        assert_eq!(message(&[f32::INFINITY, 1.0], 1, 2), "row 0 has inf in column 0; all numbers must be finite");
        assert_eq!(Points::new(vec![], 0, 3).unwrap().iter().len(), 0);
    }
}
