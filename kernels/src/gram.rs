//! Gram matrices of rows of channels: how much two channels are active together.

use std::array::from_fn;

use pulp::Arch;
use rayon::prelude::*;

use crate::product::{Epilogue, Packed, Product, ROWS, Rows};
use crate::rows_per_part;

/// Parts of the rows, whatever the threads are, so that no sum depends on them.
const PARTS: usize = 8;
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

/// Σ w f fᵀ over the rows f of `rows`, `[count, channels]`, with a weight w for each or 1: `out`, `[channels, channels]`.
pub fn gram(rows: &[f32], channels: usize, weights: Option<&[f32]>, out: &mut [f32]) {
    out.fill(0.0);
    let count = rows.len() / channels;
    let blocks = count.div_ceil(DEPTH);
    let parts = PARTS.min(blocks);
    let sums = (0..parts).into_par_iter().map(|part| {
        let mut sums = vec![0f32; out.len()];
        for block in part * blocks / parts..(part + 1) * blocks / parts {
            let (start, end) = (block * DEPTH, ((block + 1) * DEPTH).min(count));
            let weights = weights.map(|weights| &weights[start..end]);
            add_block(&rows[start * channels..end * channels], channels, weights, &mut sums);
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

/// Adds what some rows add on and above the diagonal.
fn add_block(rows: &[f32], channels: usize, weights: Option<&[f32]>, sums: &mut [f32]) {
    let depth = rows.len() / channels;
    // the rows' values channel by channel, not a power of two apart, which would share the same lines of the cache
    let line = DEPTH + TOGETHER;
    let mut left = vec![0f32; channels * line];
    let mut together = rows.chunks_exact(TOGETHER * channels);
    for (at, together) in together.by_ref().enumerate() {
        let rows: [&[f32]; TOGETHER] = from_fn(|row| &together[row * channels..][..channels]);
        for (channel, line) in left.chunks_exact_mut(line).enumerate() {
            line[at * TOGETHER..][..TOGETHER].copy_from_slice(&from_fn::<f32, TOGETHER, _>(|row| rows[row][channel]));
        }
    }
    let done = depth / TOGETHER * TOGETHER;
    for (at, row) in together.remainder().chunks_exact(channels).enumerate() {
        left.chunks_exact_mut(line).zip(row).for_each(|(line, value)| line[done + at] = *value);
    }
    if let Some(weights) = weights {
        for line in left.chunks_exact_mut(line) {
            line.iter_mut().zip(weights).for_each(|(left, weight)| *left *= weight);
        }
    }
    let starts: Vec<usize> = (0..channels).map(|channel| channel * line).collect();
    let targets: Vec<usize> = (0..channels).collect();
    let width = channels.div_ceil(GROUPS).next_multiple_of(COLUMNS);
    for column in (0..channels).step_by(width) {
        let end = (column + width).min(channels);
        let right = Packed::of_rows(depth, end - column, |row| &rows[row * channels..][column..end]);
        Arch::new().dispatch(Product {
            left: Rows { data: &left, starts: &starts[..end], parts: 1, length: depth },
            right: &right,
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

/// w S f for each row f of `rows`, `[count, channels]`, with a symmetric S `[channels, channels]`: the gradient of Σ S · G / 2
/// for the rows, where G is their [`gram`].
pub fn gradient(rows: &[f32], channels: usize, weights: Option<&[f32]>, slope: &[f32], out: &mut [f32]) {
    let right = Packed::of_rows(channels, channels, |row| &slope[row * channels..][..channels]);
    let per_part = rows_per_part(rows.len() / channels, GRADIENT_ROWS);
    let parts = out.par_chunks_mut(per_part * channels).zip(rows.par_chunks(per_part * channels)).enumerate();
    parts.for_each(|(part, (out, rows))| {
        let count = rows.len() / channels;
        let starts: Vec<usize> = (0..count).map(|row| row * channels).collect();
        let targets: Vec<usize> = (0..count).collect();
        Arch::new().dispatch(Product {
            left: Rows { data: rows, starts: &starts, parts: 1, length: channels },
            right: &right,
            targets: &targets,
            out: &mut *out,
            above: 0,
            stride: channels,
            offset: 0,
            padded: false,
            epilogue: Epilogue::default(),
        });
        if let Some(weights) = weights {
            for (row, weight) in out.chunks_exact_mut(channels).zip(&weights[part * per_part..]) {
                row.iter_mut().for_each(|value| *value *= weight);
            }
        }
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
                gram(&rows, channels, weights, &mut ours);
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
                gradient(&rows, channels, weights, &flat, &mut ours);
                assert_close(&ours, &truth, &format!("gradient, {count} rows of {channels}"));
            }
        }
    }
}
