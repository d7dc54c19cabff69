//! How much nearer points are to their own cluster than to the next.

use rayon::prelude::*;

use super::frame::Frame;
use super::labels::Labels;
use super::metric::Metric;
use super::rows::Points;
use crate::error::{Error, Kind, Result};

/// Points that are compared at once by one thread, and with how many others.
const PART: usize = 128;
const BLOCK: usize = 512;

/// Silhouettes of points, each from −1 to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Silhouette {
    /// The mean of all points.
    pub mean: f64,
    /// Each cluster's label, how many points it has, and their mean, by ascending label.
    pub clusters: Vec<(usize, usize, f64)>,
    /// That of each point.
    pub points: Vec<f64>,
}

/// The silhouettes of points in clusters: (b − a) / max(a, b), where a is the mean distance of a point from the others of
/// its cluster and b the least mean distance from the points of another cluster; 0 for a point alone in its cluster, and
/// where a and b are 0.
///
/// Rousseeuw, Silhouettes, 1987, as scikit-learn has it. Time grows with the square of the number of points.
///
/// # Errors
///
/// If there is not one label for each point, or not from 2 clusters to one less than there are points.
pub fn silhouette(points: &Points, labels: &[usize], metric: Metric) -> Result<Silhouette> {
    let labels = Labels::new(labels, points.rows())?;
    let (n, count) = (points.rows(), labels.classes.len());
    if count < 2 || count >= n {
        let possible = if n > 2 { format!("from 2 to {} are possible", n - 1) } else { "they are too few".to_owned() };
        return Err(Error::new(
            Kind::Argument,
            format!("{n} points are in {count} clusters; for a silhouette {possible}"),
        ));
    }
    let frame = Frame::new(points, metric);
    let part = |start: usize| {
        let rows = frame.block(start..n.min(start + PART));
        let mut sums = vec![0f64; (n.min(start + PART) - start) * count];
        for first in (0..n).step_by(BLOCK) {
            let places = &labels.places[first..n.min(first + BLOCK)];
            let keys = frame.keys(&rows, &frame.block(first..first + places.len()));
            for (keys, sums) in keys.chunks_exact(places.len()).zip(sums.chunks_exact_mut(count)) {
                keys.iter().zip(places).for_each(|(key, place)| sums[*place] += metric.distance_of(*key));
            }
        }
        let one = |(sums, row): (&[f64], usize)| {
            let itself = metric.distance(points.row(row), points.row(row));
            value(sums, labels.places[row], &labels.counts, itself)
        };
        sums.chunks_exact(count).zip(start..).map(one).collect::<Vec<f64>>()
    };
    let starts: Vec<usize> = (0..n).step_by(PART).collect();
    let parts: Vec<Vec<f64>> = starts.into_par_iter().map(part).collect();
    let values: Vec<f64> = parts.into_iter().flatten().collect();
    let mut sums = vec![0f64; count];
    values.iter().zip(&labels.places).for_each(|(value, place)| sums[*place] += value);
    let clusters = labels.classes.iter().zip(&labels.counts).zip(sums);
    Ok(Silhouette {
        mean: values.iter().sum::<f64>() / n as f64,
        clusters: clusters.map(|((label, count), sum)| (*label, *count, sum / *count as f64)).collect(),
        points: values,
    })
}

/// Of the sums of a point's distances from the points of each cluster, itself among those of its `own`.
fn value(sums: &[f64], own: usize, counts: &[usize], itself: f64) -> f64 {
    if counts[own] < 2 {
        return 0.0;
    }
    let a = (sums[own] - itself) / (counts[own] - 1) as f64;
    let others = sums.iter().zip(counts).enumerate().filter(|(cluster, _)| *cluster != own);
    let b = others.map(|(_, (sum, count))| sum / *count as f64).fold(f64::INFINITY, f64::min);
    let most = a.max(b);
    if most > 0.0 { (b - a) / most } else { 0.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::points::rows::tests::{for_any_threads, grouped, on_a_grid};

    /// From the definition.
    fn slow(points: &Points, labels: &[usize], metric: Metric) -> Vec<f64> {
        let mean = |row: usize, label: usize| {
            let members = (0..points.rows()).filter(|other| labels[*other] == label && *other != row);
            let distances: Vec<f64> =
                members.map(|other| metric.distance(points.row(row), points.row(other))).collect();
            distances.iter().sum::<f64>() / distances.len() as f64
        };
        let one = |row: usize| {
            let a = mean(row, labels[row]);
            let others = labels.iter().filter(|label| **label != labels[row]);
            let b = others.map(|label| mean(row, *label)).fold(f64::INFINITY, f64::min);
            if a.is_nan() || a.max(b) == 0.0 { 0.0 } else { (b - a) / a.max(b) }
        };
        (0..points.rows()).map(one).collect()
    }

    #[test]
    fn silhouettes_are_those_of_the_definition() {
        let (points, mut labels) = grouped(1, 600, 12, 5);
        labels[17] = 99;
        for points in [points, on_a_grid(2, 600, 3)] {
            for metric in [Metric::L2, Metric::Cosine] {
                let found = for_any_threads(|| silhouette(&points, &labels, metric).unwrap());
                let truth = slow(&points, &labels, metric);
                assert!(found.points.iter().zip(&truth).all(|(found, truth)| (found - truth).abs() < 1e-9));
                assert!((found.mean - truth.iter().sum::<f64>() / 600.0).abs() < 1e-9);
                assert_eq!(found.points[17], 0.0);
                assert_eq!(found.clusters[5], (99, 1, 0.0));
                let means = found.clusters.iter().map(|(_, count, mean)| *count as f64 * mean).sum::<f64>() / 600.0;
                assert!((means - found.mean).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn by_hand() {
        let points = Points::new(vec![0.0, 2.0, 5.0, 9.0], 4, 1).unwrap();
        let found = silhouette(&points, &[0, 0, 1, 1], Metric::L2).unwrap();
        let truth = [1.0 - 2.0 / 7.0, 1.0 - 2.0 / 5.0, 0.0, 0.5];
        assert!(found.points.iter().zip(truth).all(|(found, truth)| (found - truth).abs() < 1e-12));
        let same = Points::new(vec![1.0; 8], 4, 2).unwrap();
        assert_eq!(silhouette(&same, &[0, 0, 1, 1], Metric::L2).unwrap().mean, 0.0);
    }

    #[test]
    fn what_is_impossible_is_said() {
        let (points, _) = grouped(1, 4, 2, 2);
        let message = |labels: &[usize]| silhouette(&points, labels, Metric::L2).unwrap_err().to_string();
        assert_eq!(message(&[1; 4]), "4 points are in 1 clusters; for a silhouette from 2 to 3 are possible");
        assert_eq!(message(&[1, 2, 3, 4]), "4 points are in 4 clusters; for a silhouette from 2 to 3 are possible");
        assert_eq!(message(&[1, 2]), "2 labels for 4 points");
        let none = Points::new(vec![], 0, 2).unwrap();
        assert!(silhouette(&none, &[], Metric::L2).is_err());
    }
}
