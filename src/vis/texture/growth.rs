//! A texture that grows pixel by pixel from a patch of its sample.

use std::collections::VecDeque;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::matching::{Probe, Windows};

/// The side of the patch that it grows from.
const SEED: usize = 3;
/// The standard deviation of the weights is the window's side divided by this.
const SPREAD: f32 = 6.4;
/// How many pixels of the queue are looked at for those that can be found at the same time.
const AHEAD: usize = 64;

/// A texture in the making: which pixel of the sample each of its pixels is.
pub struct Growth {
    windows: Windows,
    /// Half of the window's side, rounded down.
    radius: usize,
    tolerance: f32,
    width: usize,
    height: usize,
    sources: Vec<Option<u32>>,
    /// Places in the window other than its middle with their weights, the heaviest first.
    places: Vec<((usize, usize), f32)>,
    /// The pixels at the rim, in the order in which they are found, each with a random number in [0, 1).
    queue: VecDeque<(usize, f64)>,
    random: ChaCha8Rng,
}

impl Growth {
    /// A texture of `width × height` pixels that begins with a random patch of the sample in its middle; `windows` are
    /// those of the sample with a side of `window` pixels, an odd number.
    pub fn new(windows: Windows, window: usize, tolerance: f32, (width, height): (usize, usize), seed: u64) -> Self {
        let radius = window / 2;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let sigma = window as f32 / SPREAD;
        let weight = |(row, column): (usize, usize)| {
            let square = |place: usize| place.abs_diff(radius).pow(2) as f32;
            (-(square(row) + square(column)) / (2.0 * sigma * sigma)).exp()
        };
        let all = (0..window).flat_map(|row| (0..window).map(move |column| (row, column)));
        let mut places: Vec<_> =
            all.filter(|place| *place != (radius, radius)).map(|place| (place, weight(place))).collect();
        places.sort_by(|a, b| b.1.total_cmp(&a.1));

        let mut sources = vec![None; width * height];
        let patch = random.random_range(0..windows.count());
        let side = SEED.min(window);
        let (top, left) = (height.saturating_sub(side) / 2, width.saturating_sub(side) / 2);
        for place in (0..side).flat_map(|row| (0..side).map(move |column| (row, column))) {
            let (row, column) = (top + place.0, left + place.1);
            if row < height && column < width {
                sources[row * width + column] = Some(windows.pixel(patch, place) as u32);
            }
        }
        Self { windows, radius, tolerance, width, height, sources, places, queue: VecDeque::new(), random }
    }

    /// Finds some more pixels; how many, 0 at the end.
    ///
    /// It is what finding one after the other gives: only those are found at the same time that do not see each other.
    pub fn advance(&mut self) -> usize {
        self.advance_among(AHEAD)
    }

    /// The same, where so many pixels of the queue are looked at.
    fn advance_among(&mut self, ahead: usize) -> usize {
        if self.queue.is_empty() {
            self.queue = self.rim();
        }
        let mut taken: Vec<(usize, f64)> = Vec::new();
        let mut seen: Vec<usize> = Vec::new();
        let mut postponed = VecDeque::new();
        for (pixel, number) in self.queue.drain(..ahead.min(self.queue.len())) {
            let apart = |a: usize, b: usize| {
                (a / self.width).abs_diff(b / self.width).max((a % self.width).abs_diff(b % self.width)) > self.radius
            };
            // nor may it come before one that it would have seen
            if seen.iter().all(|other| apart(*other, pixel)) {
                taken.push((pixel, number));
            } else {
                postponed.push_back((pixel, number));
            }
            seen.push(pixel);
        }
        postponed.append(&mut self.queue);
        self.queue = postponed;
        let found: Vec<u32> = taken.par_iter().map(|(pixel, number)| self.find(*pixel, *number)).collect();
        for ((pixel, _), source) in taken.iter().zip(found) {
            self.sources[*pixel] = Some(source);
        }
        taken.len()
    }

    /// Which pixel of the sample each pixel is, row by row; none of those that are still to be found.
    pub fn sources(&self) -> &[Option<u32>] {
        &self.sources
    }

    /// The pixel of the sample that a pixel becomes: that in the middle of one of the windows that are most like what
    /// is known around it.
    fn find(&self, pixel: usize, number: f64) -> u32 {
        let middle = (self.radius, self.radius);
        let probes: Vec<Probe> = self
            .places
            .iter()
            .filter_map(|&(place, weight)| {
                let source = self.around(pixel, place)?;
                Some(Probe { place, weight, color: self.windows.color(source as usize) })
            })
            .collect();
        // where the neighbours are from, it often goes on as here
        let nearest = self.places.iter().take(8).map(|(place, _)| *place);
        let hints = nearest.filter_map(|place| self.windows.having(self.around(pixel, place)? as usize, place));
        let near = self.windows.near(&probes, self.tolerance, hints, false);
        let chosen = near.get((number * near.len() as f64) as usize).or(near.last()).copied().unwrap_or_default();
        self.windows.pixel(chosen, middle) as u32
    }

    /// What is known at a place of the window around a pixel.
    fn around(&self, pixel: usize, (row, column): (usize, usize)) -> Option<u32> {
        let row = (pixel / self.width + row).checked_sub(self.radius).filter(|row| *row < self.height)?;
        let column = (pixel % self.width + column).checked_sub(self.radius).filter(|column| *column < self.width)?;
        self.sources.get(row * self.width + column).copied().flatten()
    }

    /// The unknown pixels that touch known ones, in random order, those that see most first.
    fn rim(&mut self) -> VecDeque<(usize, f64)> {
        let known = Sums::new(self.sources.iter().map(Option::is_some), self.width);
        let touches = |pixel: &usize| self.sources[*pixel].is_none() && known.around(*pixel, 1) > 0;
        let mut rim: Vec<usize> = (0..self.sources.len()).filter(touches).collect();
        rim.shuffle(&mut self.random);
        rim.sort_by_key(|pixel| std::cmp::Reverse(known.around(*pixel, self.radius)));
        rim.into_iter().map(|pixel| (pixel, self.random.random())).collect()
    }
}

/// How many pixels of each rectangle from the top left are known.
struct Sums {
    width: usize,
    height: usize,
    /// `(width + 1) × (height + 1)` numbers.
    sums: Vec<u32>,
}

impl Sums {
    fn new(known: impl ExactSizeIterator<Item = bool>, width: usize) -> Self {
        let height = known.len() / width;
        let mut sums = vec![0u32; (width + 1) * (height + 1)];
        let mut in_row = 0;
        for (pixel, known) in known.enumerate() {
            let (row, column) = (pixel / width, pixel % width);
            in_row = if column == 0 { 0 } else { in_row } + u32::from(known);
            sums[(row + 1) * (width + 1) + column + 1] = sums[row * (width + 1) + column + 1] + in_row;
        }
        Self { width, height, sums }
    }

    /// How many of the pixels are known that are at most `radius` rows and columns away from one.
    fn around(&self, pixel: usize, radius: usize) -> u32 {
        let (row, column) = (pixel / self.width, pixel % self.width);
        let (top, left) = (row.saturating_sub(radius), column.saturating_sub(radius));
        let (bottom, right) = ((row + radius + 1).min(self.height), (column + radius + 1).min(self.width));
        let at = |row: usize, column: usize| self.sums[row * (self.width + 1) + column];
        at(bottom, right) + at(top, left) - at(top, right) - at(bottom, left)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// A sample of random colours, some of them often.
    fn sample(seed: u64, width: usize, height: usize) -> [Vec<f32>; 3] {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        [(); 3].map(|()| (0..width * height).map(|_| random.random_range(0..3) as f32 / 2.0).collect())
    }

    fn growth(planes: &[Vec<f32>; 3], width: usize, window: usize, size: (usize, usize)) -> Growth {
        let windows = Windows::new([&planes[0], &planes[1], &planes[2]], width, (window, window)).unwrap();
        Growth::new(windows, window, 0.1, size, 4)
    }

    /// Grows to the end, and counts the steps.
    fn grown(mut growth: Growth, ahead: usize) -> (Vec<u32>, usize) {
        let steps = std::iter::repeat_with(|| growth.advance_among(ahead)).take_while(|found| *found > 0).count();
        (growth.sources().iter().map(|source| source.unwrap()).collect(), steps)
    }

    #[test]
    fn many_at_a_time_are_as_one_after_the_other() {
        let planes = sample(1, 14, 11);
        let (one, steps) = grown(growth(&planes, 14, 5, (40, 30)), 1);
        assert_eq!(steps, 40 * 30 - 9);
        let (many, fewer) = grown(growth(&planes, 14, 5, (40, 30)), AHEAD);
        assert_eq!(one, many);
        assert!(fewer < steps / 3, "{fewer} of {steps}");
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let planes = sample(2, 16, 16);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| grown(growth(&planes, 16, 7, (31, 23)), AHEAD).0)
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(5));
    }

    /// The definition: of the windows of the sample, those whose weighted distance is at most 1.1 times the least.
    #[test]
    fn each_pixel_is_the_middle_of_a_window_that_is_near() {
        let planes = sample(3, 9, 10);
        let mut growth = growth(&planes, 9, 3, (12, 12));
        loop {
            let before = growth.sources.clone();
            if growth.advance_among(1) == 0 {
                break;
            }
            let pixel = (0..144).find(|pixel| before[*pixel] != growth.sources[*pixel]).unwrap();
            let distance = |middle: usize| -> f64 {
                let mut sum = 0f64;
                for (row, column) in (0..3).flat_map(|row| (0..3).map(move |column| (row, column))) {
                    let (y, x) = ((pixel / 12 + row).wrapping_sub(1), (pixel % 12 + column).wrapping_sub(1));
                    if y >= 12 || x >= 12 {
                        continue;
                    }
                    let Some(known) = before[y * 12 + x] else { continue };
                    let other = middle + row * 9 + column - 9 - 1;
                    let square = |plane: &Vec<f32>| f64::from(plane[known as usize] - plane[other]).powi(2);
                    let apart = (row.abs_diff(1).pow(2) + column.abs_diff(1).pow(2)) as f64;
                    let weight = (-apart / (2.0 * (3.0 / 6.4f64).powi(2))).exp();
                    sum += weight * planes.iter().map(square).sum::<f64>();
                }
                sum
            };
            let inside = (0..90).filter(|at| (1..8).contains(&(at % 9)) && (1..9).contains(&(at / 9)));
            let least = inside.map(distance).fold(f64::INFINITY, f64::min);
            let own = distance(growth.sources[pixel].unwrap() as usize);
            assert!(own <= 1.1 * least + 1e-6, "{own} and {least}");
        }
    }

    #[test]
    fn small_textures_are_part_of_the_patch() {
        let planes = sample(5, 8, 8);
        for size in [(1, 1), (2, 1), (3, 3), (1, 7)] {
            let (sources, _) = grown(growth(&planes, 8, 3, size), AHEAD);
            assert_eq!(sources.len(), size.0 * size.1);
            assert!(sources.iter().all(|source| *source < 64));
        }
    }
}
