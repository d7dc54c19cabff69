//! Graphs made of the nearest neighbours of points.

use super::rows::Points;
use super::{Metric, Neighbors, nearest, nearest_others};
use crate::error::Result;

/// For each of some points its nearest ones, the nearest first.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::points) struct Edges {
    /// How many each point has.
    pub count: usize,
    /// Which they are: rows × `count`.
    pub indices: Vec<u32>,
    /// How far away they are: rows × `count`, not negative.
    pub distances: Vec<f64>,
}

impl Edges {
    /// The `count` nearest others of each point.
    ///
    /// # Errors
    /// There are not so many others.
    pub fn within(points: &Points, count: usize, metric: Metric) -> Result<Self> {
        Ok(Self::of_neighbors(&nearest_others(points, count, metric)?))
    }

    /// The `count` points nearest to each of `queries`.
    ///
    /// # Errors
    /// There are not so many points, or they have another number of columns than the queries.
    pub fn across(queries: &Points, points: &Points, count: usize, metric: Metric) -> Result<Self> {
        Ok(Self::of_neighbors(&nearest(points, queries, count, metric)?))
    }

    fn of_neighbors(near: &Neighbors) -> Self {
        let rows = 0..near.rows();
        let indices = rows.clone().flat_map(|row| near.indices(row).iter().map(|index| *index as u32)).collect();
        let distances = rows.flat_map(|row| near.distances(row).iter().copied()).collect();
        Self { count: near.k(), indices, distances }
    }

    /// The neighbours of one point and how far away they are.
    pub fn of(&self, row: usize) -> (&[u32], &[f64]) {
        let range = row * self.count..(row + 1) * self.count;
        (&self.indices[range.clone()], &self.distances[range])
    }

    /// The symmetric graph whose edge between two points has the weight `join(a, b)` of what each has for the other in
    /// `weights` (rows × `count`), 0 where one is not the other's neighbour. `join` is symmetric; edges of weight 0 are
    /// left out.
    pub fn joined(&self, weights: &[f64], join: impl Fn(f64, f64) -> f64) -> Graph {
        let count = self.count.max(1);
        let rows = self.indices.len() / count;
        // for each point those that have it as a neighbour, in ascending order
        let mut starts = vec![0; rows + 1];
        self.indices.iter().for_each(|to| starts[*to as usize + 1] += 1);
        (0..rows).for_each(|row| starts[row + 1] += starts[row]);
        let mut ends = starts.clone();
        let mut back = vec![(0, 0.0); self.indices.len()];
        for (place, (to, weight)) in self.indices.iter().zip(weights).enumerate() {
            let end = &mut ends[*to as usize];
            back[*end] = ((place / count) as u32, *weight);
            *end += 1;
        }
        let mut graph = Graph { starts: vec![0], indices: Vec::new(), weights: Vec::new() };
        let mut own: Vec<(u32, f64)> = Vec::with_capacity(count);
        for row in 0..rows {
            let range = row * count..(row + 1) * count;
            own.clear();
            own.extend(self.indices[range.clone()].iter().copied().zip(weights[range].iter().copied()));
            own.sort_unstable_by_key(|(to, _)| *to);
            let (mut a, mut b) = (own.iter().peekable(), back[starts[row]..starts[row + 1]].iter().peekable());
            loop {
                let next = a.peek().map(|edge| edge.0).into_iter().chain(b.peek().map(|edge| edge.0)).min();
                let Some(to) = next else { break };
                let mut taken = [0.0; 2];
                a.next_if(|edge| edge.0 == to).inspect(|edge| taken[0] = edge.1);
                b.next_if(|edge| edge.0 == to).inspect(|edge| taken[1] = edge.1);
                let weight = join(taken[0], taken[1]) as f32;
                if weight > 0.0 {
                    graph.indices.push(to);
                    graph.weights.push(weight);
                }
            }
            graph.starts.push(graph.indices.len());
        }
        graph
    }
}

/// A symmetric graph with positive weights, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::points) struct Graph {
    /// Where the edges of each point begin, and where the last ones end: rows + 1.
    pub starts: Vec<usize>,
    /// The other ends of edges, ascending for each point.
    pub indices: Vec<u32>,
    /// How much they weigh.
    pub weights: Vec<f32>,
}

impl Graph {
    /// How many points it has.
    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges of one point: other ends and weights.
    pub fn of(&self, row: usize) -> (&[u32], &[f32]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.indices[range.clone()], &self.weights[range])
    }

    /// Leaves out the edges that weigh less.
    pub fn prune(&mut self, least: f32) {
        let mut kept = Self { starts: vec![0], indices: Vec::new(), weights: Vec::new() };
        for row in 0..self.rows() {
            let (indices, weights) = self.of(row);
            for (index, weight) in indices.iter().zip(weights).filter(|(_, weight)| **weight >= least) {
                kept.indices.push(*index);
                kept.weights.push(*weight);
            }
            kept.starts.push(kept.indices.len());
        }
        *self = kept;
    }

    /// Whether every point can be reached from every other.
    pub fn is_connected(&self) -> bool {
        let mut seen = vec![false; self.rows()];
        let mut left = vec![0];
        let mut count = 0;
        while let Some(row) = left.pop() {
            if !std::mem::replace(&mut seen[row], true) {
                count += 1;
                left.extend(self.of(row).0.iter().map(|to| *to as usize).filter(|to| !seen[*to]));
            }
        }
        count == self.rows()
    }
}
