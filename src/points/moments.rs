//! Means and deviations of columns.

use rayon::prelude::*;

use super::rows::Points;

/// Rows of one part; parts are summed in order.
const PART: usize = 1024;

/// The mean of each column, exactly where a column is constant; 0 if there are no rows.
pub(in crate::points) fn column_means(points: &Points) -> Vec<f64> {
    means(points, |_| 1.0)
}

/// The mean of each column after each row is multiplied by a factor.
pub(in crate::points) fn scaled_column_means(points: &Points, factors: &[f64]) -> Vec<f64> {
    means(points, |row| factors[row])
}

fn means(points: &Points, factor: impl Fn(usize) -> f64 + Sync) -> Vec<f64> {
    let scaled = |row: usize, value: f32| factor(row) * f64::from(value);
    let Some(first) = points.iter().next() else {
        return vec![0.0; points.columns()];
    };
    // differences from the first row, so that those of constant columns are 0
    let first: Vec<f64> = first.iter().map(|value| scaled(0, *value)).collect();
    let sums = column_sums(points, |row, value, column| scaled(row, value) - first[column]);
    first.iter().zip(sums).map(|(first, sum)| first + sum / points.rows() as f64).collect()
}

/// The mean of the squared differences of each column from its mean.
pub(in crate::points) fn column_variances(points: &Points, means: &[f64]) -> Vec<f64> {
    let sums = column_sums(points, |_, value, column| (f64::from(value) - means[column]).powi(2));
    sums.into_iter().map(|sum| sum / points.rows().max(1) as f64).collect()
}

/// Sums over the rows of what `term` makes of a row's number, a value and a column's number.
fn column_sums(points: &Points, term: impl Fn(usize, f32, usize) -> f64 + Sync) -> Vec<f64> {
    let columns = points.columns();
    let part = |(part, values): (usize, &[f32])| {
        let mut sums = vec![0f64; columns];
        for (row, values) in values.chunks_exact(columns).enumerate() {
            let row = part * PART + row;
            sums.iter_mut().zip(values).enumerate().for_each(|(i, (sum, value))| *sum += term(row, *value, i));
        }
        sums
    };
    let parts: Vec<Vec<f64>> = points.values().par_chunks(PART * columns).enumerate().map(part).collect();
    let mut total = vec![0f64; columns];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, sum)| *total += sum);
    }
    total
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::points::rows::tests::{for_any_threads, grouped};

    #[test]
    fn moments_of_columns() {
        let (points, _) = grouped(1, 2500, 3, 4);
        let means = for_any_threads(|| column_means(&points));
        let variances = for_any_threads(|| column_variances(&points, &means));
        for column in 0..3 {
            let values: Vec<f64> = points.iter().map(|row| f64::from(row[column])).collect();
            let mean = values.iter().sum::<f64>() / 2500.0;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2500.0;
            assert!((means[column] - mean).abs() < 1e-12 && (variances[column] - variance).abs() < 1e-12);
        }
        let constant = Points::new(vec![0.1; 3 * 1999], 1999, 3).unwrap();
        assert_eq!(column_variances(&constant, &column_means(&constant)), [0.0; 3]);
        let doubled = scaled_column_means(&points, &vec![2.0; 2500]);
        assert!(doubled.iter().zip(&means).all(|(doubled, mean)| (doubled - 2.0 * mean).abs() < 1e-12));
    }
}
