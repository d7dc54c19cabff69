//! The nearest neighbours of points among others, exactly.

use rayon::prelude::*;

use super::metric::Metric;
use super::rows::Points;
use super::screen::Screen;
use crate::error::{Error, Kind, Result};

/// At most so many queries are looked at by one thread at once, and at least so many if there are any more.
const MOST_QUERIES: usize = 128;
const FEWEST_QUERIES: usize = 8;
/// Queries are cut into so many parts if that keeps them within these bounds; it changes no result.
const PARTS: usize = 32;
/// Candidates that are kept beside the neighbours before those are dropped that have been outdone.
const ROOM: usize = 64;

/// For each query its nearest points, the nearest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbors {
    k: usize,
    indices: Vec<usize>,
    distances: Vec<f64>,
}

impl Neighbors {
    /// For each query its k nearest points and their distances.
    pub(in crate::points) fn of(k: usize, found: Vec<Vec<(f64, usize)>>) -> Self {
        let (distances, indices) = found.into_iter().flatten().unzip();
        Self { k, indices, distances }
    }

    /// How many neighbours each query has.
    pub fn k(&self) -> usize {
        self.k
    }

    /// How many queries there are.
    pub fn rows(&self) -> usize {
        self.indices.len() / self.k
    }

    /// Which points are nearest to a query, the nearest first; `row` is below [`rows`](Self::rows).
    pub fn indices(&self, row: usize) -> &[usize] {
        &self.indices[row * self.k..][..self.k]
    }

    /// Their distances, ascending.
    pub fn distances(&self, row: usize) -> &[f64] {
        &self.distances[row * self.k..][..self.k]
    }

    pub(in crate::points) fn largest_index(&self) -> Option<usize> {
        self.indices.iter().copied().max()
    }
}

/// The `k` points nearest to each query, the nearest first; of points that are equally near, those of lower index.
///
/// The order is that of the distances as [`Metric::distance`] computes them. Time grows with queries · points · columns;
/// where many points are equally near to the precision of single-precision products, as in clusters that are tiny
/// compared with their distances from each other, it is that of comparing all of those in double precision.
///
/// # Errors
///
/// If `k` is 0 or above the number of points, or the queries have other columns than the points.
pub fn nearest(points: &Points, queries: &Points, k: usize, metric: Metric) -> Result<Neighbors> {
    check_queries(points, queries)?;
    check_k(k, points.rows())?;
    Ok(search(points, Some(queries), k, metric))
}

/// The `k` other points nearest to each point, as [`nearest`] finds them: a point is no neighbour of its own, while
/// another one with the same numbers is.
///
/// # Errors
///
/// If `k` is 0 or not below the number of points.
pub fn nearest_others(points: &Points, k: usize, metric: Metric) -> Result<Neighbors> {
    check_k(k, points.rows().saturating_sub(1))?;
    Ok(search(points, None, k, metric))
}

pub(in crate::points) fn check_queries(points: &Points, queries: &Points) -> Result<()> {
    let (columns, others) = (points.columns(), queries.columns());
    let message = || format!("queries have {others} columns, points have {columns}");
    if others == columns { Ok(()) } else { Err(Error::new(Kind::Argument, message())) }
}

pub(in crate::points) fn check_k(k: usize, most: usize) -> Result<()> {
    match (k, most) {
        (1.., _) if k <= most => Ok(()),
        (_, 0) => Err(Error::new(Kind::Argument, "there are no points to be neighbours")),
        _ => Err(Error::new(Kind::Argument, format!("k is {k}; these points allow 1 to {most} neighbours"))),
    }
}

/// With no queries, the points themselves are compared with all others.
fn search(points: &Points, queries: Option<&Points>, k: usize, metric: Metric) -> Neighbors {
    let screen = Screen::new(points, queries, metric);
    let asked = queries.unwrap_or(points);
    let count = asked.rows();
    let step = count.div_ceil(PARTS).clamp(FEWEST_QUERIES, MOST_QUERIES);
    let part = |start: usize| {
        let rows = start..count.min(start + step);
        let mut shortlists: Vec<Shortlist> = rows.clone().map(|_| Shortlist::new(k)).collect();
        screen.scan(rows.clone(), |query, first, lows, highs| {
            let shortlist = &mut shortlists[query - start];
            for (index, (low, high)) in (first..).zip(lows.iter().zip(highs)) {
                if *low <= shortlist.limit && (queries.is_some() || index != query) {
                    shortlist.add(index, *low, *high);
                }
            }
        });
        let exact = |(query, shortlist): (usize, Shortlist)| {
            let distance = |index: usize| (metric.distance(asked.row(query), points.row(index)), index);
            let mut found: Vec<(f64, usize)> = shortlist.candidates().map(distance).collect();
            found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            found.truncate(k);
            found
        };
        rows.zip(shortlists).map(exact).collect::<Vec<_>>()
    };
    let starts: Vec<usize> = (0..count).step_by(step).collect();
    let parts: Vec<Vec<_>> = starts.into_par_iter().map(part).collect();
    Neighbors::of(k, parts.into_iter().flatten().collect())
}

/// The points that can be among the k nearest as far as is known.
struct Shortlist {
    k: usize,
    /// The k least upper bounds, ascending.
    highs: Vec<f64>,
    /// The last of them: what is surely above it is none of the nearest.
    limit: f64,
    /// Lower bounds and indices.
    found: Vec<(f64, usize)>,
    room: usize,
}

impl Shortlist {
    fn new(k: usize) -> Self {
        Self { k, highs: Vec::new(), limit: f64::INFINITY, found: Vec::new(), room: 2 * k + ROOM }
    }

    fn add(&mut self, index: usize, low: f64, high: f64) {
        self.found.push((low, index));
        self.highs.insert(self.highs.partition_point(|other| *other <= high), high);
        self.highs.truncate(self.k);
        if self.highs.len() == self.k {
            self.limit = self.highs.last().copied().unwrap_or(f64::INFINITY);
        }
        if self.found.len() >= self.room {
            self.found.retain(|(low, _)| *low <= self.limit);
            self.room = self.room.max(2 * self.found.len());
        }
    }

    fn candidates(&self) -> impl Iterator<Item = usize> {
        self.found.iter().filter(|(low, _)| *low <= self.limit).map(|(_, index)| *index)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(in crate::points) mod tests {
    use super::*;
    use crate::points::rows::tests::{for_any_threads, grouped, on_a_grid};

    /// Comparing everything, from the definition.
    pub(in crate::points) fn slow(points: &Points, queries: Option<&Points>, k: usize, metric: Metric) -> Neighbors {
        let asked = queries.unwrap_or(points);
        let one = |query: usize| {
            let others = (0..points.rows()).filter(|index| queries.is_some() || *index != query);
            let mut all: Vec<(f64, usize)> =
                others.map(|index| (metric.distance(asked.row(query), points.row(index)), index)).collect();
            all.sort_by(|a, b| a.partial_cmp(b).unwrap());
            all.truncate(k);
            all
        };
        Neighbors::of(k, (0..asked.rows()).map(one).collect())
    }

    #[test]
    fn neighbors_are_those_of_comparing_everything() {
        let (points, _) = grouped(1, 1500, 24, 7);
        let tiny: Vec<f32> = points.values().iter().map(|value| 1e4 + value * 1e-3).collect();
        let huge: Vec<f32> = points.values().iter().map(|value| value * 8e37).collect();
        let sets = [tiny, huge].map(|values| Points::new(values, 1500, 24).unwrap());
        for points in sets.into_iter().chain([points, on_a_grid(2, 1500, 4)]) {
            let queries =
                Points::new(points.range(3..50).iter().map(|value| value * 0.9).collect(), 47, points.columns());
            let queries = queries.unwrap();
            for metric in [Metric::L2, Metric::Cosine] {
                for k in [1, 5, 40] {
                    let found = for_any_threads(|| nearest(&points, &queries, k, metric).unwrap());
                    assert_eq!(found, slow(&points, Some(&queries), k, metric));
                }
                let found = for_any_threads(|| nearest_others(&points, 3, metric).unwrap());
                assert_eq!(found, slow(&points, None, 3, metric));
            }
        }
    }

    #[test]
    fn the_lower_index_is_nearer_and_a_point_is_not_its_own_neighbour() {
        let points = Points::new(vec![0.0, 1.0, 1.0, 2.0, -1.0], 5, 1).unwrap();
        let found = nearest_others(&points, 3, Metric::L2).unwrap();
        assert_eq!((found.k(), found.rows()), (3, 5));
        assert_eq!(found.indices(0), [1, 2, 4]);
        assert_eq!(found.distances(0), [1.0, 1.0, 1.0]);
        assert_eq!(found.indices(1), [2, 0, 3]);
        let all = nearest(&points, &points, 5, Metric::L2).unwrap();
        assert_eq!(all.indices(1), [1, 2, 0, 3, 4]);
    }

    #[test]
    fn points_without_a_direction_are_at_1() {
        let points = Points::new(vec![0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.1], 4, 2).unwrap();
        let found = nearest_others(&points, 3, Metric::Cosine).unwrap();
        assert_eq!((found.indices(0), found.distances(0)), (&[1, 2, 3][..], &[1.0; 3][..]));
        assert_eq!(found.indices(1), [0, 2, 3]);
    }

    #[test]
    fn what_is_impossible_is_said() {
        let points = Points::new(vec![1.0; 6], 3, 2).unwrap();
        let none = Points::new(vec![], 0, 2).unwrap();
        let other = Points::new(vec![1.0; 3], 1, 3).unwrap();
        let message = |result: Result<Neighbors>| result.unwrap_err().to_string();
        let others = |points, k| message(nearest_others(points, k, Metric::L2));
        assert_eq!(others(&points, 3), "k is 3; these points allow 1 to 2 neighbours");
        assert_eq!(others(&points, 0), "k is 0; these points allow 1 to 2 neighbours");
        assert_eq!(others(&none, 1), "there are no points to be neighbours");
        assert_eq!(message(nearest(&points, &other, 1, Metric::L2)), "queries have 3 columns, points have 2");
        assert_eq!(nearest(&points, &none, 1, Metric::L2).unwrap().rows(), 0);
        assert_eq!(nearest_others(&points, 2, Metric::L2).unwrap().indices(2), [0, 1]);
    }
}
