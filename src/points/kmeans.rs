//! Clusters around means.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::frame::Frame;
use super::metric::{Metric, dot};
use super::moments::column_variances;
use super::product::products;
use super::rows::Points;
use crate::error::{Error, Kind, Result};

/// Points that are compared with all centres at once by one thread.
const PART: usize = 256;

/// How clusters are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeansOptions {
    /// How many clusters.
    pub k: usize,
    /// How many starts there are, the best of which is kept; at least 1.
    pub restarts: usize,
    /// How often centres are moved at most.
    pub iterations: usize,
    /// It ends when the centres move less than that: the sum of the squares of their steps as a share of the mean
    /// variance of the columns. With 0 it ends when no point changes its cluster.
    pub tolerance: f64,
    /// The seed of what is drawn.
    pub seed: u64,
}

impl KMeansOptions {
    /// `k` clusters with 10 restarts, 300 iterations, a tolerance of 10⁻⁴ and seed 0.
    pub fn new(k: usize) -> Self {
        Self { k, restarts: 10, iterations: 300, tolerance: 1e-4, seed: 0 }
    }
}

/// Clusters, none of which is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// `[k, columns]`, row by row.
    pub centers: Vec<f64>,
    /// For each point the centre that is nearest to it.
    pub labels: Vec<usize>,
    /// The sum of the squared distances of the points from their centres.
    pub inertia: f64,
    /// How often the centres were moved.
    pub iterations: usize,
    /// Whether it ended before all iterations were made.
    pub converged: bool,
}

/// Clusters of points around their means: Lloyd's algorithm from centres that are drawn as k-means++ does, each the best
/// of a few (Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007). A cluster that becomes empty
/// is given the point that is farthest from its centre. The same seed gives the same clusters.
///
/// # Errors
///
/// If `k` is 0 or above the number of different points, there are no restarts or iterations, or the tolerance is below
/// 0 or NaN.
pub fn kmeans(points: &Points, options: &KMeansOptions) -> Result<KMeans> {
    let (n, k) = (points.rows(), options.k);
    if k == 0 || k > n {
        let possible = if n == 0 { "there are no points".to_owned() } else { format!("{n} points allow 1 to {n}") };
        return Err(Error::new(Kind::Argument, format!("k is {k}; {possible}")));
    }
    if options.restarts == 0 || options.iterations == 0 {
        return Err(Error::new(Kind::Argument, "at least one restart and one iteration are needed"));
    }
    if options.tolerance.is_nan() || options.tolerance < 0.0 {
        return Err(Error::new(
            Kind::Argument,
            format!("the tolerance is {}; it must not be below 0", options.tolerance),
        ));
    }
    let search = Search::new(points, options);
    let mut best = search.run(0)?;
    for restart in 1..options.restarts as u64 {
        let found = search.run(restart)?;
        if found.inertia < best.inertia {
            best = found;
        }
    }
    best.centers.iter_mut().zip(search.frame.mean().iter().cycle()).for_each(|(center, mean)| *center += mean);
    Ok(best)
}

/// Points seen from their mean, as centres are until the end.
struct Search<'a> {
    points: &'a Points,
    options: &'a KMeansOptions,
    frame: Frame<'a>,
    /// What the tolerance is in squared units of the points.
    tolerance: f64,
}

/// The cluster of a point, and its squared distance from the centre.
type Assigned = (usize, f64);

impl<'a> Search<'a> {
    fn new(points: &'a Points, options: &'a KMeansOptions) -> Self {
        let frame = Frame::new(points, Metric::L2);
        let variances = column_variances(points, frame.mean());
        let variance = variances.iter().sum::<f64>() / points.columns() as f64;
        Self { points, options, frame, tolerance: options.tolerance * variance }
    }

    fn run(&self, restart: u64) -> Result<KMeans> {
        let mut random = ChaCha8Rng::seed_from_u64(self.options.seed);
        random.set_stream(restart);
        let mut centers = self.start(&mut random)?;
        let mut labels: Vec<usize> = Vec::new();
        let (mut iterations, mut converged) = (0, false);
        let mut assigned = self.assign(&centers);
        while iterations < self.options.iterations && !converged {
            self.fill_empty(&mut assigned, &mut centers);
            let next: Vec<usize> = assigned.iter().map(|(label, _)| *label).collect();
            if next == labels {
                converged = true;
                break;
            }
            labels = next;
            let moved = self.means(&labels);
            let step: f64 = moved.iter().zip(&centers).map(|(new, old)| (new - old).powi(2)).sum();
            centers = moved;
            iterations += 1;
            converged = step < self.tolerance;
            assigned = self.assign(&centers);
        }
        self.fill_empty(&mut assigned, &mut centers);
        let labels: Vec<usize> = assigned.iter().map(|(label, _)| *label).collect();
        let inertia = self.inertia(&labels, &centers);
        Ok(KMeans { centers, labels, inertia, iterations, converged })
    }

    /// Centres that are points: each is drawn with a probability that grows with its squared distance from those before,
    /// a few times, and the one that leaves the least inertia is taken.
    fn start(&self, random: &mut ChaCha8Rng) -> Result<Vec<f64>> {
        let (n, k) = (self.points.rows(), self.options.k);
        let trials = 2 + (k as f64).ln() as usize;
        let mut chosen = vec![random.random_range(0..n)];
        let mut left = self.with_each(&vec![f64::INFINITY; n], &chosen).swap_remove(0);
        while chosen.len() < k {
            let sums = running_sums(&left);
            let whole = sums.last().copied().unwrap_or(0.0);
            if whole <= 0.0 {
                let message = format!("k is {k}, but only {} of the {n} points are different", chosen.len());
                return Err(Error::new(Kind::Argument, message));
            }
            let last = sums.partition_point(|sum| *sum < whole);
            let draw = |_| {
                let share = random.random::<f64>() * whole;
                sums.partition_point(|sum| *sum <= share).min(last)
            };
            let drawn: Vec<usize> = (0..trials).map(draw).collect();
            let mut least = f64::INFINITY;
            let mut best = drawn[0];
            for (index, with) in drawn.iter().zip(self.with_each(&left, &drawn)) {
                let inertia: f64 = with.iter().sum();
                if inertia < least {
                    (least, best, left) = (inertia, *index, with);
                }
            }
            chosen.push(best);
        }
        Ok(chosen.into_iter().flat_map(|index| self.frame.coordinates(index)).collect())
    }

    /// For each of some points, what is left of all squared distances if it is a centre too.
    fn with_each(&self, left: &[f64], drawn: &[usize]) -> Vec<Vec<f64>> {
        let centers = self.frame.block(drawn.iter().copied());
        let part = |(part, left): (usize, &[f64])| {
            let start = part * PART;
            let mut keys = self.frame.keys(&self.frame.block(start..start + left.len()), &centers);
            for (keys, left) in keys.chunks_exact_mut(drawn.len()).zip(left) {
                keys.iter_mut().for_each(|key| *key = key.min(*left));
            }
            keys
        };
        let parts: Vec<Vec<f64>> = left.par_chunks(PART).enumerate().map(part).collect();
        let of = |trial: usize| {
            parts.iter().flat_map(|part| part.iter().skip(trial).step_by(drawn.len()).copied()).collect()
        };
        (0..drawn.len()).map(of).collect()
    }

    /// The nearest centre of each point.
    fn assign(&self, centers: &[f64]) -> Vec<Assigned> {
        let columns = self.points.columns();
        let squares: Vec<f64> = centers.chunks_exact(columns).map(|center| dot(center, center)).collect();
        let part = |start: usize| {
            let block = self.frame.block(start..self.points.rows().min(start + PART));
            let mut inner = vec![0f64; block.offsets.len() * squares.len()];
            products(&block.values, centers, columns, &mut inner);
            let nearest = |(inner, square): (&[f64], &f64)| {
                let mut best: Assigned = (0, f64::INFINITY);
                for (label, (product, center)) in inner.iter().zip(&squares).enumerate() {
                    let distance = square + center - 2.0 * product;
                    if distance < best.1 {
                        best = (label, distance);
                    }
                }
                best
            };
            inner.chunks_exact(squares.len()).zip(&block.offsets).map(nearest).collect::<Vec<_>>()
        };
        let starts: Vec<usize> = (0..self.points.rows()).step_by(PART).collect();
        let parts: Vec<Vec<Assigned>> = starts.into_par_iter().map(part).collect();
        parts.into_iter().flatten().collect()
    }

    /// Gives each cluster without a point the one that is farthest from its centre, of those in clusters with others.
    fn fill_empty(&self, assigned: &mut [Assigned], centers: &mut [f64]) {
        let mut counts = vec![0usize; self.options.k];
        assigned.iter().for_each(|(label, _)| counts[*label] += 1);
        for empty in 0..counts.len() {
            if counts[empty] > 0 {
                continue;
            }
            let mut farthest: Option<(usize, Assigned)> = None;
            for (index, point) in assigned.iter().enumerate() {
                if counts[point.0] > 1 && farthest.is_none_or(|(_, (_, distance))| point.1 > distance) {
                    farthest = Some((index, *point));
                }
            }
            // there are at least as many points as clusters, so some cluster has two
            let Some((index, (label, _))) = farthest else { return };
            counts[label] -= 1;
            counts[empty] += 1;
            assigned[index] = (empty, 0.0);
            let columns = self.points.columns();
            let center = &mut centers[empty * columns..][..columns];
            center.iter_mut().zip(self.frame.coordinates(index)).for_each(|(center, value)| *center = value);
        }
    }

    /// The means of clusters that are not empty.
    fn means(&self, labels: &[usize]) -> Vec<f64> {
        let columns = self.points.columns();
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.options.k];
        labels.iter().enumerate().for_each(|(index, label)| members[*label].push(index));
        let parts: Vec<(usize, &[usize])> = members
            .iter()
            .enumerate()
            .flat_map(|(label, members)| members.chunks(PART).map(move |part| (label, part)))
            .collect();
        let sum = |(label, part): (usize, &[usize])| {
            let mut sums = vec![0f64; columns];
            for index in part {
                sums.iter_mut().zip(self.frame.coordinates(*index)).for_each(|(sum, value)| *sum += value);
            }
            (label, sums)
        };
        let parts: Vec<(usize, Vec<f64>)> = parts.into_par_iter().map(sum).collect();
        let mut means = vec![0f64; self.options.k * columns];
        for (label, sums) in parts {
            means[label * columns..].iter_mut().zip(sums).for_each(|(mean, sum)| *mean += sum);
        }
        for (mean, members) in means.chunks_exact_mut(columns).zip(&members) {
            mean.iter_mut().for_each(|mean| *mean /= members.len().max(1) as f64);
        }
        means
    }

    /// The sum of the squared distances from the centres.
    fn inertia(&self, labels: &[usize], centers: &[f64]) -> f64 {
        let columns = self.points.columns();
        let part = |(part, labels): (usize, &[usize])| {
            let one = |(index, label): (usize, &usize)| -> f64 {
                let center = &centers[label * columns..][..columns];
                self.frame.coordinates(index).zip(center).map(|(value, center)| (value - center).powi(2)).sum()
            };
            (part * PART..).zip(labels).map(one).sum::<f64>()
        };
        let parts: Vec<f64> = labels.par_chunks(PART).enumerate().map(part).collect();
        parts.iter().sum()
    }
}

fn running_sums(values: &[f64]) -> Vec<f64> {
    let add = |sum: &mut f64, value: &f64| {
        *sum += value;
        Some(*sum)
    };
    values.iter().scan(0.0, add).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::points::adjusted_rand::adjusted_rand;
    use crate::points::rows::tests::{for_any_threads, grouped, on_a_grid};

    fn options(k: usize, restarts: usize) -> KMeansOptions {
        KMeansOptions { restarts, tolerance: 0.0, ..KMeansOptions::new(k) }
    }

    /// Centres are means, labels those of the nearest centres, and the inertia is theirs.
    fn assert_is_a_minimum(points: &Points, found: &KMeans, k: usize) {
        let columns = points.columns();
        let mut inertia = 0.0;
        for (row, label) in points.iter().zip(&found.labels) {
            let distance = |center: &[f64]| -> f64 {
                row.iter().zip(center).map(|(value, center)| (f64::from(*value) - center).powi(2)).sum()
            };
            let distances: Vec<f64> = found.centers.chunks_exact(columns).map(distance).collect();
            let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
            assert!(distances[*label] <= least + 1e-9);
            inertia += distances[*label];
        }
        assert!((inertia - found.inertia).abs() < 1e-9 * (1.0 + inertia));
        for label in 0..k {
            let members: Vec<&[f32]> =
                points.iter().zip(&found.labels).filter(|(_, other)| **other == label).map(|(row, _)| row).collect();
            assert!(!members.is_empty());
            for column in 0..columns {
                let mean = members.iter().map(|row| f64::from(row[column])).sum::<f64>() / members.len() as f64;
                assert!((mean - found.centers[label * columns + column]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn groups_are_found_whatever_the_threads() {
        let (points, labels) = grouped(4, 1500, 20, 6);
        let found = for_any_threads(|| kmeans(&points, &options(6, 3)).unwrap());
        assert!(found.converged);
        assert_eq!(adjusted_rand(&found.labels, &labels).unwrap(), 1.0);
        assert_is_a_minimum(&points, &found, 6);
        let many = for_any_threads(|| kmeans(&points, &options(40, 1)).unwrap());
        assert_is_a_minimum(&points, &many, 40);
        assert!(many.inertia < found.inertia);
    }

    #[test]
    fn equal_points_are_in_one_cluster_and_there_are_not_more_clusters_than_different_points() {
        // 27 different points at most
        let points = on_a_grid(5, 300, 3);
        for k in [1, 5, 20, 27] {
            let found = kmeans(&points, &options(k, 2)).unwrap();
            assert_is_a_minimum(&points, &found, k);
        }
        assert!(kmeans(&points, &options(27, 1)).unwrap().inertia < 1e-20);
        let message = kmeans(&points, &options(28, 1)).unwrap_err().to_string();
        assert_eq!(message, "k is 28, but only 27 of the 300 points are different");
    }

    #[test]
    fn empty_clusters_are_filled_with_the_farthest_points() {
        let points = Points::new(vec![0.0, 1.0, 2.0, 10.0, 30.0], 5, 1).unwrap();
        let options = options(3, 1);
        let search = Search::new(&points, &options);
        let mean = search.frame.mean()[0];
        let mut centers = [0.0, 100.0, 200.0].map(|center| center - mean);
        let mut assigned = search.assign(&centers);
        assert!(assigned.iter().all(|(label, _)| *label == 0));
        search.fill_empty(&mut assigned, &mut centers);
        assert_eq!(assigned.iter().map(|(label, _)| *label).collect::<Vec<_>>(), [0, 0, 0, 2, 1]);
        assert!((centers[1] + mean - 30.0).abs() < 1e-12 && (centers[2] + mean - 10.0).abs() < 1e-12);
    }

    #[test]
    fn more_restarts_are_never_worse_and_one_cluster_is_the_mean() {
        let (points, _) = grouped(6, 400, 3, 12);
        let inertia = |restarts| kmeans(&points, &options(12, restarts)).unwrap().inertia;
        assert!(inertia(8) <= inertia(1));
        let one = kmeans(&points, &options(1, 1)).unwrap();
        assert_is_a_minimum(&points, &one, 1);
        let early = kmeans(&points, &KMeansOptions { iterations: 1, ..options(12, 1) }).unwrap();
        assert!(!early.converged && early.iterations == 1);
    }

    #[test]
    fn what_is_impossible_is_said() {
        let (points, _) = grouped(6, 4, 3, 2);
        let message = |options: KMeansOptions| kmeans(&points, &options).unwrap_err().to_string();
        assert_eq!(message(options(5, 1)), "k is 5; 4 points allow 1 to 4");
        assert_eq!(message(options(0, 1)), "k is 0; 4 points allow 1 to 4");
        assert_eq!(message(options(2, 0)), "at least one restart and one iteration are needed");
        let nan = KMeansOptions { tolerance: f64::NAN, ..options(2, 1) };
        assert_eq!(message(nan), "the tolerance is NaN; it must not be below 0");
        let none = Points::new(vec![], 0, 3).unwrap();
        assert_eq!(kmeans(&none, &options(1, 1)).unwrap_err().to_string(), "k is 1; there are no points");
    }
}
