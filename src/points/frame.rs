//! Points as they are compared, in double precision.

use rayon::prelude::*;

use super::metric::{Metric, dot, norm};
use super::moments::{column_means, scaled_column_means};
use super::product::products;
use super::rows::Points;

/// A squared distance below this share of the squared lengths is computed from the points themselves: the sum of
/// products has lost half of its digits by then.
const CANCELLED: f64 = 1e-8;
/// Rows of one part.
const PART: usize = 256;

/// Points seen from their mean, under the cosine as unit vectors: that changes no distance, and products of small
/// numbers round off little.
///
/// The key of two points is the sum of their offsets less their product times [`factor`](Self::factor).
pub(in crate::points) struct Frame<'a> {
    points: &'a Points,
    metric: Metric,
    /// What each row is multiplied by, under the cosine: one over its length, or 0.
    factors: Option<Vec<f64>>,
    mean: Vec<f64>,
}

/// Some of the points.
pub(in crate::points) struct Block {
    indices: Vec<usize>,
    /// `[indices, columns]`.
    pub(in crate::points) values: Vec<f64>,
    pub(in crate::points) offsets: Vec<f64>,
}

impl<'a> Frame<'a> {
    pub(in crate::points) fn new(points: &'a Points, metric: Metric) -> Self {
        let mut frame = Self::at(points, metric, Vec::new());
        frame.mean = match &frame.factors {
            Some(factors) => scaled_column_means(points, factors),
            None => column_means(points),
        };
        frame
    }

    /// Points seen from the mean of others.
    pub(in crate::points) fn at(points: &'a Points, metric: Metric, mean: Vec<f64>) -> Self {
        let inverse = |row: &[f32]| {
            let norm = norm(row);
            if norm > 0.0 { 1.0 / norm } else { 0.0 }
        };
        let rows = points.values().par_chunks_exact(points.columns()).with_min_len(PART);
        let factors = (metric == Metric::Cosine).then(|| rows.map(inverse).collect());
        Self { points, metric, factors, mean }
    }

    pub(in crate::points) fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// What the product of two points counts in their key.
    pub(in crate::points) fn factor(&self) -> f64 {
        match self.metric {
            Metric::L2 => 2.0,
            Metric::Cosine => 1.0,
        }
    }

    /// The coordinates of one point.
    pub(in crate::points) fn coordinates(&self, index: usize) -> impl Iterator<Item = f64> {
        let factor = self.factors.as_ref().map_or(1.0, |factors| factors[index]);
        self.points.row(index).iter().zip(&self.mean).map(move |(value, mean)| f64::from(*value) * factor - mean)
    }

    /// What a point with these coordinates adds to its keys.
    pub(in crate::points) fn offset(&self, coordinates: &[f64]) -> f64 {
        match self.metric {
            Metric::L2 => dot(coordinates, coordinates),
            // 1 − (x + m)·(y + m), one half for each of both
            Metric::Cosine => 0.5 - dot(&self.mean, coordinates) - 0.5 * dot(&self.mean, &self.mean),
        }
    }

    pub(in crate::points) fn block(&self, indices: impl Iterator<Item = usize>) -> Block {
        let indices: Vec<usize> = indices.collect();
        let mut values = Vec::with_capacity(indices.len() * self.points.columns());
        indices.iter().for_each(|index| values.extend(self.coordinates(*index)));
        let offsets = values.chunks_exact(self.points.columns()).map(|row| self.offset(row)).collect();
        Block { indices, values, offsets }
    }

    /// The keys of all pairs of two blocks, `[a, b]`, none below 0.
    pub(in crate::points) fn keys(&self, a: &Block, b: &Block) -> Vec<f64> {
        let width = b.indices.len();
        let mut keys = vec![0f64; a.indices.len() * width];
        if width == 0 {
            return keys;
        }
        products(&a.values, &b.values, self.points.columns(), &mut keys);
        let factor = self.factor();
        for (i, keys) in keys.chunks_exact_mut(width).enumerate() {
            for (j, key) in keys.iter_mut().enumerate() {
                let offset = a.offsets[i] + b.offsets[j];
                *key = offset - factor * *key;
                if self.metric == Metric::L2 && *key < CANCELLED * offset {
                    *key = self.metric.key(self.points.row(a.indices[i]), self.points.row(b.indices[j]));
                }
                *key = key.max(0.0);
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::rows::tests::{grouped, on_a_grid};

    #[test]
    fn keys_are_those_of_the_metric() {
        for points in [grouped(3, 40, 9, 3).0, on_a_grid(4, 40, 3)] {
            for metric in [Metric::L2, Metric::Cosine] {
                let frame = Frame::new(&points, metric);
                let (a, b) = (frame.block(5..20), frame.block([3, 39, 7, 7].into_iter()));
                for (at, key) in frame.keys(&a, &b).into_iter().enumerate() {
                    let (i, j) = (a.indices[at / 4], b.indices[at % 4]);
                    let truth = metric.key(points.row(i), points.row(j));
                    assert!((key - truth).abs() < 1e-13 * (1.0 + truth), "{key} for {truth}");
                }
            }
        }
    }

    #[test]
    fn equal_points_are_0_apart() {
        let (points, _) = grouped(5, 30, 17, 3);
        let frame = Frame::new(&points, Metric::L2);
        let block = frame.block(0..30);
        assert!(frame.keys(&block, &block).iter().step_by(31).all(|key| *key == 0.0));
    }
}
