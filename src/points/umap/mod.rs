//! UMAP: points in many dimensions as points in 2 or 3 whose graph of neighbours is alike.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::ops::ControlFlow;

use nalgebra::DMatrix;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::error::Result;
use crate::points::Metric;
use crate::points::eigen::leading;
use crate::points::graph::{Edges, Graph};
use crate::points::pca::Pca;
use crate::points::rows::Points;
use crate::points::rows::wrong;

/// The map's width at the start, and the standard deviation of the noise that is added to it.
const WIDTH: f64 = 10.0;
const NOISE: f64 = 1e-4;
/// A coordinate's step at most, by the learning rate.
const LONGEST: f32 = 4.0;
/// How near the width of a neighbourhood is found, and steps at most.
const NEAR: (f64, usize) = (1e-5, 64);
/// The least width of a neighbourhood, as a part of the mean distance.
const NARROWEST: f64 = 1e-3;
/// When eigenvectors are good enough for a start, restarts, and up to what residual they may be used after these.
const START: (f64, usize) = (1e-4, 20);
const USABLE: f64 = 1e-2;
/// New points that a thread moves at least at once.
const PART: usize = 16;

/// How a map is made; the defaults are umap-learn's.
#[derive(Clone, Debug, PartialEq)]
pub struct UmapOptions {
    /// Dimensions of the map, 2 or 3.
    pub dimensions: usize,
    /// The size of a neighbourhood, the point itself included: from 2 to the number of points.
    pub neighbors: usize,
    /// How near points of the map come to each other, from 0 to `spread`.
    pub min_dist: f64,
    /// The scale of distances in the map, above 0.
    pub spread: f64,
    /// How the distance of points is measured.
    pub metric: Metric,
    /// How often the edges of the graph are gone through; 500 for up to 10,000 points and else 200 if not given.
    pub epochs: Option<usize>,
    /// Random points that repel the end of an edge, each time the edge attracts it.
    pub negatives: usize,
    /// Sets what is random.
    pub seed: u64,
}

impl Default for UmapOptions {
    fn default() -> Self {
        Self {
            dimensions: 2,
            neighbors: 15,
            min_dist: 0.1,
            spread: 1.0,
            metric: Metric::L2,
            epochs: None,
            negatives: 5,
            seed: 0,
        }
    }
}

/// Shown the number of epochs so far and where the points are, rows × dimensions, after each epoch; it may end the run,
/// which then returns what there is.
pub type Progress<'a> = &'a mut dyn FnMut(usize, &[f32]) -> ControlFlow<()>;

/// A map of points whose graph of neighbours is like theirs (McInnes, Healy and Melville, UMAP: Uniform Manifold
/// Approximation and Projection for Dimension Reduction, 2018): where the points are, rows × dimensions.
///
/// It starts at the eigenvectors of the graph's Laplacian, or at the first principal components where the graph falls
/// apart or the eigenvectors are not found. Edges then are gone through one after the other, as umap-learn does with a
/// seed, so the same seed gives the same map for any number of threads. Neighbours are exact.
///
/// # Errors
/// An option is out of its range, or there are too few points for that many neighbours.
pub fn fit(points: &Points, options: &UmapOptions, progress: Progress) -> Result<Points> {
    options.check()?;
    let (rows, most) = (points.rows(), options.neighbors);
    if rows < 4 {
        return wrong(format!("UMAP needs at least 4 points, not {rows}"));
    }
    if most > rows {
        return wrong(format!("neighbourhoods have {most} points; for {rows} points it is 2 to {rows}"));
    }
    match options.dimensions {
        2 => fit_in::<2>(points, options, progress),
        _ => fit_in::<3>(points, options, progress),
    }
}

impl UmapOptions {
    fn check(&self) -> Result<()> {
        if !matches!(self.dimensions, 2 | 3) {
            return wrong(format!("UMAP makes maps of 2 or 3 dimensions, not {}", self.dimensions));
        }
        if self.neighbors < 2 {
            return wrong(format!("neighbourhoods of {} points: at least 2", self.neighbors));
        }
        if !(self.spread > 1e-6 && self.spread <= 1e6) {
            return wrong(format!("the spread is {}, not 1e-6 to 1e6", self.spread));
        }
        if !(0.0..=self.spread).contains(&self.min_dist) {
            return wrong(format!("min_dist is {}, not 0 to the spread, {}", self.min_dist, self.spread));
        }
        Ok(())
    }

    fn epochs(&self, rows: usize) -> usize {
        self.epochs.unwrap_or(if rows <= 10_000 { 500 } else { 200 })
    }
}

fn fit_in<const D: usize>(points: &Points, options: &UmapOptions, progress: Progress) -> Result<Points> {
    let epochs = options.epochs(points.rows());
    let mut graph = fuzzy_set(points, options.neighbors, options.metric)?;
    let heaviest = graph.weights.iter().copied().fold(0.0, f32::max);
    // what would not be gone through once
    graph.prune(heaviest / if epochs > 10 { epochs } else { 500 } as f32);
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let mut places = start::<D>(points, &graph, options.seed, &mut random)?;
    let curve = Curve::fit(options.min_dist, options.spread);
    let mut edges = Vec::with_capacity(graph.indices.len());
    for row in 0..graph.rows() {
        let (others, weights) = graph.of(row);
        let edge = |(other, weight): (&u32, &f32)| (row, Edge::new(*other, heaviest / weight, options.negatives));
        edges.extend(others.iter().zip(weights).map(edge));
    }
    for epoch in 0..epochs {
        let rate = 1.0 - epoch as f32 / epochs as f32;
        for (row, edge) in &mut edges {
            let Some(negatives) = edge.turn(epoch as f32) else { continue };
            let (mut place, other) = (places[*row], places[edge.to as usize]);
            let step = curve.attraction(&place, &other).map(|step| step * rate);
            let both = |place: [f32; D], sign: f32| std::array::from_fn(|axis| place[axis] + sign * step[axis]);
            (place, places[edge.to as usize]) = (both(place, 1.0), both(other, -1.0));
            for _ in 0..negatives {
                let other = below(&mut random, places.len());
                if other != *row {
                    let step = curve.repulsion(&place, &places[other]);
                    (0..D).for_each(|axis| place[axis] += step[axis] * rate);
                }
            }
            places[*row] = place;
        }
        if progress(epoch + 1, places.as_flattened()).is_break() {
            break;
        }
    }
    Points::new(places.into_flattened(), points.rows(), D)
}

/// The fuzzy union of what each point takes for its neighbourhood of `count` points, itself included: a graph with
/// weights up to 1.
///
/// # Errors
/// There are less than `count` points.
pub fn fuzzy_set(points: &Points, count: usize, metric: Metric) -> Result<Graph> {
    let neighbors = Edges::within(points, count.saturating_sub(1), metric)?;
    let mean = neighbors.distances.iter().sum::<f64>() / (points.rows() * count.max(1)) as f64;
    let mut weights = vec![0.0; neighbors.distances.len()];
    let others = neighbors.count.max(1);
    let rows = weights.par_chunks_mut(others).zip(neighbors.distances.par_chunks(others));
    rows.for_each(|(weights, distances)| {
        // the nearest other point belongs to it wholly
        let nearest = distances.iter().copied().find(|distance| *distance > 0.0).unwrap_or(0.0);
        let own_mean = distances.iter().sum::<f64>() / count as f64;
        let narrowest = NARROWEST * if nearest > 0.0 { own_mean } else { mean };
        memberships(distances, nearest, (count as f64).log2(), narrowest, weights);
    });
    Ok(neighbors.joined(&weights, |a, b| a + b - a * b))
}

/// How much points at the given distances belong to a neighbourhood: 1 up to `nearest`, then exp(−(d − nearest) / width),
/// with the width, not less than `narrowest`, for which the sum is `size`.
fn memberships(distances: &[f64], nearest: f64, size: f64, narrowest: f64, weights: &mut [f64]) {
    let membership =
        |distance: f64, width: f64| if distance > nearest { (-(distance - nearest) / width).exp() } else { 1.0 };
    let mean = distances.iter().sum::<f64>() / distances.len().max(1) as f64;
    let (mut width, mut low, mut high) = (if mean > 0.0 { mean } else { 1.0 }, 0.0, f64::INFINITY);
    for _ in 0..NEAR.1 {
        let sum: f64 = distances.iter().map(|distance| membership(*distance, width)).sum();
        if (sum - size).abs() < NEAR.0 {
            break;
        }
        if sum > size {
            high = width;
            width = (low + high) / 2.0;
        } else {
            low = width;
            width = if high.is_finite() { (low + high) / 2.0 } else { width * 2.0 };
        }
    }
    let width = width.max(narrowest);
    weights.iter_mut().zip(distances).for_each(|(weight, distance)| *weight = membership(*distance, width));
}

/// Where the points start: from 0 to 10 along each axis.
fn start<const D: usize>(points: &Points, graph: &Graph, seed: u64, random: &mut ChaCha8Rng) -> Result<Vec<[f32; D]>> {
    let rows = points.rows();
    let spectral = if graph.is_connected() { eigenvectors(graph, D, seed)? } else { None };
    let columns: DMatrix<f64> = match spectral {
        Some(vectors) => vectors,
        None => {
            let count = D.min(rows).min(points.columns());
            let pca = Pca::fit(points, count, seed)?;
            DMatrix::from_row_iterator(rows, count, pca.scores().iter().map(|score| f64::from(*score)))
        }
    };
    let largest = columns.amax();
    let scale = if largest > 0.0 { WIDTH / largest } else { 0.0 };
    let mut places = vec![[0.0; D]; rows];
    for axis in 0..D {
        // noise keeps equal points apart, and is all there is along an axis that is missing
        let noisy = |row: usize| -> f64 {
            let noise: f64 = StandardNormal.sample(random);
            columns.get((row, axis)).map_or(0.0, |value| value * scale) + NOISE * noise
        };
        let values: Vec<f64> = (0..rows).map(noisy).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (place, value) in places.iter_mut().zip(&values) {
            place[axis] = (WIDTH * (value - low) / (high - low).max(f64::MIN_POSITIVE)) as f32;
        }
    }
    Ok(places)
}

/// The eigenvectors of the graph's normalized Laplacian with the `count` smallest eigenvalues behind the first, as
/// columns; none if they are not found.
fn eigenvectors(graph: &Graph, count: usize, seed: u64) -> Result<Option<DMatrix<f64>>> {
    let rows = graph.rows();
    if rows < count + 2 {
        return Ok(None);
    }
    let degree = |row: usize| graph.of(row).1.iter().map(|weight| f64::from(*weight)).sum::<f64>();
    let scales: Vec<f64> = (0..rows).map(|row| 1.0 / degree(row).max(f64::MIN_POSITIVE).sqrt()).collect();
    // 1 − L/2, whose eigenvalues are 0 to 1
    let multiply = |block: &DMatrix<f64>| {
        let mut product = DMatrix::zeros(rows, block.ncols());
        let columns = product.as_mut_slice().par_chunks_mut(rows).zip(block.as_slice().par_chunks(rows));
        columns.for_each(|(product, column)| {
            for (row, value) in product.iter_mut().enumerate() {
                let (others, weights) = graph.of(row);
                let term = |(other, weight): (&u32, &f32)| {
                    f64::from(*weight) * scales[*other as usize] * column[*other as usize]
                };
                let sum: f64 = others.iter().zip(weights).map(term).sum();
                *value = 0.5 * (column[row] + scales[row] * sum);
            }
        });
        product
    };
    let found = leading(rows, count + 1, seed, START, &multiply)?;
    Ok((found.residual <= USABLE).then(|| found.vectors.columns(1, count).into()))
}

/// How near two places are in the map: 1 / (1 + a d²ᵇ).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Curve {
    a: f32,
    b: f32,
}

impl Curve {
    /// The one that is nearest in the sense of least squares to 1 up to `min_dist` and exp(−(d − `min_dist`) / `spread`)
    /// beyond, at 300 distances up to three times the spread (by Levenberg's and Marquardt's method).
    fn fit(min_dist: f64, spread: f64) -> Self {
        // in units of the spread, in which a is moderate
        let min_dist = min_dist / spread;
        let wanted = |x: f64| if x < min_dist { 1.0 } else { (-(x - min_dist)).exp() };
        let points: Vec<(f64, f64)> = (1..300).map(|i| f64::from(i) * 3.0 / 299.0).map(|x| (x, wanted(x))).collect();
        let value = |x: f64, a: f64, b: f64| 1.0 / (1.0 + a * x.powf(2.0 * b));
        let error = |a: f64, b: f64| points.iter().map(|(x, y)| (value(*x, a, b) - y).powi(2)).sum::<f64>();
        let (mut a, mut b, mut damping) = (1.0, 1.0, 1e-3);
        let mut least = error(a, b);
        for _ in 0..200 {
            // JᵀJ and Jᵀr
            let (mut aa, mut ab, mut bb, mut ar, mut br) = (0.0, 0.0, 0.0, 0.0, 0.0);
            for (x, y) in &points {
                let value = value(*x, a, b);
                let by_a = -value * value * x.powf(2.0 * b);
                let by_b = by_a * a * 2.0 * x.ln();
                let missed = value - y;
                aa += by_a * by_a;
                ab += by_a * by_b;
                bb += by_b * by_b;
                ar += by_a * missed;
                br += by_b * missed;
            }
            let (damped_a, damped_b) = (aa * (1.0 + damping), bb * (1.0 + damping));
            let determinant = damped_a * damped_b - ab * ab;
            let (new_a, new_b) =
                (a - (damped_b * ar - ab * br) / determinant, b - (damped_a * br - ab * ar) / determinant);
            let new = error(new_a, new_b);
            if new < least && new_a > 0.0 && new_b > 0.0 {
                (a, b, least, damping) = (new_a, new_b, new, damping / 10.0);
            } else {
                damping *= 10.0;
            }
        }
        // a (d / spread)²ᵇ
        Self { a: (a * spread.powf(-2.0 * b)) as f32, b: b as f32 }
    }

    /// The step of a place towards another.
    fn attraction<const D: usize>(&self, from: &[f32; D], to: &[f32; D]) -> [f32; D] {
        let (apart, square) = apart(from, to);
        if square == 0.0 {
            return [0.0; D];
        }
        let power = square.powf(self.b);
        let factor = -2.0 * self.a * self.b * power / (square * (self.a * power + 1.0));
        apart.map(|apart| (factor * apart).clamp(-LONGEST, LONGEST))
    }

    /// The step of a place away from another.
    fn repulsion<const D: usize>(&self, from: &[f32; D], to: &[f32; D]) -> [f32; D] {
        let (apart, square) = apart(from, to);
        let factor = 2.0 * self.b / ((0.001 + square) * (self.a * square.powf(self.b) + 1.0));
        apart.map(|apart| (factor * apart).clamp(-LONGEST, LONGEST))
    }
}

fn apart<const D: usize>(from: &[f32; D], to: &[f32; D]) -> ([f32; D], f32) {
    let apart: [f32; D] = std::array::from_fn(|axis| from[axis] - to[axis]);
    (apart, apart.iter().map(|apart| apart * apart).sum())
}

/// An edge, which has its turn the oftener the heavier it is.
#[derive(Clone, Debug)]
struct Edge {
    to: u32,
    /// Epochs from turn to turn, and when the next one is.
    period: f32,
    next: f32,
    /// The same for repulsion by random points.
    negative_period: f32,
    next_negative: f32,
}

impl Edge {
    fn new(to: u32, period: f32, negatives: usize) -> Self {
        let negative_period = period / negatives as f32;
        Self { to, period, next: period, negative_period, next_negative: negative_period }
    }

    /// If it has its turn, how many random points repel its end.
    fn turn(&mut self, epoch: f32) -> Option<usize> {
        if self.next > epoch {
            return None;
        }
        self.next += self.period;
        if !self.negative_period.is_finite() {
            return Some(0);
        }
        let negatives = ((epoch - self.next_negative) / self.negative_period).max(0.0).floor();
        self.next_negative += negatives * self.negative_period;
        Some(negatives as usize)
    }
}

/// A random number below `count`.
fn below(random: &mut ChaCha8Rng, count: usize) -> usize {
    ((u64::from(random.next_u32()) * count as u64) >> 32) as usize
}

/// A new point in a map.
struct Placed {
    edges: Vec<Edge>,
    random: ChaCha8Rng,
}

/// Places new points in the map of old ones, which stay where they are: `map` are the places of `old`, rows × 2 or 3, and
/// `options` are those of the map but for `dimensions`.
///
/// Each starts at the mean of the places of its nearest old points, weighted by how much these belong to its
/// neighbourhood, and then goes through its edges at a quarter of the learning rate, in a third of the epochs if they are
/// given, else in 100 for up to 10,000 new points and in 30 for more, as in umap-learn. New points do not see each other:
/// where one is placed depends on its row, which sets what is random for it, and not on the others.
///
/// # Errors
/// The old and new points have different numbers of columns, there are fewer old points than neighbours, or the map is
/// not one of the old points in 2 or 3 dimensions.
pub fn place(new: &Points, old: &Points, map: &Points, options: &UmapOptions, progress: Progress) -> Result<Points> {
    if map.rows() != old.rows() {
        return wrong(format!("the map has {} points, the old points are {}", map.rows(), old.rows()));
    }
    let options = UmapOptions { dimensions: map.columns(), ..options.clone() };
    options.check()?;
    match map.columns() {
        2 => place_in::<2>(new, old, map, &options, progress),
        _ => place_in::<3>(new, old, map, &options, progress),
    }
}

fn place_in<const D: usize>(
    new: &Points,
    old: &Points,
    map: &Points,
    options: &UmapOptions,
    progress: Progress,
) -> Result<Points> {
    let neighbors = Edges::across(new, old, options.neighbors, options.metric)?;
    let (map, _) = map.values().as_chunks::<D>();
    let epochs = options.epochs.map_or(if new.rows() <= 10_000 { 100 } else { 30 }, |epochs| epochs / 3);
    let curve = Curve::fit(options.min_dist, options.spread);
    let begin = |row: usize| {
        let (others, distances) = neighbors.of(row);
        let mut weights = vec![0.0; distances.len()];
        let mean = distances.iter().sum::<f64>() / distances.len().max(1) as f64;
        memberships(distances, 0.0, (neighbors.count as f64).log2(), NARROWEST * mean, &mut weights);
        let mut place = [0.0; D];
        let sum: f64 = weights.iter().sum();
        for (other, weight) in others.iter().zip(&weights) {
            (0..D).for_each(|axis| place[axis] += (weight / sum) as f32 * map[*other as usize][axis]);
        }
        // one that is known already
        if let (Some(other), Some(0.0)) = (others.first(), distances.first()) {
            place = map[*other as usize];
        }
        let heaviest = weights.iter().copied().fold(0.0, f64::max);
        let edge = |(other, weight): (&u32, &f64)| Edge::new(*other, (heaviest / weight) as f32, options.negatives);
        let kept = others.iter().zip(&weights).filter(|(_, weight)| **weight * epochs as f64 >= heaviest);
        let mut random = ChaCha8Rng::seed_from_u64(options.seed);
        random.set_stream(row as u64);
        (place, Placed { edges: kept.map(edge).collect(), random })
    };
    let (mut places, mut placed): (Vec<[f32; D]>, Vec<Placed>) = (0..new.rows()).into_par_iter().map(begin).unzip();
    for epoch in 0..epochs {
        let rate = 0.25 * (1.0 - epoch as f32 / epochs as f32);
        places.par_iter_mut().zip(placed.par_iter_mut()).with_min_len(PART).for_each(|(place, placed)| {
            for edge in &mut placed.edges {
                let Some(negatives) = edge.turn(epoch as f32) else { continue };
                let step = curve.attraction(place, &map[edge.to as usize]);
                (0..D).for_each(|axis| place[axis] += rate * step[axis]);
                for _ in 0..negatives {
                    let step = curve.repulsion(place, &map[below(&mut placed.random, map.len())]);
                    (0..D).for_each(|axis| place[axis] += rate * step[axis]);
                }
            }
        });
        if progress(epoch + 1, places.as_flattened()).is_break() {
            break;
        }
    }
    Points::new(places.into_flattened(), new.rows(), D)
}
