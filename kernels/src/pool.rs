//! Pooling and its gradients.

use std::array::from_fn;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::elementwise::StoreRows;
use crate::product::{Epilogue, load, store};
use crate::{Maps, Stop, Target, View, Window, rows_per_part};

/// Rows of one part of the work at most.
const ROWS: usize = 384;
/// Vectors of channels that the gradient of a maximum takes at once, so that places are computed once for all of them.
const BLOCK: usize = 4;

/// The largest value of each window. Every window must hold a pixel.
pub fn max(window: &Window, x: View<'_>, channels: usize, out: Target<'_>, stop: Stop<'_>) {
    let Target { data, stride, offset } = out;
    let step = rows_per_part(window.output.rows(), ROWS);
    data.par_chunks_mut(step * stride).enumerate().for_each(|(i, data)| {
        if !stop() {
            let out = Target { data, stride, offset };
            Arch::new().dispatch(Max { window, x, channels, out, above: i * step });
        }
    });
}

/// The pixels of the input that lie under a window.
#[derive(Clone)]
struct Under {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Under {
    /// Those of the window at a row and column of the output.
    fn new(window: &Window, row: usize, column: usize) -> Self {
        let along = |axis: usize, place: usize, size: usize| {
            let (start, before) = (place * window.stride[axis], window.before[axis]);
            start.saturating_sub(before)..(start + window.kernel[axis]).saturating_sub(before).min(size)
        };
        Self { rows: along(0, row, window.input.height), columns: along(1, column, window.input.width) }
    }
}

/// The places of the output from the `first`-th pixel of all images on: image, row, column.
fn places(maps: Maps, first: usize) -> impl Iterator<Item = [usize; 3]> {
    let Maps { height, width, .. } = maps;
    let mut place = [first / (height * width), first / width % height, first % width];
    std::iter::repeat_with(move || {
        let here = place;
        place[2] += 1;
        if place[2] == width {
            place = [place[0], place[1] + 1, 0];
        }
        if place[1] == height {
            place = [place[0] + 1, 0, 0];
        }
        here
    })
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
        let Maps { height, width, .. } = window.input;
        let lanes = S::F32_LANES;
        let rows = out.data.chunks_exact_mut(out.stride);
        for (out_row, [image, row, column]) in rows.zip(places(window.output, above)) {
            let under = Under::new(window, row, column);
            let out_row = &mut out_row[out.offset..][..channels];
            let mut c = 0;
            while c < channels {
                let count = lanes.min(channels - c);
                let mut largest = simd.splat_f32s(f32::NEG_INFINITY);
                for y in under.rows.clone() {
                    let line = ((image * height + y) * width + under.columns.start) * x.stride + x.offset + c;
                    for i in 0..under.columns.len() {
                        let v = load::<S, false>(simd, &x.data[line + i * x.stride..][..count]);
                        // NaN wins, as it does in PyTorch
                        largest = simd.select_f32s(simd.less_than_or_equal_f32s(v, largest), largest, v);
                    }
                }
                store::<S, false>(simd, &mut out_row[c..][..count], largest);
                c += count;
            }
        }
    }
}

/// The gradient for the input of [`max`]: each window's goes to the first pixel that has its value.
#[expect(clippy::too_many_arguments, reason = "what went in, what came out, and its gradient")]
pub fn max_backward(
    window: &Window,
    x: View<'_>,
    y: View<'_>,
    gradient: View<'_>,
    channels: usize,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    stop: Stop<'_>,
) {
    by_lines(window.input, channels, out, epilogue, stop, |image, lines, sums| {
        Arch::new().dispatch(MaxBackward { window, x, y, gradient, channels, image, lines, sums });
    });
}

/// Calls `add(image, lines, sums)` for parts of the input, which adds to the `[lines, W, C]` of `sums`, and finishes
/// them into `out`.
fn by_lines(
    input: Maps,
    channels: usize,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
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
            Arch::new().dispatch(StoreRows { x: sums, channels, out, above, epilogue });
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
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Self { window, channels, image, lines: [first, last], .. } = self;
        let Maps { height, width, .. } = window.output;
        let lanes = S::F32_LANES;
        for row in 0..height {
            let lines = Under::new(window, row, 0).rows;
            if lines.end <= first || lines.start >= last {
                continue;
            }
            for column in 0..width {
                let pixel = (image * height + row) * width + column;
                let under = Under::new(window, row, column);
                let mut c = 0;
                while c + BLOCK * lanes <= channels {
                    self.window_at::<S, BLOCK>(simd, pixel, &under, c, lanes);
                    c += BLOCK * lanes;
                }
                while c < channels {
                    let count = lanes.min(channels - c);
                    self.window_at::<S, 1>(simd, pixel, &under, c, count);
                    c += count;
                }
            }
        }
    }
}

impl MaxBackward<'_> {
    /// One window and `N` vectors of channels from `c` on; the last is of `count` channels.
    #[inline(always)]
    fn window_at<S: Simd, const N: usize>(&mut self, simd: S, pixel: usize, under: &Under, c: usize, count: usize) {
        let Self { window, x, y, gradient, channels, image, lines: [first, last], .. } = *self;
        let (zero, across, lanes) = (simd.splat_f32s(0.0), window.input.width, S::F32_LANES);
        let length = (N - 1) * lanes + count;
        let part = |i: usize| i * lanes..(i * lanes + lanes).min(length);
        let value: [S::f32s; N] = from_fn(|i| load::<S, false>(simd, &y.row(pixel, c + length)[c..][part(i)]));
        // what no pixel has taken so far
        let mut left: [S::f32s; N] =
            from_fn(|i| load::<S, false>(simd, &gradient.row(pixel, c + length)[c..][part(i)]));
        for line in under.rows.clone() {
            let inside = line >= first && line < last;
            for column in under.columns.clone() {
                let start = ((image * window.input.height + line) * across + column) * x.stride + x.offset + c;
                let x = &x.data[start..][..length];
                let here: [_; N] = from_fn(|i| simd.equal_f32s(load::<S, false>(simd, &x[part(i)]), value[i]));
                if inside {
                    let sums = &mut self.sums[((line - first) * across + column) * channels + c..][..length];
                    for i in 0..N {
                        let sum = &mut sums[part(i)];
                        let share = simd.select_f32s(here[i], left[i], zero);
                        store::<S, false>(simd, sum, simd.add_f32s(load::<S, false>(simd, sum), share));
                    }
                }
                left = from_fn(|i| simd.select_f32s(here[i], zero, left[i]));
            }
        }
    }
}

/// The windows of an average along one side: which values each averages, and what its sum is divided by along this
/// side.
#[derive(Clone, Debug)]
pub struct Windows(pub Vec<(Range<usize>, usize)>);

impl Windows {
    /// `count` windows of `kernel` values, `stride` apart, over `size` values with `[before, after]` of padding. A sum
    /// is divided by what of the window lies in the image, or with `count_include_pad` in the image and its padding.
    pub fn sliding(
        kernel: usize,
        stride: usize,
        [before, after]: [usize; 2],
        size: usize,
        count: usize,
        count_include_pad: bool,
    ) -> Self {
        let window = |i: usize| {
            // measured from the start of the padding
            let (start, end) = (i * stride, (i * stride + kernel).min(size + before + after));
            let inside = start.saturating_sub(before)..end.saturating_sub(before).min(size);
            let divisor = if count_include_pad { end - start } else { inside.len() };
            (inside, divisor)
        };
        Self((0..count).map(window).collect())
    }

    /// The windows of adaptive pooling: the i-th of `count` is ⌊i·size/count⌋ to ⌈(i+1)·size/count⌉.
    pub fn adaptive(size: usize, count: usize) -> Self {
        let window = |i: usize| {
            let range = i * size / count..((i + 1) * size).div_ceil(count);
            (range.clone(), range.len())
        };
        Self((0..count).map(window).collect())
    }
}

/// The mean of each window.
pub fn average(
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
pub fn average_backward(
    input: Maps,
    output: Maps,
    rows: &Windows,
    columns: &Windows,
    gradient: View<'_>,
    channels: usize,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    stop: Stop<'_>,
) {
    by_lines(input, channels, out, epilogue, stop, |image, [first, last], sums| {
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
