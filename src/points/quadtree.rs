//! Quadtrees and octrees over points that move, for the repulsion of t-SNE.

use std::ops::Range;

/// A cell of at most so many points is not divided.
const LEAF: usize = 8;
/// Bits for each axis of a cell's place, at most; f32 knows no more.
const BITS: u32 = 24;

/// A tree over points in `D` dimensions, 2 or 3, each of whose cells is divided into 2^D where it holds many points.
///
/// It is a flat array in the order in which a walk comes to the cells, over points sorted along a space-filling curve
/// (Morton, 1966), so that walking needs no stack and neighbouring points walk almost the same way.
#[derive(Clone, Debug, Default)]
pub struct Tree<const D: usize> {
    cells: Vec<Cell<D>>,
    /// Which points these are, in the order of the tree.
    order: Vec<u32>,
    /// Where they are, in the order of the tree.
    places: Vec<[f32; D]>,
    /// Places on the curve, with the points' indices in the low bits.
    keys: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Cell<const D: usize> {
    /// The mean of its points.
    center: [f32; D],
    /// How many points it holds.
    count: f32,
    /// The square of the distance beyond which its points may be taken for one: its side by θ.
    reach: f32,
    /// The cell behind all that are part of this one.
    next: u32,
    /// Its points, in the order of the tree.
    start: u32,
    end: u32,
}

/// What a cell is made of.
struct Sum<const D: usize> {
    sum: [f64; D],
    low: [f32; D],
    high: [f32; D],
}

/// Sums over all points of the tree, for `L` places beside each other.
#[derive(Clone, Debug)]
pub struct Repulsion<const D: usize, const L: usize> {
    /// Σ q² (y − yⱼ) with q = 1 / (1 + ‖y − yⱼ‖²).
    pub force: [[f32; L]; D],
    /// Σ q.
    pub sum: [f32; L],
}

impl<const D: usize> Tree<D> {
    /// Builds the tree anew over points. Cells are taken for one point where their side is less than `theta` times the
    /// distance (Barnes and Hut, A Hierarchical O(N log N) Force-Calculation Algorithm, 1986); with 0, never.
    pub fn rebuild(&mut self, points: &[[f32; D]], theta: f32) {
        let index_bits = usize::BITS - points.len().leading_zeros();
        let bits = ((u64::BITS - index_bits) / D as u32).min(BITS);
        let (low, high) = bounds(points);
        let side = (0..D).map(|axis| high[axis] - low[axis]).fold(f32::MIN_POSITIVE, f32::max);
        let cells = (1u32 << bits) as f32;
        let scale = cells / side;
        let key = |(index, point): (usize, &[f32; D])| {
            let mut code = 0;
            for axis in 0..D {
                let cell = ((point[axis] - low[axis]) * scale).min(cells - 1.0) as u64;
                code |= spread::<D>(cell) << axis;
            }
            code << index_bits | index as u64
        };
        self.keys.clear();
        self.keys.extend(points.iter().enumerate().map(key));
        self.keys.sort_unstable();
        self.order.clear();
        self.order.extend(self.keys.iter().map(|key| (key & ((1 << index_bits) - 1)) as u32));
        self.places.clear();
        self.places.extend(self.order.iter().map(|index| points[*index as usize]));
        self.keys.iter_mut().for_each(|key| *key >>= index_bits);
        self.cells.clear();
        if !points.is_empty() {
            self.divide(0..points.len(), theta);
        }
    }

    /// The points' indices in the order of the tree: along a curve on which neighbours are near each other.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// Where the points are, in the order of the tree.
    pub fn places(&self) -> &[[f32; D]] {
        &self.places
    }

    /// Adds the cell of some points, and those inside.
    fn divide(&mut self, range: Range<usize>, theta: f32) -> Sum<D> {
        let at = self.cells.len();
        let (start, end) = (range.start as u32, range.end as u32);
        self.cells.push(Cell { center: [0.0; D], count: range.len() as f32, reach: 0.0, next: 0, start, end });
        // the highest bit in which two of them differ; below it, they are in different cells
        let differ = self.keys[range.start] ^ self.keys[range.end - 1];
        let sum = if range.len() <= LEAF || differ == 0 {
            Sum::of(&self.places[range.clone()])
        } else {
            let shift = (u64::BITS - 1 - differ.leading_zeros()) / D as u32 * D as u32;
            let mut all = Sum::of(&[]);
            let mut start = range.start;
            while start < range.end {
                let cell = self.keys[start] >> shift;
                let end = start + self.keys[start..range.end].partition_point(|key| key >> shift == cell);
                all.add(&self.divide(start..end, theta));
                start = end;
            }
            all
        };
        let next = self.cells.len() as u32;
        let side = (0..D).map(|axis| sum.high[axis] - sum.low[axis]).fold(0.0, f32::max);
        let cell = &mut self.cells[at];
        cell.next = next;
        // exactly where they are if all are at one place
        cell.center = if side > 0.0 { sum.sum.map(|sum| (sum / range.len() as f64) as f32) } else { sum.low };
        cell.reach = if side > 0.0 { (side / theta).powi(2) } else { 0.0 };
        sum
    }

    /// The repulsion at `L` places, which should be near each other: a cell that is too near to one of them is opened
    /// for all. If the places are those of points of the tree, `own` are these, which do not repel themselves.
    #[inline]
    pub fn repulsion<const L: usize>(&self, at: &[[f32; L]; D], own: Range<usize>) -> Repulsion<D, L> {
        let mut sums = Repulsion { force: [[0.0; L]; D], sum: [0.0; L] };
        let (own_start, own_end) = (own.start as u32, own.end as u32);
        let mut index = 0;
        while let Some(cell) = self.cells.get(index) {
            let (apart, squares) = apart(at, &cell.center);
            let mine = cell.start < own_end && own_start < cell.end;
            if !mine && squares.iter().fold(true, |far, square| far & (*square > cell.reach)) {
                sums.add(&apart, &squares, &[cell.count; L]);
                index = cell.next as usize;
                continue;
            }
            index += 1;
            if index < cell.next as usize {
                continue;
            }
            // a leaf; points at one place count as one of that weight
            let (start, end) = if cell.reach > 0.0 { (cell.start, cell.end) } else { (cell.end - 1, cell.end) };
            let weight = if cell.reach > 0.0 { 1.0 } else { cell.count };
            let inside = if cell.reach > 0.0 { 1 } else { cell.end - cell.start };
            for (point, place) in (start..).zip(&self.places[start as usize..end as usize]) {
                let (apart, squares) = self::apart(at, place);
                let mut weights = [weight; L];
                if mine {
                    let own = own_start..own_end;
                    // those of the points taken together here that are among the places
                    for lane in (point + 1 - inside..point + 1).filter(|point| own.contains(point)) {
                        if let Some(weight) = weights.get_mut((lane - own_start) as usize) {
                            *weight -= 1.0;
                        }
                    }
                }
                sums.add(&apart, &squares, &weights);
            }
        }
        sums
    }
}

/// From a place to others, along each axis, and the squares of the distances.
#[inline(always)]
fn apart<const D: usize, const L: usize>(at: &[[f32; L]; D], from: &[f32; D]) -> ([[f32; L]; D], [f32; L]) {
    let mut apart = [[0.0; L]; D];
    let mut squares = [0.0; L];
    for axis in 0..D {
        for lane in 0..L {
            apart[axis][lane] = at[axis][lane] - from[axis];
            squares[lane] += apart[axis][lane] * apart[axis][lane];
        }
    }
    (apart, squares)
}

impl<const D: usize, const L: usize> Repulsion<D, L> {
    #[inline(always)]
    fn add(&mut self, apart: &[[f32; L]; D], squares: &[f32; L], weights: &[f32; L]) {
        let mut pull = [0.0; L];
        for lane in 0..L {
            let q = 1.0 / (1.0 + squares[lane]);
            self.sum[lane] += weights[lane] * q;
            pull[lane] = weights[lane] * q * q;
        }
        for (force, apart) in self.force.iter_mut().zip(apart) {
            for lane in 0..L {
                force[lane] += pull[lane] * apart[lane];
            }
        }
    }
}

impl<const D: usize> Sum<D> {
    fn of(points: &[[f32; D]]) -> Self {
        let (low, high) = bounds(points);
        let mut sum = [0.0; D];
        for point in points {
            sum.iter_mut().zip(point).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        Self { sum, low, high }
    }

    fn add(&mut self, other: &Self) {
        for axis in 0..D {
            self.sum[axis] += other.sum[axis];
            self.low[axis] = self.low[axis].min(other.low[axis]);
            self.high[axis] = self.high[axis].max(other.high[axis]);
        }
    }
}

/// The least and greatest of each coordinate.
fn bounds<const D: usize>(points: &[[f32; D]]) -> ([f32; D], [f32; D]) {
    let (mut low, mut high) = ([f32::INFINITY; D], [f32::NEG_INFINITY; D]);
    for point in points {
        for axis in 0..D {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    (low, high)
}

/// Puts D − 1 zeros between the lowest 24 bits of a number.
#[inline]
fn spread<const D: usize>(bits: u64) -> u64 {
    let steps: &[(u32, u64)] = match D {
        1 => &[],
        2 => &[
            (16, 0x0000_ffff_0000_ffff),
            (8, 0x00ff_00ff_00ff_00ff),
            (4, 0x0f0f_0f0f_0f0f_0f0f),
            (2, 0x3333_3333_3333_3333),
            (1, 0x5555_5555_5555_5555),
        ],
        _ => &[
            (32, 0x001f_0000_0000_ffff),
            (16, 0x001f_0000_ff00_00ff),
            (8, 0x100f_00f0_0f00_f00f),
            (4, 0x10c3_0c30_c30c_30c3),
            (2, 0x1249_2492_4924_9249),
        ],
    };
    steps.iter().fold(bits, |bits, (shift, mask)| (bits | bits << shift) & mask)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Points of which some are equal, and some very near each other.
    fn points<const D: usize>(count: usize, seed: u64) -> Vec<[f32; D]> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut all: Vec<[f32; D]> = (0..count).map(|_| [(); D].map(|()| random.random_range(-9.0..9.0))).collect();
        for index in 1..count {
            match random.random_range(0..6) {
                0 => all[index] = all[index / 2],
                1 => all[index] = all[index / 2].map(|value| value + random.random_range(-1e-4..1e-4)),
                _ => {}
            }
        }
        all
    }

    /// Σ q² (y − yⱼ) and Σ q over the other points, in f64.
    fn truth<const D: usize>(points: &[[f32; D]], own: usize) -> ([f64; D], f64) {
        let (mut force, mut sum) = ([0.0; D], 0.0);
        for (_, other) in points.iter().enumerate().filter(|(index, _)| *index != own) {
            let apart: Vec<f64> = points[own].iter().zip(other).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
            let q = 1.0 / (1.0 + apart.iter().map(|value| value * value).sum::<f64>());
            sum += q;
            force.iter_mut().zip(&apart).for_each(|(force, apart)| *force += q * q * apart);
        }
        (force, sum)
    }

    /// The largest error of forces and sums, by the largest force and sum.
    fn error<const D: usize>(points: &[[f32; D]], theta: f32) -> (f64, f64) {
        let mut tree = Tree::<D>::default();
        tree.rebuild(points, theta);
        let mut sorted = tree.order().to_vec();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..points.len() as u32));
        let (mut off, mut most) = ([0.0f64; 2], [1e-30f64; 2]);
        for start in (0..points.len()).step_by(4) {
            let own = start..points.len().min(start + 4);
            let mut at = [[0.0; 4]; D];
            for (axis, at) in at.iter_mut().enumerate() {
                *at = std::array::from_fn(|lane| tree.places()[own.end.min(start + lane + 1) - 1][axis]);
            }
            let ours = tree.repulsion(&at, own.clone());
            for lane in 0..own.len() {
                let (force, sum) = truth(points, tree.order()[start + lane] as usize);
                off[1] = off[1].max((f64::from(ours.sum[lane]) - sum).abs());
                most[1] = most[1].max(sum);
                for (ours, force) in ours.force.iter().zip(&force) {
                    off[0] = off[0].max((f64::from(ours[lane]) - force).abs());
                    most[0] = most[0].max(force.abs());
                }
            }
        }
        (off[0] / most[0], off[1] / most[1])
    }

    #[test]
    fn without_theta_the_sums_are_exact() {
        for count in [1, 2, 3, 8, 9, 50, 501] {
            let (force, sum) = error(&points::<2>(count, 1), 0.0);
            assert!(force < 1e-5 && sum < 1e-5, "{count} points: {force} {sum}");
            let (force, sum) = error(&points::<3>(count, 2), 0.0);
            assert!(force < 1e-5 && sum < 1e-5, "{count} points: {force} {sum}");
        }
    }

    #[test]
    fn with_theta_they_are_near() {
        let (force, sum) = error(&points::<2>(2000, 3), 0.5);
        assert!(force < 0.05 && sum < 0.03, "{force} {sum}");
        let (force, sum) = error(&points::<3>(2000, 4), 0.5);
        assert!(force < 0.05 && sum < 0.03, "{force} {sum}");
    }

    #[test]
    fn many_points_at_one_place_are_one() {
        let same = vec![[2.0, 3.0]; 1000];
        let mut tree = Tree::<2>::default();
        tree.rebuild(&same, 0.5);
        let ours = tree.repulsion(&[[2.0; 4], [3.0; 4]], 8..12);
        assert_eq!(ours.sum, [999.0; 4]);
        assert_eq!(ours.force, [[0.0; 4]; 2]);
        let elsewhere = tree.repulsion(&[[3.0], [3.0]], 0..0);
        assert_eq!((elsewhere.sum, elsewhere.force), ([500.0], [[250.0], [0.0]]));
    }

    #[test]
    fn any_numbers_make_a_tree() {
        let mut odd = points::<2>(100, 5);
        odd[3] = [f32::NAN, 1.0];
        odd[4] = [f32::INFINITY, f32::NEG_INFINITY];
        odd[5] = [f32::MAX, f32::MIN];
        let mut tree = Tree::<2>::default();
        tree.rebuild(&odd, 0.5);
        tree.repulsion(&[[0.0; 8]; 2], 0..8);
        tree.rebuild(&[], 0.5);
        assert_eq!(tree.repulsion(&[[0.0]; 2], 0..0).sum, [0.0]);
    }
}
