//! How far an embedding's neighbours can be trusted to be neighbours.

use rayon::prelude::*;

use super::metric::Metric;
use super::neighbors::nearest_others;
use super::rows::Points;
use super::screen::Screen;
use crate::error::{Error, Kind, Result};

/// Points that are looked at by one thread at once; it changes no result.
const PART: usize = 128;

/// How well the neighbourhoods of an embedding keep to those of the points, from 0 to 1:
///
/// 1 − 2 / (n k (2n − 3k − 1)) · Σᵢ Σⱼ max(0, r(i, j) − k), where j runs over the `k` nearest neighbours of i in the
/// embedding and r(i, j) is the rank of j among the neighbours of i in the original space (1 is the nearest). Points that
/// are equally near rank by their index. Distances in the embedding are Euclidean.
///
/// Venna and Kaski, Neighborhood preservation in nonlinear projection methods, 2001, as scikit-learn has it.
///
/// # Errors
///
/// If the embedding has not as many points, or `k` is 0 or not below half of the number of points.
pub fn trustworthiness(points: &Points, embedding: &Points, k: usize, metric: Metric) -> Result<f64> {
    let n = points.rows();
    if embedding.rows() != n {
        let message = format!("the embedding has {} points, not {n}", embedding.rows());
        return Err(Error::new(Kind::Argument, message));
    }
    let most = n.saturating_sub(1) / 2;
    if k == 0 || k > most {
        let possible = if most > 0 { format!("allow 1 to {most}") } else { "are too few".to_owned() };
        return Err(Error::new(
            Kind::Argument,
            format!("k is {k}; {n} points {possible}, as it must be below half of them"),
        ));
    }
    let neighbors = nearest_others(embedding, k, Metric::L2)?;
    let screen = Screen::new(points, None, metric);
    let part = |start: usize| {
        let rows = start..n.min(start + PART);
        let mut ranks: Vec<Vec<Rank>> = rows
            .clone()
            .map(|row| neighbors.indices(row).iter().map(|index| Rank::new(points, metric, row, *index)).collect())
            .collect();
        let scaled = |rank: &Rank| screen.scaled(metric.key(points.row(rank.row), points.row(rank.index)));
        let keys: Vec<Vec<f64>> = ranks.iter().map(|ranks| ranks.iter().map(scaled).collect()).collect();
        screen.scan(rows, |row, first, lows, highs| {
            for (rank, key) in ranks[row - start].iter_mut().zip(&keys[row - start]) {
                rank.nearer += highs.iter().filter(|high| *high < key).count();
                for (index, (low, high)) in (first..).zip(lows.iter().zip(highs)) {
                    if low <= key && key <= high && rank.is_behind(points, metric, index) {
                        rank.nearer += 1;
                    }
                }
                // the point itself may have been counted
                if (first..first + lows.len()).contains(&row) {
                    rank.nearer -= usize::from(highs[row - first] < *key);
                }
            }
        });
        ranks.iter().flatten().map(|rank| (rank.nearer + 1).saturating_sub(k) as u128).sum::<u128>()
    };
    let starts: Vec<usize> = (0..n).step_by(PART).collect();
    let penalty: u128 = starts.into_par_iter().map(part).sum();
    let (n, k) = (n as f64, k as f64);
    Ok(1.0 - penalty as f64 * 2.0 / (n * k * (2.0 * n - 3.0 * k - 1.0)))
}

/// How many points are nearer to a row than one of the others is.
struct Rank {
    row: usize,
    index: usize,
    distance: f64,
    nearer: usize,
}

impl Rank {
    fn new(points: &Points, metric: Metric, row: usize, index: usize) -> Self {
        Self { row, index, distance: metric.distance(points.row(row), points.row(index)), nearer: 0 }
    }

    /// Does another point come before this one?
    fn is_behind(&self, points: &Points, metric: Metric, other: usize) -> bool {
        if other == self.row || other == self.index {
            return false;
        }
        let distance = metric.distance(points.row(self.row), points.row(other));
        distance < self.distance || (distance == self.distance && other < self.index)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::points::rows::tests::{for_any_threads, grouped, on_a_grid};

    /// From the definition.
    fn slow(points: &Points, embedding: &Points, k: usize, metric: Metric) -> f64 {
        let n = points.rows();
        let order = |points: &Points, metric: Metric, row: usize| {
            let mut others: Vec<usize> = (0..n).filter(|other| *other != row).collect();
            let distance = |other: usize| metric.distance(points.row(row), points.row(other));
            others.sort_by(|a, b| distance(*a).total_cmp(&distance(*b)));
            others
        };
        let mut sum = 0;
        for row in 0..n {
            let original = order(points, metric, row);
            for near in &order(embedding, Metric::L2, row)[..k] {
                let rank = 1 + original.iter().position(|other| other == near).unwrap();
                sum += rank.saturating_sub(k);
            }
        }
        1.0 - 2.0 * sum as f64 / (n * k * (2 * n - 3 * k - 1)) as f64
    }

    #[test]
    fn it_is_what_the_definition_says() {
        for (points, embedding) in
            [(grouped(1, 150, 12, 5).0, grouped(2, 150, 2, 5).0), (on_a_grid(3, 150, 3), on_a_grid(4, 150, 2))]
        {
            for metric in [Metric::L2, Metric::Cosine] {
                for k in [1, 7, 70] {
                    let found = for_any_threads(|| trustworthiness(&points, &embedding, k, metric).unwrap());
                    assert!((found - slow(&points, &embedding, k, metric)).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn the_same_points_are_trusted_wholly() {
        let (points, _) = grouped(1, 100, 5, 3);
        assert_eq!(trustworthiness(&points, &points, 10, Metric::L2).unwrap(), 1.0);
        let same = Points::new(vec![1.0; 30], 10, 3).unwrap();
        assert_eq!(trustworthiness(&same, &same, 3, Metric::L2).unwrap(), 1.0);
    }

    #[test]
    fn what_is_impossible_is_said() {
        let (points, _) = grouped(1, 10, 5, 3);
        let (fewer, _) = grouped(1, 2, 5, 1);
        let message = |a, b, k| trustworthiness(a, b, k, Metric::L2).unwrap_err().to_string();
        assert_eq!(message(&points, &fewer, 1), "the embedding has 2 points, not 10");
        assert_eq!(message(&points, &points, 5), "k is 5; 10 points allow 1 to 4, as it must be below half of them");
        assert_eq!(message(&fewer, &fewer, 1), "k is 1; 2 points are too few, as it must be below half of them");
    }
}
