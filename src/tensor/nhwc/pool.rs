//! Pooling and its gradients.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::elementwise::Finished;
use super::product::{Finish, load, store};
use super::{Maps, Stop, Target, View, Window, rows_per_part};
use crate::tensor::avg_pool2d::Windows;

/// Rows of one part of the work at most.
const ROWS: usize = 384;

/// The largest value of each window. Every window must hold a pixel.
pub(crate) fn max(window: &Window, x: View<'_>, channels: usize, out: Target<'_>, stop: Stop<'_>) {
    let Target { data, stride, offset } = out;
    let step = rows_per_part(window.output.rows(), ROWS);
    data.par_chunks_mut(step * stride).enumerate().for_each(|(i, data)| {
        if !stop() {
            let out = Target { data, stride, offset };
            Arch::new().dispatch(Max { window, x, channels, out, above: i * step });
        }
    });
}

/// Where the pixels of the window of an output pixel begin, row by row.
fn pixels(window: &Window, x: View<'_>, pixel: usize, starts: &mut Vec<usize>) {
    let Maps { height, width, .. } = window.output;
    let (image, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
    starts.clear();
    for ky in 0..window.kernel[0] {
        let Some(y) = window.source(0, row, ky) else { continue };
        let line = (image * window.input.height + y) * window.input.width;
        for kx in 0..window.kernel[1] {
            if let Some(at) = window.source(1, column, kx) {
                starts.push((line + at) * x.stride + x.offset);
            }
        }
    }
}

struct Max<'a> {
    window: &'a Window,
    x: View<'a>,
    channels: usize,
    out: Target<'a>,
    above: usize,
}

impl WithSimd for Max<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { window, x, channels, out, above } = self;
        let lanes = S::F32_LANES;
        let mut starts = Vec::with_capacity(window.taps());
        for (i, row) in out.data.chunks_exact_mut(out.stride).enumerate() {
            pixels(window, x, above + i, &mut starts);
            let row = &mut row[out.offset..][..channels];
            let mut c = 0;
            while c + lanes <= channels {
                let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                for start in &starts {
                    let v = load::<S, true>(simd, &x.data[start + c..][..lanes]);
                    // NaN wins, as it does in PyTorch
                    largest = simd.select_f32s(simd.less_than_or_equal_f32s(v, largest), largest, v);
                }
                store::<S, true>(simd, &mut row[c..][..lanes], largest);
                c += lanes;
            }
            if c < channels {
                let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                for start in &starts {
                    let v = load::<S, false>(simd, &x.data[start + c..][..channels - c]);
                    largest = simd.select_f32s(simd.less_than_or_equal_f32s(v, largest), largest, v);
                }
                store::<S, false>(simd, &mut row[c..], largest);
            }
        }
    }
}

/// The gradient for the input of [`max`]: each window's goes to the first pixel that has its value.
#[expect(clippy::too_many_arguments, reason = "what went in, what came out, and its gradient")]
pub(crate) fn max_backward(
    window: &Window,
    x: View<'_>,
    y: View<'_>,
    gradient: View<'_>,
    channels: usize,
    out: Target<'_>,
    finish: &Finish<'_>,
    stop: Stop<'_>,
) {
    by_lines(window.input, channels, out, finish, stop, |image, lines, sums| {
        Arch::new().dispatch(MaxBackward { window, x, y, gradient, channels, image, lines, sums });
    });
}

/// Calls `add(image, lines, sums)` for parts of the input, which adds to the `[lines, W, C]` of `sums`, and finishes
/// them into `out`.
fn by_lines(
    input: Maps,
    channels: usize,
    out: Target<'_>,
    finish: &Finish<'_>,
    stop: Stop<'_>,
    add: impl Fn(usize, [usize; 2], &mut [f32]) + Sync,
) {
    let Target { data, stride, offset } = out;
    let Maps { height, width, .. } = input;
    // windows that reach into two parts are visited twice, so parts are not too thin
    let lines = rows_per_part(input.rows(), 4 * ROWS).div_ceil(width).max(8);
    data.par_chunks_mut(height * width * stride).enumerate().for_each(|(image, data)| {
        data.par_chunks_mut(lines * width * stride).enumerate().for_each_init(Vec::new, |sums, (i, data)| {
            if stop() {
                return;
            }
            let first = i * lines;
            let last = first + data.len() / (width * stride);
            sums.clear();
            sums.resize((last - first) * width * channels, 0.0);
            add(image, [first, last], sums);
            let above = (image * height + first) * width;
            let out = Target { data, stride, offset };
            Arch::new().dispatch(Finished { x: sums, channels, out, above, finish });
        });
    });
}

struct MaxBackward<'a> {
    window: &'a Window,
    x: View<'a>,
    y: View<'a>,
    gradient: View<'a>,
    channels: usize,
    image: usize,
    lines: [usize; 2],
    sums: &'a mut [f32],
}

impl WithSimd for MaxBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { window, x, y, gradient, channels, image, lines: [first, last], sums } = self;
        let Maps { height, width, .. } = window.output;
        let lanes = S::F32_LANES;
        // the input rows of the image begin here
        let base = image * window.input.height * window.input.width;
        let mut starts = Vec::with_capacity(window.taps());
        for row in 0..height {
            let touched = |k: usize| window.source(0, row, k).is_some_and(|y| y >= first && y < last);
            if !(0..window.kernel[0]).any(touched) {
                continue;
            }
            for column in 0..width {
                let pixel = (image * height + row) * width + column;
                pixels(window, x, pixel, &mut starts);
                let mut c = 0;
                while c < channels {
                    let count = lanes.min(channels - c);
                    let g = load::<S, false>(simd, &gradient.row(pixel, c + count)[c..]);
                    let value = load::<S, false>(simd, &y.row(pixel, c + count)[c..]);
                    let zero = simd.splat_f32s(0.0);
                    let mut left = g;
                    for start in &starts {
                        let v = load::<S, false>(simd, &x.data[start + c..][..count]);
                        let here = simd.equal_f32s(v, value);
                        let source = (start - x.offset) / x.stride - base;
                        let line = source / window.input.width;
                        if line >= first && line < last {
                            let at = (source - first * window.input.width) * channels + c;
                            let sum = load::<S, false>(simd, &sums[at..][..count]);
                            let share = simd.select_f32s(here, left, zero);
                            store::<S, false>(simd, &mut sums[at..][..count], simd.add_f32s(sum, share));
                        }
                        left = simd.select_f32s(here, zero, left);
                    }
                    c += count;
                }
            }
        }
    }
}

/// The mean of each window.
pub(crate) fn average(
    input: Maps,
    output: Maps,
    rows: &Windows,
    columns: &Windows,
    x: View<'_>,
    channels: usize,
    out: Target<'_>,
) {
    let Target { data, stride, offset } = out;
    data.par_chunks_mut(stride).enumerate().for_each(|(pixel, out)| {
        let (image, row, column) =
            (pixel / (output.height * output.width), pixel / output.width % output.height, pixel % output.width);
        let ((lines, height), (across, width)) = (&rows.0[row], &columns.0[column]);
        let out = &mut out[offset..][..channels];
        out.fill(0.0);
        for y in lines.clone() {
            for at in across.clone() {
                let x = x.row((image * input.height + y) * input.width + at, channels);
                out.iter_mut().zip(x).for_each(|(sum, v)| *sum += v);
            }
        }
        let share = 1.0 / (height * width).max(1) as f32;
        out.iter_mut().for_each(|sum| *sum *= share);
    });
}

/// The gradient for the input of [`average`].
#[expect(clippy::too_many_arguments, reason = "two sizes, two lists of windows")]
pub(crate) fn average_backward(
    input: Maps,
    output: Maps,
    rows: &Windows,
    columns: &Windows,
    gradient: View<'_>,
    channels: usize,
    out: Target<'_>,
    finish: &Finish<'_>,
    stop: Stop<'_>,
) {
    by_lines(input, channels, out, finish, stop, |image, [first, last], sums| {
        for (row, (lines, height)) in rows.0.iter().enumerate() {
            let lines = lines.start.max(first)..lines.end.min(last);
            if lines.is_empty() {
                continue;
            }
            for (column, (across, width)) in columns.0.iter().enumerate() {
                let share = 1.0 / (height * width).max(1) as f32;
                let g = gradient.row((image * output.height + row) * output.width + column, channels);
                for y in lines.clone() {
                    for at in across.clone() {
                        let sums = &mut sums[((y - first) * input.width + at) * channels..][..channels];
                        sums.iter_mut().zip(g).for_each(|(sum, g)| *sum += g * share);
                    }
                }
            }
        }
    });
}
