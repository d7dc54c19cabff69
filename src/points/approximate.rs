//! The nearest neighbours of points among very many others, most of them.

use instant_distance::{Builder, Hnsw, Search};
use rayon::prelude::*;

use super::frame::Frame;
use super::metric::Metric;
use super::neighbors::{Neighbors, check_k, check_queries};
use super::rows::Points;
use crate::error::{Error, Kind, Result};

/// Points of one graph. Each graph is built by one thread, in which the order of insertions is certain, so that the
/// same points and seed have the same neighbours; several are built side by side.
const SHARD: usize = 50_000;
/// Queries that are looked at by one thread at once.
const PART: usize = 64;
/// Sums that run side by side, so that the loop can use vectors.
const LANES: usize = 16;

/// How thoroughly neighbours are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ApproximateOptions {
    /// How many candidates are kept while a graph is built; 100 is usual.
    pub construction: usize,
    /// How many candidates are kept while a query is searched for; 100 is usual, and at least k are.
    pub search: usize,
    /// The seed of the graphs.
    pub seed: u64,
}

impl Default for ApproximateOptions {
    /// 100 candidates while building and searching, and seed 0.
    fn default() -> Self {
        Self { construction: 100, search: 100, seed: 0 }
    }
}

/// Most of the `k` points nearest to each query, the nearest first: as [`nearest`](crate::points::nearest), but some of them may
/// be others that are a little further. Worth it for more than 50,000 points or so.
///
/// Hierarchical navigable small worlds (Malkov and Yashunin, Efficient and robust approximate nearest neighbor search,
/// 2016, arXiv:1603.09320), by the crate instant-distance. Distances are exact, and so is their order.
///
/// # Errors
///
/// If `k` is 0 or above the number of points, the queries have other columns than the points, an option is 0, or no
/// thread can be had.
pub fn approximate_nearest(
    points: &Points,
    queries: &Points,
    k: usize,
    metric: Metric,
    options: &ApproximateOptions,
) -> Result<Neighbors> {
    check_queries(points, queries)?;
    check_k(k, points.rows())?;
    search(points, Some(queries), k, metric, options)
}

/// Most of the `k` other points nearest to each point: as [`nearest_others`](crate::points::nearest_others), and
/// [`approximate_nearest`].
///
/// # Errors
///
/// If `k` is 0 or not below the number of points, an option is 0, or no thread can be had.
pub fn approximate_nearest_others(
    points: &Points,
    k: usize,
    metric: Metric,
    options: &ApproximateOptions,
) -> Result<Neighbors> {
    check_k(k, points.rows().saturating_sub(1))?;
    search(points, None, k, metric, options)
}

/// The share of the nearest neighbours that were found, from 0 to 1: of those that are no further than the last of the
/// exact ones, whatever their indices.
///
/// # Errors
///
/// If the neighbours are not of as many queries, or not as many for each.
pub fn recall(found: &Neighbors, exact: &Neighbors) -> Result<f64> {
    if (found.rows(), found.k()) != (exact.rows(), exact.k()) || exact.rows() == 0 {
        let sizes = [found, exact].map(|neighbors| format!("{} of {} queries", neighbors.k(), neighbors.rows()));
        return Err(Error::new(Kind::Argument, format!("{} cannot be compared with {}", sizes[0], sizes[1])));
    }
    let right = |row: usize| {
        let last = exact.distances(row).last().copied().unwrap_or(0.0);
        found.distances(row).iter().filter(|distance| **distance <= last).count()
    };
    let right: usize = (0..exact.rows()).map(right).sum();
    Ok(right as f64 / (exact.rows() * exact.k()) as f64)
}

fn search(
    points: &Points,
    queries: Option<&Points>,
    k: usize,
    metric: Metric,
    options: &ApproximateOptions,
) -> Result<Neighbors> {
    if options.construction == 0 || options.search == 0 {
        return Err(Error::new(Kind::Argument, "at least one candidate is needed for building and for searching"));
    }
    let coordinates = Coordinates::new(points, queries, metric);
    let vectors = coordinates.vectors(&coordinates.points);
    let graphs: Vec<Hnsw<Vector<'_>>> =
        vectors.par_chunks(SHARD).map(|shard| graph(shard, k, options)).collect::<Result<_>>()?;
    let asked = queries.unwrap_or(points);
    let targets = coordinates.vectors(coordinates.queries.as_ref().unwrap_or(&coordinates.points));
    let part = |(part, targets): (usize, &[Vector<'_>])| {
        let mut search = Search::default();
        let one = |(query, target): (usize, &Vector<'_>)| {
            let exact = |index: usize| (metric.distance(asked.row(query), points.row(index)), index);
            let is_other = |index: &usize| queries.is_some() || *index != query;
            let mut found = Vec::new();
            for graph in &graphs {
                let near = graph.search(target, &mut search).map(|item| item.point.index);
                found.extend(near.filter(is_other).take(k).map(exact));
            }
            if found.len() < k {
                // graphs may fall apart where many points are the same
                found = (0..points.rows()).filter(is_other).map(exact).collect();
            }
            found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            found.truncate(k);
            found
        };
        (part * PART..).zip(targets).map(one).collect::<Vec<_>>()
    };
    let parts: Vec<Vec<_>> = targets.par_chunks(PART).enumerate().map(part).collect();
    Ok(Neighbors::of(k, parts.into_iter().flatten().collect()))
}

/// The graph of some points, built by one thread.
fn graph<'a>(shard: &[Vector<'a>], k: usize, options: &ApproximateOptions) -> Result<Hnsw<Vector<'a>>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool =
        pool.map_err(|error| Error::new(Kind::Argument, format!("no thread for the graph of neighbours: {error}")))?;
    let builder = Builder::default()
        .ef_construction(options.construction)
        // one more, as a point is found itself
        .ef_search(options.search.max(k + 1))
        .seed(options.seed);
    Ok(pool.install(|| builder.build_hnsw(shard.to_vec()).0))
}

/// Points in single precision in which distances are computed quickly: from their mean, or as unit vectors.
struct Coordinates {
    metric: Metric,
    columns: usize,
    points: Vec<f32>,
    /// None if they are the points.
    queries: Option<Vec<f32>>,
}

impl Coordinates {
    fn new(points: &Points, queries: Option<&Points>, metric: Metric) -> Self {
        let mean = match metric {
            Metric::L2 => Frame::new(points, metric).mean().to_vec(),
            Metric::Cosine => vec![0.0; points.columns()],
        };
        let largest = points.values().iter().chain(queries.map_or(&[][..], Points::values));
        let largest = largest.fold(0f32, |largest, value| largest.max(value.abs()));
        // so that no square is too large or too small
        let scale = if metric == Metric::L2 && largest > 0.0 { 1.0 / f64::from(largest) } else { 1.0 };
        let of = |points: &Points| {
            let frame = Frame::at(points, metric, mean.clone());
            let row = |row| frame.coordinates(row).map(|value| (value * scale) as f32).collect::<Vec<f32>>();
            (0..points.rows()).into_par_iter().with_min_len(PART).flat_map_iter(row).collect()
        };
        Self { metric, columns: points.columns(), points: of(points), queries: queries.map(of) }
    }

    fn vectors<'a>(&self, values: &'a [f32]) -> Vec<Vector<'a>> {
        let vector = |(index, values)| Vector { metric: self.metric, index, values };
        values.chunks_exact(self.columns).enumerate().map(vector).collect()
    }
}

/// A point of a graph.
#[derive(Clone)]
struct Vector<'a> {
    metric: Metric,
    index: usize,
    values: &'a [f32],
}

impl instant_distance::Point for Vector<'_> {
    fn distance(&self, other: &Self) -> f32 {
        match self.metric {
            Metric::L2 => lanes(self.values, other.values, |a, b| (a - b) * (a - b)),
            Metric::Cosine => 1.0 - lanes(self.values, other.values, |a, b| a * b),
        }
    }
}

fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0f32; LANES];
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += term(*a, *b));
    }
    sums.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| term(*a, *b)).sum::<f32>()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::points::neighbors::{nearest, nearest_others};
    use crate::points::rows::tests::{for_any_threads, grouped, on_a_grid};

    #[test]
    fn most_neighbours_are_found_and_always_the_same_ones() {
        let (points, _) = grouped(1, 3000, 16, 30);
        let queries = Points::new(points.range(3..90).iter().map(|value| value * 0.9).collect(), 87, 16).unwrap();
        let options = ApproximateOptions::default();
        for metric in [Metric::L2, Metric::Cosine] {
            let found = for_any_threads(|| approximate_nearest(&points, &queries, 5, metric, &options).unwrap());
            let share = recall(&found, &nearest(&points, &queries, 5, metric).unwrap()).unwrap();
            assert!(share > 0.97, "{share}");
            let found = for_any_threads(|| approximate_nearest_others(&points, 5, metric, &options).unwrap());
            let share = recall(&found, &nearest_others(&points, 5, metric).unwrap()).unwrap();
            assert!(share > 0.97, "{share}");
            assert!((0..3000).all(|row| !found.indices(row).contains(&row)));
        }
    }

    #[test]
    fn few_and_equal_points_have_as_many_neighbours_as_are_asked_for() {
        let options = ApproximateOptions::default();
        for points in [on_a_grid(1, 500, 2), Points::new(vec![1.0; 600], 300, 2).unwrap(), grouped(1, 3, 2, 1).0] {
            for metric in [Metric::L2, Metric::Cosine] {
                let k = points.rows() - 1;
                let found = approximate_nearest_others(&points, k, metric, &options).unwrap();
                assert_eq!(recall(&found, &nearest_others(&points, k, metric).unwrap()).unwrap(), 1.0);
                let found = approximate_nearest_others(&points, 1, metric, &options).unwrap();
                assert!((0..points.rows()).all(|row| found.indices(row) != [row]));
            }
        }
        let huge = Points::new((0..60).map(|i| (i as f32 - 30.0) * 1e37).collect(), 30, 2).unwrap();
        let found = approximate_nearest_others(&huge, 1, Metric::L2, &options).unwrap();
        assert_eq!(recall(&found, &nearest_others(&huge, 1, Metric::L2).unwrap()).unwrap(), 1.0);
    }

    #[test]
    fn what_is_impossible_is_said() {
        let (points, _) = grouped(1, 3, 2, 1);
        let message =
            |k, options| approximate_nearest_others(&points, k, Metric::L2, &options).unwrap_err().to_string();
        assert_eq!(message(3, ApproximateOptions::default()), "k is 3; these points allow 1 to 2 neighbours");
        let none = ApproximateOptions { search: 0, ..ApproximateOptions::default() };
        assert_eq!(message(1, none), "at least one candidate is needed for building and for searching");
        let [one, two] = [1, 2].map(|k| nearest_others(&points, k, Metric::L2).unwrap());
        assert_eq!(
            recall(&one, &two).unwrap_err().to_string(),
            "1 of 3 queries cannot be compared with 2 of 3 queries"
        );
    }
}
