//! Gram matrices of rows of channels: how much two channels are active together.

use std::array::from_fn;
use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use crate::product::{Epilogue, Packed, Product, ROWS, Rows};
use crate::{Target, View, rows_per_part};

/// Parts of the rows at most, whatever the threads are, so that no sum depends on them.
const PARTS: usize = 8;
/// Blocks of rows in a part at least: a part has sums of its own, which are added up.
const BLOCKS: usize = 2;
/// Rows that are multiplied before the sums are loaded again.
const DEPTH: usize = 128;
/// Rows whose values are laid side by side together.
const TOGETHER: usize = 8;
/// Groups of columns: of each, the part on and above the diagonal is computed.
const GROUPS: usize = 4;
/// Columns that a group should be a multiple of.
const COLUMNS: usize = 16;
/// Rows of a gradient in one part of the work at most.
const GRADIENT_ROWS: usize = 20 * ROWS;

/// The places of a rectangle of one image's map, line by line: rows of channels.
#[derive(Clone, Debug)]
pub struct Rectangle<'a> {
    /// The map.
    pub view: View<'a>,
    /// Channels of each place.
    pub channels: usize,
    /// Places in a line of the map.
    pub width: usize,
    /// Which lines.
    pub lines: Range<usize>,
    /// Which places of each line.
    pub columns: Range<usize>,
}

impl<'a> Rectangle<'a> {
    /// How many places there are.
    pub fn count(&self) -> usize {
        self.lines.len() * self.columns.len()
    }

    /// Where in the map a place is.
    fn place(&self, index: usize) -> usize {
        let (line, column) = (index / self.columns.len(), index % self.columns.len());
        (self.lines.start + line) * self.width + self.columns.start + column
    }

    /// The channels of each place.
    pub fn rows(&self) -> impl Iterator<Item = &'a [f32]> {
        (0..self.count()).map(|index| self.view.row(self.place(index), self.channels))
    }
}

/// Σ w f fᵀ over the rows f of a rectangle, with a weight w for each or 1: `out`, `[channels, channels]`.
pub fn gram(rows: &Rectangle<'_>, weights: Option<&[f32]>, out: &mut [f32]) {
    out.fill(0.0);
    let (count, channels) = (rows.count(), rows.channels);
    let blocks = count.div_ceil(DEPTH);
    let parts = (blocks / BLOCKS).clamp(1, PARTS);
    let sums = (0..parts).into_par_iter().map(|part| {
        let mut sums = vec![0f32; out.len()];
        let mut space = Space::default();
        for block in part * blocks / parts..(part + 1) * blocks / parts {
            space.add_block(rows, block * DEPTH..((block + 1) * DEPTH).min(count), weights, &mut sums);
        }
        sums
    });
    for sums in sums.collect::<Vec<_>>() {
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
    }
    for row in 1..channels {
        for column in 0..row {
            out[row * channels + column] = out[column * channels + row];
        }
    }
}

/// What is written anew for each block of rows.
#[derive(Default)]
struct Space {
    left: Vec<f32>,
    right: Packed,
}

impl Space {
    /// Adds what some rows add on and above the diagonal.
    fn add_block(&mut self, of: &Rectangle<'_>, range: Range<usize>, weights: Option<&[f32]>, sums: &mut [f32]) {
        let (channels, depth) = (of.channels, range.len());
        let row = |at: usize| of.view.row(of.place(range.start + at), channels);
        // the rows' values channel by channel, not a power of two apart, which would share the same lines of the cache
        let line = DEPTH + TOGETHER;
        let left = &mut self.left;
        left.resize(channels * line, 0.0);
        let done = depth / TOGETHER * TOGETHER;
        for first in (0..done).step_by(TOGETHER) {
            let rows: [&[f32]; TOGETHER] = from_fn(|i| row(first + i));
            for (channel, line) in left.chunks_exact_mut(line).enumerate() {
                line[first..][..TOGETHER].copy_from_slice(&from_fn::<f32, TOGETHER, _>(|i| rows[i][channel]));
            }
        }
        for at in done..depth {
            left.chunks_exact_mut(line).zip(row(at)).for_each(|(line, value)| line[at] = *value);
        }
        if let Some(weights) = weights {
            for line in left.chunks_exact_mut(line) {
                line.iter_mut().zip(&weights[range.clone()]).for_each(|(left, weight)| *left *= weight);
            }
        }
        let starts: Vec<usize> = (0..channels).map(|channel| channel * line).collect();
        let targets: Vec<usize> = (0..channels).collect();
        let width = channels.div_ceil(GROUPS).next_multiple_of(COLUMNS);
        for column in (0..channels).step_by(width) {
            let end = (column + width).min(channels);
            self.right.pack_rows(depth, end - column, |at| &row(at)[column..end]);
            Arch::new().dispatch(Product {
                left: Rows { data: left, starts: &starts[..end], parts: 1, length: depth },
                right: &self.right,
                targets: &targets[..end],
                out: sums,
                above: 0,
                stride: channels,
                offset: column,
                padded: false,
                epilogue: Epilogue { accumulate: true, ..Epilogue::default() },
            });
        }
    }
}

/// w S f for each row f of a rectangle, with a symmetric S `[channels, channels]`, zero elsewhere in `out`, which is as large as
/// the rectangle's map: the gradient of Σ S · G / 2 for the map, where G is the rectangle's [`gram`]. `accumulate` adds it to
/// what is there.
pub fn gradient(rows: &Rectangle<'_>, weights: Option<&[f32]>, slope: &[f32], out: Target<'_>, accumulate: bool) {
    let (channels, width) = (rows.channels, rows.width);
    let mut right = Packed::default();
    right.pack_rows(channels, channels, |row| &slope[row * channels..][..channels]);
    let Target { data, stride, offset } = out;
    let is_whole = rows.columns.len() == width && rows.count() * stride == data.len();
    let lines = rows_per_part(data.len() / stride, GRADIENT_ROWS).div_ceil(width);
    data.par_chunks_mut(lines * width * stride).enumerate().for_each(|(part, out)| {
        if !accumulate && !is_whole {
            out.chunks_exact_mut(stride).for_each(|row| row[offset..][..channels].fill(0.0));
        }
        let first = part * lines;
        let all = rows.columns.len();
        let own = [first, first + out.len() / (width * stride)]
            .map(|line| line.clamp(rows.lines.start, rows.lines.end) - rows.lines.start);
        let indices = own[0] * all..own[1] * all;
        let targets: Vec<usize> = indices.clone().map(|index| rows.place(index)).collect();
        let weighted: Option<Vec<f32>> = weights.map(|weights| {
            let row = |(target, weight): (&usize, &f32)| {
                let weight = *weight;
                rows.view.row(*target, channels).iter().map(move |value| weight * value)
            };
            targets.iter().zip(&weights[indices.clone()]).flat_map(row).collect()
        });
        let starts: Vec<usize> = match weighted {
            Some(_) => (0..targets.len()).map(|row| row * channels).collect(),
            None => targets.iter().map(|target| target * rows.view.stride + rows.view.offset).collect(),
        };
        Arch::new().dispatch(Product {
            left: Rows {
                data: weighted.as_deref().unwrap_or(rows.view.data),
                starts: &starts,
                parts: 1,
                length: channels,
            },
            right: &right,
            targets: &targets,
            out,
            above: first * width,
            stride,
            offset,
            padded: false,
            epilogue: Epilogue { accumulate: accumulate || !is_whole, ..Epilogue::default() },
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn assert_close(ours: &[f32], truth: &[f64], what: &str) {
        let largest = truth.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        for (ours, truth) in ours.iter().zip(truth) {
            assert!((f64::from(*ours) - truth).abs() < 2e-6 * largest.max(1e-9), "{what}: {ours} for {truth}");
        }
    }

    /// Both from their definitions, with and without weights, for counts and channels that fill nothing evenly.
    #[test]
    fn they_are_what_their_definitions_say() {
        for (count, channels) in [(1, 1), (5, 3), (127, 16), (130, 70), (1000, 33), (2000, 64)] {
            let (rows, weights) = (numbers(count * channels, 1), numbers(count, 2));
            for weights in [None, Some(&weights[..])] {
                let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
                let at = |row: usize, channel: usize| f64::from(rows[row * channels + channel]);
                let mut truth = vec![0f64; channels * channels];
                for row in 0..count {
                    for a in 0..channels {
                        (0..channels).for_each(|b| truth[a * channels + b] += weight(row) * at(row, a) * at(row, b));
                    }
                }
                let mut ours = vec![7f32; channels * channels];
                let view = View { data: &rows, stride: channels, offset: 0 };
                let all = Rectangle { view, channels, width: count, lines: 0..1, columns: 0..count };
                gram(&all, weights, &mut ours);
                assert_close(&ours, &truth, &format!("{count} rows of {channels}"));

                let slope = numbers(channels * channels, 3);
                let slope = |a: usize, b: usize| slope[a.min(b) * channels + a.max(b)];
                let flat: Vec<f32> = (0..channels * channels).map(|i| slope(i / channels, i % channels)).collect();
                let mut truth = vec![0f64; rows.len()];
                for row in 0..count {
                    for a in 0..channels {
                        let sum: f64 = (0..channels).map(|b| f64::from(slope(a, b)) * at(row, b)).sum();
                        truth[row * channels + a] = weight(row) * sum;
                    }
                }
                let mut ours = vec![7f32; rows.len()];
                gradient(&all, weights, &flat, Target { data: &mut ours, stride: channels, offset: 0 }, false);
                assert_close(&ours, &truth, &format!("gradient, {count} rows of {channels}"));
            }
        }
    }

    /// Of a part of a map whose channels are a part of wider rows: as if they were cut out, and nothing else is touched.
    #[test]
    fn a_rectangle_is_like_its_rows() {
        let (height, width, stride, offset, channels) = (9, 70, 30, 5, 19);
        let (map, there) = (numbers((height * width + 1) * stride, 1), numbers(height * width * stride, 2));
        let slope = vec![0.5f32; channels * channels];
        for (lines, columns) in [(0..9, 0..70), (2..7, 3..61), (4..5, 69..70), (3..3, 0..70)] {
            let view = View { data: &map, stride, offset };
            let rectangle = Rectangle { view, channels, width, lines: lines.clone(), columns: columns.clone() };
            let rows: Vec<f32> = rectangle.rows().flatten().copied().collect();
            let count = rectangle.count();
            assert_eq!(rows.len(), count * channels);
            let weights = numbers(count, 3);
            let view = View { data: &rows, stride: channels, offset: 0 };
            let alone = Rectangle { view, channels, width: count, lines: 0..1, columns: 0..count };
            let (mut ours, mut truth) = (vec![0f32; channels * channels], vec![0f32; channels * channels]);
            gram(&rectangle, Some(&weights), &mut ours);
            gram(&alone, Some(&weights), &mut truth);
            assert_eq!(ours, truth);
            let mut below = vec![0f32; rows.len()];
            if count > 0 {
                let out = Target { data: &mut below, stride: channels, offset: 0 };
                gradient(&alone, Some(&weights), &slope, out, false);
            }
            for accumulate in [false, true] {
                let mut ours = there.clone();
                let out = Target { data: &mut ours, stride, offset };
                gradient(&rectangle, Some(&weights), &slope, out, accumulate);
                let mut below = below.chunks_exact(channels);
                for (at, (ours, there)) in ours.chunks_exact(stride).zip(there.chunks_exact(stride)).enumerate() {
                    let inside = lines.contains(&(at / width)) && columns.contains(&(at % width));
                    let below = if inside { below.next().unwrap_or_default() } else { &[0.0; 19] };
                    for (channel, (ours, there)) in ours.iter().zip(there).enumerate() {
                        let Some(below) = channel.checked_sub(offset).and_then(|channel| below.get(channel)) else {
                            assert_eq!(ours, there);
                            continue;
                        };
                        let truth = if accumulate { there + below } else { *below };
                        assert!((ours - truth).abs() < 1e-5 * truth.abs().max(1.0), "{ours} for {truth}");
                    }
                }
            }
        }
    }
}
