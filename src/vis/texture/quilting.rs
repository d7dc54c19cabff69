//! A texture that is sewn together from blocks of its sample.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cut::cheapest_path;
use super::matching::{Probe, Windows};

/// Blocks of the sample that are tried first: what they are like bounds what is looked for.
const TRIED: usize = 32;

/// A texture in the making: which pixel of the sample each of its pixels is.
pub struct Quilting {
    windows: Windows,
    block: usize,
    overlap: usize,
    tolerance: f32,
    width: usize,
    height: usize,
    sources: Vec<Option<u32>>,
    /// Blocks that are laid.
    laid: usize,
    random: ChaCha8Rng,
}

impl Quilting {
    /// A texture of `width × height` pixels; `windows` are those of the sample with a side of `block` pixels, which
    /// overlap by `overlap`, fewer than `block`.
    pub fn new(
        windows: Windows,
        (block, overlap): (usize, usize),
        tolerance: f32,
        (width, height): (usize, usize),
        seed: u64,
    ) -> Self {
        let (sources, random) = (vec![None; width * height], ChaCha8Rng::seed_from_u64(seed));
        Self { windows, block, overlap, tolerance, width, height, sources, laid: 0, random }
    }

    /// How many blocks it takes.
    pub fn blocks(&self) -> usize {
        self.along(self.width) * self.along(self.height)
    }

    /// How many blocks it takes along a side.
    fn along(&self, side: usize) -> usize {
        side.saturating_sub(self.overlap).div_ceil(self.block - self.overlap).max(1)
    }

    /// Which pixel of the sample each pixel is, row by row; none of those that are still to be laid.
    pub fn sources(&self) -> &[Option<u32>] {
        &self.sources
    }

    /// Lays the next block, from left to right and from top to bottom; false at the end.
    pub fn advance(&mut self) -> bool {
        if self.laid == self.blocks() {
            return false;
        }
        let columns = self.along(self.width);
        let step = self.block - self.overlap;
        let (top, left) = (self.laid / columns * step, self.laid % columns * step);
        let block = self.choose(top, left);
        self.sew(block, top, left);
        self.laid += 1;
        true
    }

    /// The places of a block whose first pixel is at (`top`, `left`), with the pixels of the texture: those that it
    /// has.
    fn places(&self, top: usize, left: usize) -> impl Iterator<Item = ((usize, usize), usize)> + use<> {
        let (rows, columns) = (self.block.min(self.height - top), self.block.min(self.width - left));
        let width = self.width;
        (0..rows)
            .flat_map(move |row| (0..columns).map(move |column| ((row, column), (top + row) * width + left + column)))
    }

    /// A block of the sample that agrees with what it overlaps.
    fn choose(&mut self, top: usize, left: usize) -> usize {
        let probes: Vec<Probe> = self
            .places(top, left)
            .filter_map(|(place, pixel)| {
                let color = self.windows.color(self.sources[pixel]? as usize);
                Some(Probe { place, weight: 1.0, color })
            })
            .collect();
        if probes.is_empty() {
            return self.random.random_range(0..self.windows.count());
        }
        let probes = scattered(&probes);
        let tried: Vec<usize> = (0..TRIED).map(|_| self.random.random_range(0..self.windows.count())).collect();
        let near = self.windows.near(&probes, self.tolerance, tried.into_iter(), true);
        near.get(self.random.random_range(0..near.len().max(1))).copied().unwrap_or_default()
    }

    /// Puts a block of the sample where it belongs, cut along where it differs least from what was there.
    fn sew(&mut self, block: usize, top: usize, left: usize) {
        let difference = |place: (usize, usize), pixel: usize| {
            let old = self.windows.color(self.sources[pixel].unwrap_or_default() as usize);
            let new = self.windows.color(self.windows.pixel(block, place));
            old.iter().zip(new).map(|(old, new)| (old - new).powi(2)).sum::<f32>()
        };
        let depth = |side: usize, start: usize| if start == 0 { 0 } else { self.overlap.min(side - start) };
        let (across, down) = (depth(self.width, left), depth(self.height, top));
        let in_left = self.places(top, left).filter(|((_, column), _)| *column < across);
        let costs: Vec<f32> = in_left.map(|(place, pixel)| difference(place, pixel)).collect();
        let from_left = if across > 0 { cheapest_path(&costs, across) } else { Vec::new() };
        // the upper overlap on its side: a row for each of its columns
        let mut in_top: Vec<_> = self.places(top, left).filter(|((row, _), _)| *row < down).collect();
        in_top.sort_by_key(|((row, column), _)| (*column, *row));
        let costs: Vec<f32> = in_top.into_iter().map(|(place, pixel)| difference(place, pixel)).collect();
        let from_top = if down > 0 { cheapest_path(&costs, down) } else { Vec::new() };
        for (place, pixel) in self.places(top, left) {
            let behind = |cut: &[usize], along: usize, across: usize| cut.get(along).is_none_or(|cut| across >= *cut);
            if behind(&from_left, place.0, place.1) && behind(&from_top, place.1, place.0) {
                self.sources[pixel] = Some(self.windows.pixel(block, place) as u32);
            }
        }
    }
}

/// The same things in an order in which neighbours lie far apart, so that the first of them tell most.
fn scattered<T: Copy>(items: &[T]) -> Vec<T> {
    let count = items.len();
    // about the golden section of all, and without a common divisor, so that each is met once
    let divisor = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let step = (count * 5 / 8..).find(|step| divisor(*step, count) == 1).unwrap_or(1);
    (0..count).filter_map(|index| items.get(index * step % count).copied()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn quilting(planes: &[Vec<f32>; 3], width: usize, blocks: (usize, usize), size: (usize, usize)) -> Quilting {
        let windows = Windows::new([&planes[0], &planes[1], &planes[2]], width, (blocks.0, blocks.0)).unwrap();
        Quilting::new(windows, blocks, 0.1, size, 7)
    }

    fn sample(width: usize, height: usize) -> [Vec<f32>; 3] {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        [(); 3].map(|()| (0..width * height).map(|_| random.random::<f32>()).collect())
    }

    fn sewn(mut quilting: Quilting) -> Vec<u32> {
        let count = std::iter::repeat_with(|| quilting.advance()).take_while(|more| *more).count();
        assert_eq!(count, quilting.blocks());
        quilting.sources().iter().map(|source| source.unwrap()).collect()
    }

    #[test]
    fn blocks_stand_side_by_side_without_an_overlap() {
        let sources = sewn(quilting(&sample(20, 16), 20, (6, 0), (24, 14)));
        for (at, source) in sources.iter().enumerate() {
            let (row, column) = (at / 24, at % 24);
            let first = sources[row / 6 * 6 * 24 + column / 6 * 6];
            assert_eq!(*source as usize, first as usize + row % 6 * 20 + column % 6);
        }
    }

    #[test]
    fn what_no_other_block_reaches_is_one_block() {
        let (step, overlap, width, height) = (7, 3, 45, 31);
        let sources = sewn(quilting(&sample(30, 25), 30, (step + overlap, overlap), (width, height)));
        let own = |at: usize, side: usize| {
            let behind = at >= overlap && at % step < overlap;
            !behind && at < side
        };
        for row in (0..height).filter(|row| own(*row, height)) {
            for column in (0..width).filter(|column| own(*column, width)) {
                // the middle of the same block
                let (y, x) = (row / step * step + overlap, column / step * step + overlap);
                let Some(middle) = (y < height && x < width).then(|| sources[y * width + x] as usize) else { continue };
                assert_eq!(sources[row * width + column] as usize + (y * 30 + x), middle + (row * 30 + column));
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let planes = sample(40, 33);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| sewn(quilting(&planes, 40, (9, 2), (70, 50))))
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(5));
    }

    #[test]
    fn every_size_is_filled() {
        let planes = sample(12, 12);
        for (blocks, size) in [((1, 0), (5, 4)), ((12, 11), (14, 13)), ((4, 1), (1, 1)), ((5, 4), (3, 20))] {
            let sources = sewn(quilting(&planes, 12, blocks, size));
            assert_eq!(sources.len(), size.0 * size.1);
            assert!(sources.iter().all(|source| *source < 144));
        }
    }

    #[test]
    fn scattering_keeps_all() {
        for count in 0..200 {
            let items: Vec<usize> = (0..count).collect();
            let mut scattered = scattered(&items);
            scattered.sort_unstable();
            assert_eq!(scattered, items);
        }
    }
}
