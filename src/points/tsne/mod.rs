//! t-SNE: points in many dimensions as points in 2 or 3 that have the same neighbours.

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::error::Result;
use crate::points::Metric;
use crate::points::graph::{Edges, Graph};
use crate::points::pca::Pca;
use crate::points::quadtree::Tree;
use crate::points::rows::Points;
use crate::points::rows::wrong;

/// Points whose repulsion, or neighbours whose attraction is computed at once, in vectors.
const LANES: usize = 8;
/// Points that a thread moves at once.
const PART: usize = 128;
/// How wide the map is at the start: its standard deviation.
const WIDTH: f64 = 1e-4;
/// Momentum while attraction is exaggerated, and after that.
const MOMENTUM: [f32; 2] = [0.5, 0.8];
/// The least factor by which a coordinate's steps are made shorter.
const LEAST_GAIN: f32 = 0.01;
/// It has come to rest when the norm of the gradient is less; asked once in so many iterations.
const REST: (f64, usize) = (1e-7, 50);
/// How near the perplexity is found: the difference of its logarithm, and steps at most.
const NEAR: (f64, usize) = (1e-5, 100);

/// How a map is made; the defaults are scikit-learn's.
#[derive(Clone, Debug, PartialEq)]
pub struct TsneOptions {
    /// Dimensions of the map, 2 or 3.
    pub dimensions: usize,
    /// About how many neighbours a point has, from 1 to (rows − 1) / 3.
    pub perplexity: f64,
    /// Groups of points are taken for one where their width is less than this part of their distance, 0 to 1; with 0,
    /// never.
    pub theta: f64,
    /// How often all points are moved.
    pub iterations: usize,
    /// By what attraction is multiplied at first, from 1 up.
    pub exaggeration: f64,
    /// For how many iterations that is.
    pub exaggerated: usize,
    /// How far a step goes along the gradient; rows / `exaggeration` / 4 but at least 50 if not given (Belkina et al.,
    /// Automated optimized parameters for t-distributed stochastic neighbor embedding, 2019).
    pub learning_rate: Option<f64>,
    /// Sets what is random: the start, where principal components do not tell it.
    pub seed: u64,
}

impl Default for TsneOptions {
    fn default() -> Self {
        Self {
            dimensions: 2,
            perplexity: 30.0,
            theta: 0.5,
            iterations: 1000,
            exaggeration: 12.0,
            exaggerated: 250,
            learning_rate: None,
            seed: 0,
        }
    }
}

/// A map made by t-SNE.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// Where the points are: rows × dimensions.
    pub places: Points,
    /// The Kullback-Leibler divergence of the map's similarities from those of the points, in nats.
    pub divergence: f64,
    /// How often all points were moved.
    pub iterations: usize,
}

/// Shown the number of iterations so far and where the points are, rows × dimensions, after each iteration; it may end
/// the run, which then returns what there is.
pub type Progress<'a> = &'a mut dyn FnMut(usize, &[f32]) -> ControlFlow<()>;

/// A map of points that keeps neighbours together (van der Maaten and Hinton, Visualizing Data using t-SNE, 2008), by the
/// Barnes-Hut approximation (van der Maaten, Accelerating t-SNE using Tree-Based Algorithms, 2014) from a start at the
/// first principal components (Kobak and Berens, The art of using t-SNE for single-cell transcriptomics, 2019).
///
/// In 3 dimensions too, similarities in the map have one degree of freedom, where scikit-learn takes two. The same seed
/// gives the same map for any number of threads.
///
/// # Errors
/// An option is out of its range, there are less than 4 points, the perplexity is too large for so few, or the learning
/// rate is so large that points fly off.
pub fn fit(points: &Points, options: &TsneOptions, progress: Progress) -> Result<Map> {
    options.check(points.rows())?;
    match options.dimensions {
        2 => Run::<2>::new(points, options)?.run(options, progress),
        _ => Run::<3>::new(points, options)?.run(options, progress),
    }
}

impl TsneOptions {
    fn check(&self, rows: usize) -> Result<()> {
        if !matches!(self.dimensions, 2 | 3) {
            return wrong(format!("t-SNE makes maps of 2 or 3 dimensions, not {}", self.dimensions));
        }
        if rows < 4 {
            return wrong(format!("t-SNE needs at least 4 points, not {rows}"));
        }
        let most = (rows - 1) as f64 / 3.0;
        if !(1.0..=most).contains(&self.perplexity) {
            let most = (most * 10.0).floor() / 10.0;
            return wrong(format!("the perplexity is {}; for {rows} points it is 1 to {most}", self.perplexity));
        }
        if !(0.0..=1.0).contains(&self.theta) {
            return wrong(format!("theta is {}, not 0 to 1", self.theta));
        }
        if !(1.0..=1e6).contains(&self.exaggeration) {
            return wrong(format!("the exaggeration is {}, not 1 to 1e6", self.exaggeration));
        }
        match self.learning_rate {
            Some(rate) if !(rate > 0.0 && rate <= 1e9) => {
                wrong(format!("the learning rate is {rate}, not above 0 and at most 1e9"))
            }
            _ => Ok(()),
        }
    }
}

/// How similar points are to each other: pᵢⱼ, whose sum is 1, for each and its nearest neighbours.
///
/// # Errors
/// There are too few points for the perplexity.
pub fn similarities(points: &Points, perplexity: f64) -> Result<Graph> {
    let count = ((3.0 * perplexity) as usize + 1).min(points.rows() - 1);
    let neighbors = Edges::within(points, count, Metric::L2)?;
    let conditional = conditional(&neighbors, perplexity);
    let scale = 0.5 / points.rows() as f64;
    Ok(neighbors.joined(&conditional, |a, b| (a + b) * scale))
}

/// How likely each point takes each of its neighbours for one: rows × count, the sum of a row is 1.
fn conditional(neighbors: &Edges, perplexity: f64) -> Vec<f64> {
    let mut weights = vec![0.0; neighbors.distances.len()];
    let rows = neighbors.distances.par_chunks(neighbors.count.max(1));
    weights.par_chunks_mut(neighbors.count.max(1)).zip(rows).for_each(|(weights, distances)| {
        gaussian(distances, perplexity, weights);
    });
    weights
}

/// Gaussian weights for ascending distances, whose sum is 1 and whose perplexity is the given one if there is a width for
/// which it is.
fn gaussian(distances: &[f64], perplexity: f64, weights: &mut [f64]) {
    let nearest = distances.first().map_or(0.0, |distance| distance * distance);
    let squares: Vec<f64> = distances.iter().map(|distance| distance * distance - nearest).collect();
    let mean = squares.iter().sum::<f64>() / squares.len().max(1) as f64;
    if mean <= 0.0 {
        weights.fill(1.0 / weights.len().max(1) as f64);
        return;
    }
    let (mut precision, mut low, mut high) = (1.0 / mean, 0.0, f64::INFINITY);
    for _ in 0..NEAR.1 {
        let (mut sum, mut moment) = (0.0, 0.0);
        for (weight, square) in weights.iter_mut().zip(&squares) {
            *weight = (-precision * square).exp();
            sum += *weight;
            moment += *weight * square;
        }
        weights.iter_mut().for_each(|weight| *weight /= sum);
        let entropy = sum.ln() + precision * moment / sum;
        let off = entropy - perplexity.ln();
        if off.abs() <= NEAR.0 {
            break;
        }
        if off > 0.0 {
            low = precision;
            precision = if high.is_finite() { (low + high) / 2.0 } else { precision * 2.0 };
        } else {
            high = precision;
            precision = (low + high) / 2.0;
        }
    }
}

/// A map in the making.
struct Run<const D: usize> {
    similarities: Graph,
    theta: f32,
    places: Vec<[f32; D]>,
    velocities: Vec<[f32; D]>,
    gains: Vec<[f32; D]>,
    tree: Tree<D>,
    /// In the order of the tree: Σ p q (y − yⱼ), and Σ q² (y − yⱼ).
    attraction: Vec<[f32; D]>,
    repulsion: Vec<[f32; D]>,
}

impl<const D: usize> Run<D> {
    fn new(points: &Points, options: &TsneOptions) -> Result<Self> {
        let similarities = similarities(points, options.perplexity)?;
        Ok(Self::from(similarities, start(points, options.seed)?, options.theta))
    }

    fn from(similarities: Graph, places: Vec<[f32; D]>, theta: f64) -> Self {
        let zeros = || vec![[0.0; D]; places.len()];
        Self {
            similarities,
            theta: theta as f32,
            velocities: zeros(),
            gains: vec![[1.0; D]; places.len()],
            tree: Tree::default(),
            attraction: zeros(),
            repulsion: zeros(),
            places,
        }
    }

    fn run(mut self, options: &TsneOptions, progress: Progress) -> Result<Map> {
        let rate = (self.places.len() as f64 / options.exaggeration / 4.0).max(50.0);
        let rate = options.learning_rate.unwrap_or(rate) as f32;
        let mut iterations = 0;
        for iteration in 0..options.iterations {
            let exaggerated = iteration < options.exaggerated;
            if iteration == options.exaggerated {
                // another function from here on
                self.velocities.fill([0.0; D]);
                self.gains.fill([1.0; D]);
            }
            let (exaggeration, momentum) =
                if exaggerated { (options.exaggeration as f32, MOMENTUM[0]) } else { (1.0, MOMENTUM[1]) };
            let norm = self.step(exaggeration, momentum, rate);
            iterations = iteration + 1;
            if !norm.is_finite() {
                return wrong(format!("points fly off at a learning rate of {rate}: take a lower one"));
            }
            if progress(iterations, self.places.as_flattened()).is_break() {
                break;
            }
            if !exaggerated && iterations % REST.1 == 0 && norm < REST.0 {
                break;
            }
        }
        let divergence = self.divergence();
        let places = Points::new(self.places.into_flattened(), self.velocities.len(), D);
        let places =
            places.or_else(|_| wrong(format!("points fly off at a learning rate of {rate}: take a lower one")))?;
        Ok(Map { places, divergence, iterations })
    }

    /// Moves all points once; the norm of the gradient with its gains.
    fn step(&mut self, exaggeration: f32, momentum: f32, rate: f32) -> f64 {
        let total = self.forces();
        let share = (1.0 / total.max(f64::MIN_POSITIVE)) as f32;
        let mut squares = 0.0;
        let forces = self.attraction.iter().zip(&self.repulsion);
        for (index, (attraction, repulsion)) in self.tree.order().iter().zip(forces) {
            let index = *index as usize;
            let (place, velocity) = (&mut self.places[index], &mut self.velocities[index]);
            let gains = &mut self.gains[index];
            for axis in 0..D {
                let slope = 4.0 * (exaggeration * attraction[axis] - share * repulsion[axis]);
                let turned = velocity[axis] * slope < 0.0;
                gains[axis] = if turned { gains[axis] + 0.2 } else { (gains[axis] * 0.8).max(LEAST_GAIN) };
                let slope = slope * gains[axis];
                squares += f64::from(slope * slope);
                velocity[axis] = momentum * velocity[axis] - rate * slope;
                place[axis] += velocity[axis];
            }
        }
        squares.sqrt()
    }

    /// What pulls and pushes the points where they are; Σ q over all pairs.
    fn forces(&mut self) -> f64 {
        self.tree.rebuild(&self.places, self.theta);
        let (tree, places, similarities) = (&self.tree, &self.places, &self.similarities);
        let part = |start: usize, attraction: &mut [[f32; D]], repulsion: &mut [[f32; D]]| -> f64 {
            for (index, attraction) in tree.order()[start..].iter().zip(attraction) {
                let (others, weights) = similarities.of(*index as usize);
                *attraction = attracted(&places[*index as usize], places, others, weights);
            }
            let groups = (start..).step_by(LANES).zip(repulsion.chunks_mut(LANES));
            groups.map(|(start, repulsion)| repelled(tree, start, repulsion)).sum()
        };
        let both = self.attraction.par_chunks_mut(PART).zip(self.repulsion.par_chunks_mut(PART));
        let parts = both.enumerate().map(|(index, (attraction, repulsion))| part(index * PART, attraction, repulsion));
        let sums: Vec<f64> = parts.collect();
        sums.iter().sum()
    }

    /// The Kullback-Leibler divergence.
    fn divergence(&mut self) -> f64 {
        let total = self.forces().max(f64::MIN_POSITIVE);
        let (places, similarities) = (&self.places, &self.similarities);
        let part = |(part, rows): (usize, &[[f32; D]])| -> f64 {
            let one = |(row, place): (usize, &[f32; D])| -> f64 {
                let (others, weights) = similarities.of(row);
                let term = |(other, weight): (&u32, &f32)| {
                    let p = f64::from(*weight);
                    let q = 1.0 / (1.0 + square(place, &places[*other as usize]));
                    p * (p * total / q).ln()
                };
                others.iter().zip(weights).map(term).sum()
            };
            (part * PART..).zip(rows).map(one).sum()
        };
        let sums: Vec<f64> = places.par_chunks(PART).enumerate().map(part).collect();
        sums.iter().sum()
    }
}

/// Σ w q (y − yⱼ) over a point's neighbours.
fn attracted<const D: usize>(at: &[f32; D], places: &[[f32; D]], others: &[u32], weights: &[f32]) -> [f32; D] {
    let mut sums = [[0.0; LANES]; D];
    let mut add = |others: &[u32; LANES], weights: &[f32; LANES]| {
        let mut apart = [[0.0; LANES]; D];
        for (lane, other) in others.iter().enumerate() {
            let place = &places[*other as usize];
            for axis in 0..D {
                apart[axis][lane] = at[axis] - place[axis];
            }
        }
        let mut squares = [0.0; LANES];
        for apart in &apart {
            for lane in 0..LANES {
                squares[lane] += apart[lane] * apart[lane];
            }
        }
        let mut pull = [0.0; LANES];
        for lane in 0..LANES {
            pull[lane] = weights[lane] / (1.0 + squares[lane]);
        }
        for (sums, apart) in sums.iter_mut().zip(&apart) {
            for lane in 0..LANES {
                sums[lane] += pull[lane] * apart[lane];
            }
        }
    };
    let ((others, last), (weights, last_weights)) = (others.as_chunks(), weights.as_chunks());
    others.iter().zip(weights).for_each(|(others, weights)| add(others, weights));
    if !last.is_empty() {
        // what is missing weighs nothing
        let (mut others, mut weights) = ([0; LANES], [0.0; LANES]);
        others[..last.len()].copy_from_slice(last);
        weights[..last.len()].copy_from_slice(last_weights);
        add(&others, &weights);
    }
    sums.map(|sums| sums.iter().sum())
}

/// Σ q² (y − yⱼ) for some points beside each other in the order of the tree, from `start`; Σ q of all of them.
fn repelled<const D: usize>(tree: &Tree<D>, start: usize, forces: &mut [[f32; D]]) -> f64 {
    let places = &tree.places()[start..start + forces.len()];
    let mut at = [[0.0; LANES]; D];
    // lanes that are left over do the last point's work again
    for (lane, place) in places.iter().chain(places.last().into_iter().cycle()).take(LANES).enumerate() {
        for axis in 0..D {
            at[axis][lane] = place[axis];
        }
    }
    let sums = tree.repulsion(&at, start..start + forces.len());
    for (lane, force) in forces.iter_mut().enumerate() {
        *force = sums.force.map(|force| force[lane]);
    }
    sums.sum[..forces.len()].iter().map(|sum| f64::from(*sum)).sum()
}

fn square<const D: usize>(a: &[f32; D], b: &[f32; D]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a - *b).powi(2)).sum()
}

/// The first principal components, scaled so that the first has a standard deviation of 1e-4; random numbers of that width
/// where there are none.
fn start<const D: usize>(points: &Points, seed: u64) -> Result<Vec<[f32; D]>> {
    let count = D.min(points.rows()).min(points.columns());
    let pca = Pca::fit(points, count, seed)?;
    let width = pca.variances().first().copied().unwrap_or(0.0).sqrt();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let place = |scores: &[f32]| {
        let mut place = [0.0; D];
        for (axis, value) in place.iter_mut().enumerate() {
            let chance: f64 = StandardNormal.sample(&mut random);
            let score = scores.get(axis).filter(|_| width > 0.0);
            *value = (score.map_or(chance, |score| f64::from(*score) / width) * WIDTH) as f32;
        }
        place
    };
    Ok(pca.scores().chunks_exact(count).map(place).collect())
}

/// Neighbours whose places tell where a new point starts and what attracts it.
const PLACED_NEIGHBORS: usize = 25;
/// The perplexity over these.
const PLACED_PERPLEXITY: f64 = 5.0;
/// Attraction is multiplied by that.
const PLACED_EXAGGERATION: f32 = 1.5;
const PLACED_ITERATIONS: usize = 250;
const PLACED_RATE: f32 = 0.1;
/// A longer gradient is cut to that length.
const PLACED_CLIP: f32 = 0.25;
const PLACED_THETA: f32 = 0.5;

/// Places new points in the map of old ones, which stay where they are: `map` are the places of `old`, rows × 2 or 3.
///
/// Each starts at the weighted median of the places of its 25 nearest old points and is moved 250 times, attracted by
/// these and repelled by all old points (Poličar, Stražar and Zupan, Embedding to reference t-SNE space addresses batch
/// effects in single-cell classification, 2019, with openTSNE's numbers). New points do not see each other, so where
/// one is placed does not depend on the others.
///
/// # Errors
/// The old and new points have different numbers of columns, or the map is not one of the old points in 2 or 3
/// dimensions.
pub fn place(new: &Points, old: &Points, map: &Points, progress: Progress) -> Result<Points> {
    if map.rows() != old.rows() {
        return wrong(format!("the map has {} points, the old points are {}", map.rows(), old.rows()));
    }
    match map.columns() {
        2 => place_in::<2>(new, old, map, progress),
        3 => place_in::<3>(new, old, map, progress),
        count => wrong(format!("maps have 2 or 3 dimensions, not {count}")),
    }
}

fn place_in<const D: usize>(new: &Points, old: &Points, map: &Points, progress: Progress) -> Result<Points> {
    let neighbors = Edges::across(new, old, PLACED_NEIGHBORS.min(old.rows()), Metric::L2)?;
    let perplexity = PLACED_PERPLEXITY.min(neighbors.count as f64 / 3.0).max(1.0);
    let weights: Vec<f32> = conditional(&neighbors, perplexity).into_iter().map(|weight| weight as f32).collect();
    let (map, _) = map.values().as_chunks::<D>();
    let mut tree = Tree::default();
    tree.rebuild(map, PLACED_THETA);
    let edges = |row: usize| (neighbors.of(row).0, &weights[row * neighbors.count..(row + 1) * neighbors.count]);
    let mut places: Vec<[f32; D]> = (0..new.rows()).map(|row| median(map, edges(row))).collect();
    let mut moves = vec![([0.0; D], [1.0; D]); places.len()];
    for iteration in 1..=PLACED_ITERATIONS {
        let both = places.par_iter_mut().zip(moves.par_iter_mut()).enumerate().with_min_len(PART / LANES);
        both.for_each(|(row, (place, (velocity, gains)))| {
            let (others, weights) = edges(row);
            let attraction = attracted(place, map, others, weights);
            let repulsion = tree.repulsion(&place.map(|value| [value]), 0..0);
            let share = 1.0 / repulsion.sum[0].max(f32::MIN_POSITIVE);
            let mut slopes = attraction.map(|value| value * PLACED_EXAGGERATION);
            slopes.iter_mut().zip(repulsion.force).for_each(|(slope, [force])| *slope -= force * share);
            let norm = slopes.iter().map(|slope| slope * slope).sum::<f32>().sqrt();
            let clip = if norm > PLACED_CLIP { PLACED_CLIP / norm } else { 1.0 };
            for axis in 0..D {
                let slope = slopes[axis] * clip;
                let turned = velocity[axis] * slope <= 0.0;
                gains[axis] = if turned { gains[axis] + 0.2 } else { gains[axis] * 0.8 + LEAST_GAIN };
                velocity[axis] = MOMENTUM[1] * velocity[axis] - PLACED_RATE * gains[axis] * slope;
                place[axis] += velocity[axis];
            }
        });
        if progress(iteration, places.as_flattened()).is_break() {
            break;
        }
    }
    Points::new(places.into_flattened(), new.rows(), D)
}

/// The weighted median of places, for each axis.
fn median<const D: usize>(map: &[[f32; D]], (others, weights): (&[u32], &[f32])) -> [f32; D] {
    let half = weights.iter().sum::<f32>() / 2.0;
    let mut median = [0.0; D];
    for (axis, median) in median.iter_mut().enumerate() {
        let mut values: Vec<(f32, f32)> =
            others.iter().zip(weights).map(|(other, weight)| (map[*other as usize][axis], *weight)).collect();
        values.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let mut below = 0.0;
        let passes = |(_, weight): &&(f32, f32)| {
            below += weight;
            below >= half
        };
        *median = values.iter().find(passes).map_or(0.0, |(value, _)| *value);
    }
    median
}
