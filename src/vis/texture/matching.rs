//! Which windows of a sample are like a given one: the search that texture synthesis from samples stands on.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use rayon::prelude::*;

/// Windows that are compared side by side, in vectors.
const LANES: usize = 16;
/// After so many pixels it is asked whether any of them can still be near.
const PATIENCE: usize = 8;
/// Rows of windows that a thread searches at once.
const ROWS: usize = 4;

/// The windows of one size that lie wholly inside a sample, numbered row by row from the top left.
pub struct Windows {
    /// Red, green and blue, with some zeros behind each row, so that the last windows of a row can be read in vectors.
    planes: [Vec<f32>; 3],
    /// Numbers from one row of a plane to the next.
    stride: usize,
    /// Width of the sample.
    width: usize,
    /// Windows beside each other, and above each other.
    columns: usize,
    rows: usize,
}

/// A pixel that a window is wanted to have.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its place in the window: row and column.
    pub place: (usize, usize),
    /// How much it counts.
    pub weight: f32,
    /// The colour that is wanted there.
    pub color: [f32; 3],
}

/// A probe, and how far its place lies behind the window's first pixel.
struct Shifted {
    shift: usize,
    weight: f32,
    color: [f32; 3],
}

impl Windows {
    /// The windows of `size` (width, height) in a sample of `width` columns; none if the sample is smaller.
    pub fn new(channels: [&[f32]; 3], width: usize, size: (usize, usize)) -> Option<Self> {
        let height = channels[0].len().checked_div(width)?;
        let columns = (width + 1).checked_sub(size.0).filter(|columns| *columns > 0)?;
        let rows = (height + 1).checked_sub(size.1).filter(|rows| *rows > 0)?;
        let stride = columns.next_multiple_of(LANES) + size.0;
        let padded = |plane: &[f32]| {
            let row = |row: &[f32]| row.iter().copied().chain(std::iter::repeat_n(0.0, stride - width)).collect();
            plane.chunks_exact(width).flat_map::<Vec<f32>, _>(row).chain(std::iter::repeat_n(0.0, stride)).collect()
        };
        Some(Self { planes: channels.map(padded), stride, width, columns, rows })
    }

    /// How many windows there are.
    pub fn count(&self) -> usize {
        self.rows * self.columns
    }

    /// Which pixel of the sample lies at a place (row, column) of a window.
    pub fn pixel(&self, window: usize, place: (usize, usize)) -> usize {
        (window / self.columns + place.0) * self.width + window % self.columns + place.1
    }

    /// The window that has a pixel of the sample at a place (row, column), if it lies inside.
    pub fn having(&self, pixel: usize, place: (usize, usize)) -> Option<usize> {
        let row = (pixel / self.width).checked_sub(place.0).filter(|row| *row < self.rows)?;
        let column = (pixel % self.width).checked_sub(place.1).filter(|column| *column < self.columns)?;
        Some(row * self.columns + column)
    }

    /// The colour of a pixel of the sample.
    pub fn color(&self, pixel: usize) -> [f32; 3] {
        let at = pixel / self.width * self.stride + pixel % self.width;
        [0, 1, 2].map(|channel| self.planes[channel][at])
    }

    /// The windows whose squared distance from the probes is at most 1 + `tolerance` times the least one, in ascending
    /// order. `hints` are windows that may be near: the better they are, the sooner the others are seen to be farther,
    /// which is all they change.
    ///
    /// With `shared`, all threads search; what they find does not depend on how many there are.
    pub fn near(
        &self,
        probes: &[Probe],
        tolerance: f32,
        hints: impl Iterator<Item = usize>,
        shared: bool,
    ) -> Vec<usize> {
        let shifted = |probe: &Probe| Shifted {
            shift: probe.place.0 * self.stride + probe.place.1,
            weight: probe.weight,
            color: probe.color,
        };
        let probes: Vec<Shifted> = probes.iter().map(shifted).collect();
        let factor = 1.0 + tolerance;
        let least = Least::new();
        for hint in hints {
            let at = hint / self.columns * self.stride + hint % self.columns;
            if let Some(distances) = self.distances::<1>(&probes, at, least.get() * factor) {
                least.lower(distances[0]);
            }
        }
        let search = |rows: Range<usize>| self.search(rows, &probes, factor, &least);
        let mut found = if shared {
            let parts: Vec<_> = (0..self.rows).step_by(ROWS).collect();
            let part = |start: usize| search(start..self.rows.min(start + ROWS));
            parts.into_par_iter().flat_map_iter(part).collect()
        } else {
            search(0..self.rows)
        };
        let limit = least.get() * factor;
        found.retain(|(_, distance)| *distance <= limit);
        found.into_iter().map(|(window, _)| window).collect()
    }

    /// The windows of some rows that are near enough as far as is known by then, with their distances.
    fn search(&self, rows: Range<usize>, probes: &[Shifted], factor: f32, least: &Least) -> Vec<(usize, f32)> {
        let mut found = Vec::new();
        for row in rows {
            for column in (0..self.columns).step_by(LANES) {
                let limit = least.get() * factor;
                let Some(distances) = self.distances::<LANES>(probes, row * self.stride + column, limit) else {
                    continue;
                };
                let first = row * self.columns + column;
                for (lane, distance) in distances.into_iter().enumerate().take(self.columns - column) {
                    if distance <= limit {
                        least.lower(distance);
                        found.push((first + lane, distance));
                    }
                }
            }
        }
        found
    }

    /// The squared distances of windows beside each other, the first of which begins at `at`; nothing if all are above
    /// `limit`.
    ///
    /// Each is the same sum in the same order wherever it is computed.
    fn distances<const N: usize>(&self, probes: &[Shifted], at: usize, limit: f32) -> Option<[f32; N]> {
        let mut sums = [0f32; N];
        for group in probes.chunks(PATIENCE) {
            for probe in group {
                let read = |channel: usize| self.planes[channel].get(at + probe.shift..)?.first_chunk::<N>();
                let (red, green, blue) = (read(0)?, read(1)?, read(2)?);
                let [r, g, b] = probe.color;
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let (r, g, b) = (red[lane] - r, green[lane] - g, blue[lane] - b);
                    *sum += probe.weight * (r * r + g * g + b * b);
                }
            }
            if sums.iter().all(|sum| *sum > limit) {
                return None;
            }
        }
        Some(sums)
    }
}

/// The least distance that any thread has found.
struct Least(AtomicU32);

impl Least {
    fn new() -> Self {
        Self(AtomicU32::new(f32::INFINITY.to_bits()))
    }

    fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Numbers that are not negative are in the order of their bits.
    fn lower(&self, distance: f32) {
        self.0.fetch_min(distance.to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn planes(random: &mut ChaCha8Rng, width: usize, height: usize) -> [Vec<f32>; 3] {
        // few values, so that distances are often equal
        [(); 3].map(|()| (0..width * height).map(|_| random.random_range(0..4) as f32 / 4.0).collect())
    }

    #[test]
    fn the_search_finds_what_comparing_all_windows_finds() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..300 {
            let (width, height) = (random.random_range(1..=40usize), random.random_range(1..=20usize));
            let size = (random.random_range(1..=width), random.random_range(1..=height));
            let planes = planes(&mut random, width, height);
            let windows = Windows::new([&planes[0], &planes[1], &planes[2]], width, size).unwrap();
            let (columns, rows) = (width - size.0 + 1, height - size.1 + 1);
            assert_eq!(windows.count(), columns * rows);
            let probes: Vec<Probe> = (0..random.random_range(1..=30))
                .map(|_| Probe {
                    place: (random.random_range(0..size.1), random.random_range(0..size.0)),
                    weight: random.random_range(1..=3) as f32,
                    color: [(); 3].map(|()| random.random_range(0..4) as f32 / 4.0),
                })
                .collect();
            let tolerance = random.random_range(0..=2) as f32 / 10.0;
            let distance = |window: usize| -> f32 {
                let one = |probe: &Probe| {
                    let at = (window / columns + probe.place.0) * width + window % columns + probe.place.1;
                    assert_eq!(windows.pixel(window, probe.place), at);
                    assert_eq!(windows.having(at, probe.place), Some(window));
                    assert_eq!(windows.color(at), [planes[0][at], planes[1][at], planes[2][at]]);
                    let square = |channel: usize| (planes[channel][at] - probe.color[channel]).powi(2);
                    probe.weight * (square(0) + square(1) + square(2))
                };
                probes.iter().map(one).sum()
            };
            let all: Vec<(usize, f32)> = (0..columns * rows).map(|window| (window, distance(window))).collect();
            let least = all.iter().map(|(_, distance)| *distance).fold(f32::INFINITY, f32::min);
            let near = |(window, distance): &(usize, f32)| (*distance <= least * (1.0 + tolerance)).then_some(*window);
            let truth: Vec<usize> = all.iter().filter_map(near).collect();
            let hints = || (0..3).map(|hint| hint * 7 % (columns * rows));
            assert_eq!(windows.near(&probes, tolerance, hints(), false), truth);
            assert_eq!(windows.near(&probes, tolerance, std::iter::empty(), true), truth);
        }
    }

    #[test]
    fn windows_outside_the_sample_are_none() {
        let plane = vec![0.0; 12];
        let windows = |size| Windows::new([&plane; 3].map(Vec::as_slice), 4, size);
        assert!(windows((5, 3)).is_none() && windows((4, 4)).is_none());
        let windows = windows((3, 2)).unwrap();
        assert_eq!(windows.count(), 4);
        assert_eq!(windows.having(0, (0, 0)), Some(0));
        assert_eq!(windows.having(11, (1, 2)), Some(3));
        assert_eq!(windows.having(11, (0, 0)), None);
        assert_eq!(windows.having(0, (1, 0)), None);
    }
}
