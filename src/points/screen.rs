//! Distances known to within a bound: products in single precision tell which points can be near enough to matter, and
//! only those are compared exactly.

use std::ops::Range;

use rayon::prelude::*;

use super::frame::Frame;
use super::metric::{Metric, dot};
use super::product::products;
use super::rows::Points;

/// Points that are compared with some queries at once.
const BLOCK: usize = 1024;
/// Rows of one part.
const PART: usize = 256;

/// Points, and queries that they are compared with.
pub(in crate::points) struct Screen {
    columns: usize,
    metric: Metric,
    /// What the product of two points counts in their key.
    factor: f64,
    /// A power of two that brings all coordinates into the range of single precision.
    scale: f64,
    points: Side,
    /// None if they are the points themselves.
    queries: Option<Side>,
}

/// Points in single precision, and what their keys are made of.
struct Side {
    values: Vec<f32>,
    offsets: Vec<f64>,
    /// What the lengths contribute to the bound of the product's rounding.
    norms: Vec<f64>,
    /// The bound of all other rounding.
    slacks: Vec<f64>,
}

impl Screen {
    /// Of points that are compared with queries or, without any, with each other.
    pub(in crate::points) fn new(points: &Points, queries: Option<&Points>, metric: Metric) -> Self {
        let frame = Frame::new(points, metric);
        let other = queries.map(|queries| Frame::at(queries, metric, frame.mean().to_vec()));
        let scale = match metric {
            Metric::L2 => {
                let all = points.values().iter().chain(queries.map_or(&[][..], Points::values));
                let [least, most] = all.fold([0f32; 2], |[a, b], value| [a.min(*value), b.max(*value)]);
                // no coordinate is further from the mean than that
                let range = f64::from(most) - f64::from(least);
                if range > 0.0 { (-range.log2().ceil() - 1.0).exp2() } else { 1.0 }
            }
            Metric::Cosine => 1.0,
        };
        let (columns, factor) = (points.columns(), frame.factor());
        Self {
            columns,
            metric,
            factor,
            scale,
            points: Side::new(&frame, points, metric, scale),
            queries: queries.zip(other).map(|(queries, other)| Side::new(&other, queries, metric, scale)),
        }
    }

    /// For each query of a range and each block of points, tells what the keys are at least and at most, in true
    /// arithmetic as well as when they are computed from the points in double precision. `visit` is given the query's
    /// number, that of the block's first point, and the bounds.
    pub(in crate::points) fn scan(&self, queries: Range<usize>, mut visit: impl FnMut(usize, usize, &[f64], &[f64])) {
        let side = self.queries.as_ref().unwrap_or(&self.points);
        let rows = &side.values[queries.start * self.columns..queries.end * self.columns];
        let mut inner = vec![0f32; queries.len() * BLOCK];
        let (mut lows, mut highs) = (vec![0f64; BLOCK], vec![0f64; BLOCK]);
        let unit = rounding(self.columns, f64::from(f32::EPSILON) / 2.0);
        for (block, others) in self.points.values.chunks(BLOCK * self.columns).enumerate() {
            let (first, count) = (block * BLOCK, others.len() / self.columns);
            let inner = &mut inner[..queries.len() * count];
            products(rows, others, self.columns, inner);
            let (lows, highs) = (&mut lows[..count], &mut highs[..count]);
            for (query, inner) in queries.clone().zip(inner.chunks_exact(count)) {
                let (offset, slack) = (side.offsets[query], side.slacks[query]);
                let rounded = unit * self.factor * side.norms[query];
                let points = self.points.offsets[first..].iter().zip(&self.points.norms[first..]);
                let points = points.zip(&self.points.slacks[first..]).zip(inner);
                for ((((other, norm), rest), product), (low, high)) in points.zip(lows.iter_mut().zip(&mut *highs)) {
                    let key = offset + other - self.factor * f64::from(*product);
                    let bound = rounded * norm + slack + rest;
                    (*low, *high) = (key - bound, key + bound);
                }
                visit(query, first, lows, highs);
            }
        }
    }

    /// A key as the bounds of [`scan`](Self::scan) have it.
    pub(in crate::points) fn scaled(&self, key: f64) -> f64 {
        match self.metric {
            Metric::L2 => key * self.scale * self.scale,
            Metric::Cosine => key,
        }
    }
}

impl Side {
    fn new(frame: &Frame<'_>, points: &Points, metric: Metric, scale: f64) -> Self {
        let columns = points.columns();
        let double = rounding(columns, f64::EPSILON / 2.0);
        // numbers below the range of single precision are lost, of which a product has at most two
        let lost = columns as f64 * f64::from(f32::MIN_POSITIVE);
        let part = |start: usize| {
            let rows = start..points.rows().min(start + PART);
            let mut side = Self {
                values: Vec::with_capacity(rows.len() * columns),
                offsets: Vec::with_capacity(rows.len()),
                norms: Vec::with_capacity(rows.len()),
                slacks: Vec::with_capacity(rows.len()),
            };
            for row in rows {
                let coordinates: Vec<f64> = frame.coordinates(row).map(|value| value * scale).collect();
                let square = dot(&coordinates, &coordinates);
                let length = match metric {
                    Metric::L2 => square,
                    // unit vectors from their mean
                    Metric::Cosine => 4.0,
                };
                side.offsets.push(frame.offset(&coordinates));
                side.norms.push(square.sqrt());
                side.slacks.push(4.0 * double * length + lost);
                side.values.extend(coordinates.iter().map(|value| *value as f32));
            }
            side
        };
        let starts: Vec<usize> = (0..points.rows()).step_by(PART).collect();
        let parts: Vec<Self> = starts.into_par_iter().map(part).collect();
        let mut whole = Self { values: Vec::new(), offsets: Vec::new(), norms: Vec::new(), slacks: Vec::new() };
        whole.values.reserve_exact(points.values().len());
        for part in parts {
            whole.values.extend(part.values);
            whole.offsets.extend(part.offsets);
            whole.norms.extend(part.norms);
            whole.slacks.extend(part.slacks);
        }
        whole
    }
}

/// How much a product of so many terms can be off, as a share of the product of the lengths, when its numbers, its terms
/// and its sums, in any order, are rounded off by at most `unit` (Higham, Accuracy and Stability of Numerical
/// Algorithms, 2002, section 3.1).
fn rounding(terms: usize, unit: f64) -> f64 {
    let share = (terms as f64 + 8.0) * unit;
    // beyond that nothing is known, and every point is compared exactly
    if share < 0.5 { share / (1.0 - share) } else { 1e30 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::points::rows::tests::{grouped, on_a_grid};

    #[test]
    fn keys_lie_within_their_bounds() {
        let (points, _) = grouped(1, 1100, 20, 5);
        let far: Vec<f32> = points.values().iter().map(|value| value * 1e-3 + 1e3).collect();
        let huge: Vec<f32> = points.values().iter().map(|value| value * 5e37).collect();
        let tiny: Vec<f32> = points.values().iter().map(|value| value * 1e-42).collect();
        let sets = [far, huge, tiny].map(|values| Points::new(values, 1100, 20));
        let sets = sets.into_iter().flatten().chain([points, on_a_grid(2, 1100, 5)]);
        for points in sets {
            for metric in [Metric::L2, Metric::Cosine] {
                let screen = Screen::new(&points, None, metric);
                let mut seen = 0;
                screen.scan(7..12, |query, first, lows, highs| {
                    for (at, (low, high)) in lows.iter().zip(highs).enumerate() {
                        let key = screen.scaled(metric.key(points.row(query), points.row(first + at)));
                        assert!(*low <= key && key <= *high, "{key:e} is not in {low:e}..{high:e}");
                        seen += 1;
                    }
                });
                assert_eq!(seen, 5 * 1100);
            }
        }
    }

    #[test]
    fn bounds_are_narrow() {
        let (points, _) = grouped(1, 300, 64, 5);
        let screen = Screen::new(&points, None, Metric::L2);
        screen.scan(0..1, |_, _, lows, highs| {
            assert!(lows.iter().zip(highs).skip(1).all(|(low, high)| high - low < 1e-3 * high));
        });
    }
}
