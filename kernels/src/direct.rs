//! Convolution with any kernel, stride, padding, dilation and groups as products of gathered rows, and its
//! gradients for input and weights.

use std::cell::RefCell;

use pulp::Arch;
use rayon::prelude::*;

use crate::elementwise::StoreRows;
use crate::product::{Epilogue, Packed, Product, Rows};
use crate::{Maps, Stop, Target, View, Window, rows_per_part};

/// Channels up to which the pixels under a kernel are copied together: shorter runs would leave the product idle.
const FEW: usize = 8;
/// Rows of one part of the work at most.
const ROWS: usize = 192;

/// Parts that the sums for weights are taken in, side by side: more would need more memory, fewer leave threads without work.
const PARTS: usize = 8;

/// The sizes of a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Channels that one group reads.
    pub channels: usize,
    /// Channels that one group writes.
    pub outputs: usize,
}

/// A kernel for the forward direction: for each group a matrix `[KH·KW·C, O]`.
#[derive(Debug)]
pub struct Kernel {
    sizes: Sizes,
    groups: Vec<Packed>,
}

impl Kernel {
    /// From `weight(output, channel, [ky, kx])`, where outputs are counted over all groups.
    pub fn new(
        sizes: Sizes,
        [_, width]: [usize; 2],
        taps: usize,
        weight: impl Fn(usize, usize, [usize; 2]) -> f32,
    ) -> Self {
        let Sizes { groups, channels, outputs } = sizes;
        let group = |group| {
            Packed::new(taps * channels, outputs, |k, o| {
                let tap = k / channels;
                weight(group * outputs + o, k % channels, [tap / width, tap % width])
            })
        };
        Self { sizes, groups: (0..groups).map(group).collect() }
    }

    /// Floats it holds.
    pub fn floats(&self) -> usize {
        self.groups.iter().map(Packed::floats).sum()
    }
}

#[derive(Default)]
struct Scratch {
    starts: Vec<usize>,
    targets: Vec<usize>,
    columns: Vec<f32>,
    rows: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Convolves `x` with `kernel` into `out`.
pub fn convolve(
    window: &Window,
    x: View<'_>,
    kernel: &Kernel,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    stop: Stop<'_>,
) {
    let Target { data, stride, offset } = out;
    let Sizes { groups, channels, outputs } = kernel.sizes;
    let taps = window.taps();
    let step = rows_per_part(window.output.rows(), ROWS);
    let copied = groups == 1 && channels <= FEW && taps > 1;
    data.par_chunks_mut(step * stride).enumerate().for_each(|(i, data)| {
        if stop() {
            return;
        }
        let above = i * step;
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { starts, targets, columns, .. } = scratch;
            targets.clear();
            targets.extend(above..above + data.len() / stride);
            starts.clear();
            if copied {
                copy_columns(window, x, targets, channels, columns);
            } else {
                gather(window, x, targets, starts);
            }
            for (group, right) in kernel.groups.iter().enumerate() {
                let left = if copied {
                    starts.clear();
                    starts.extend((0..targets.len()).map(|row| row * taps * channels));
                    Rows { data: columns, starts, parts: 1, length: taps * channels }
                } else {
                    if group > 0 {
                        starts.iter_mut().for_each(|start| *start += channels);
                    }
                    Rows { data: x.data, starts, parts: taps, length: channels }
                };
                let epilogue = epilogue.starting_at(group * outputs);
                let (targets, offset) = (&*targets, offset + group * outputs);
                Arch::new().dispatch(Product {
                    left,
                    right,
                    targets,
                    out: data,
                    above,
                    stride,
                    offset,
                    padded: false,
                    epilogue,
                });
            }
        });
    });
}

/// Where the pixel under each tap of the kernel begins, for each output pixel; the row of zeros in the padding.
fn gather(window: &Window, x: View<'_>, pixels: &[usize], starts: &mut Vec<usize>) {
    let Maps { height, width, .. } = window.output;
    let zeros = window.input.rows() * x.stride + x.offset;
    for &pixel in pixels {
        let (image, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
        for ky in 0..window.kernel[0] {
            let line = window.source(0, row, ky).map(|y| (image * window.input.height + y) * window.input.width);
            for kx in 0..window.kernel[1] {
                starts.push(match (line, window.source(1, column, kx)) {
                    (Some(line), Some(x_at)) => (line + x_at) * x.stride + x.offset,
                    _ => zeros,
                });
            }
        }
    }
}

/// Copies what lies under the kernel at each output pixel, one after the other: `channels` floats for each tap.
fn copy_columns(window: &Window, x: View<'_>, pixels: &[usize], channels: usize, columns: &mut Vec<f32>) {
    let Maps { height, width, .. } = window.output;
    let length = window.kernel[1] * channels;
    columns.resize(pixels.len() * window.kernel[0] * length, 0.0);
    let mut runs = columns.chunks_exact_mut(length);
    for &pixel in pixels {
        let (image, row, column) = (pixel / (height * width), pixel / width % height, pixel % width);
        let under = window.under(column).filter(|_| x.stride == channels);
        for (ky, run) in runs.by_ref().take(window.kernel[0]).enumerate() {
            let Some(y) = window.source(0, row, ky) else {
                run.fill(0.0);
                continue;
            };
            let line = (image * window.input.height + y) * window.input.width;
            if let Some(under) = &under {
                copy(run, &x.data[(line + under.start) * channels..][..length]);
                continue;
            }
            for (kx, out) in run.chunks_exact_mut(channels).enumerate() {
                match window.source(1, column, kx) {
                    Some(at) => out.copy_from_slice(&x.data[(line + at) * x.stride + x.offset..][..channels]),
                    None => out.fill(0.0),
                }
            }
        }
    }
}

/// Copies a run of pixels. Those under usual kernels of three colours are so short that a call of `memcpy` would take longer.
#[inline(always)]
fn copy(out: &mut [f32], from: &[f32]) {
    fn all<const N: usize>(out: &mut [f32], from: &[f32]) -> bool {
        let (Ok(out), Ok(from)) = (<&mut [f32; N]>::try_from(out), <&[f32; N]>::try_from(from)) else { return false };
        *out = *from;
        true
    }
    let is_copied = match out.len() {
        9 => all::<9>(out, from),
        21 => all::<21>(out, from),
        33 => all::<33>(out, from),
        _ => false,
    };
    if !is_copied {
        out.copy_from_slice(from);
    }
}

/// A kernel for the gradient of the input.
#[derive(Debug)]
pub struct Backward {
    sizes: Sizes,
    form: Form,
}

#[derive(Debug)]
enum Form {
    /// For many channels: an input pixel's gradient is a product of gathered rows of the output's gradient. Pixels
    /// under the same taps of the kernel, as the stride goes, have the same matrices `[taps·O, C]`, one a group.
    Gathered(Vec<Phase>),
    /// For few channels: for each group a matrix `[O, KH·KW·C]` that gives what each tap adds to its pixel.
    Scattered(Vec<Packed>),
}

/// The pixels whose places in the padded image leave the same rest when divided by the strides.
#[derive(Debug)]
struct Phase {
    rest: [usize; 2],
    taps: Vec<[usize; 2]>,
    groups: Vec<Packed>,
}

impl Backward {
    /// From `weight(output, channel, [ky, kx])`, where outputs are counted over all groups.
    pub fn new(sizes: Sizes, window: &Window, weight: impl Fn(usize, usize, [usize; 2]) -> f32) -> Self {
        let Sizes { groups, channels, outputs } = sizes;
        let [height, width] = window.kernel;
        if channels <= FEW {
            let group = |group| {
                Packed::new(outputs, height * width * channels, |o, at| {
                    let tap = at / channels;
                    weight(group * outputs + o, at % channels, [tap / width, tap % width])
                })
            };
            return Self { sizes, form: Form::Scattered((0..groups).map(group).collect()) };
        }
        let [down, across] = window.stride;
        let phases = (0..down).flat_map(|y| (0..across).map(move |x| [y, x])).map(|rest| {
            let all = (0..height).flat_map(|ky| (0..width).map(move |kx| [ky, kx]));
            let reaches = |tap: &[usize; 2]| (0..2).all(|a| tap[a] * window.dilation[a] % window.stride[a] == rest[a]);
            let taps: Vec<[usize; 2]> = all.filter(reaches).collect();
            let group = |group| {
                Packed::new(taps.len() * outputs, channels, |k, c| {
                    weight(group * outputs + k % outputs, c, taps[k / outputs])
                })
            };
            let groups = (0..groups).map(group).collect();
            Phase { rest, taps, groups }
        });
        Self { sizes, form: Form::Gathered(phases.collect()) }
    }

    /// Floats it holds.
    pub fn floats(&self) -> usize {
        match &self.form {
            Form::Gathered(phases) => phases.iter().flat_map(|phase| &phase.groups).map(Packed::floats).sum(),
            Form::Scattered(groups) => groups.iter().map(Packed::floats).sum(),
        }
    }
}

/// The gradient for the input of a convolution, given that of its output.
pub fn backward(
    window: &Window,
    gradient: View<'_>,
    kernel: &Backward,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    stop: Stop<'_>,
) {
    let Target { data, stride, offset } = out;
    let Maps { height, width, .. } = window.input;
    // what is scattered is computed again for each part that it reaches
    let least = if matches!(kernel.form, Form::Scattered(_)) { 8 * window.stride[0] } else { window.stride[0] };
    let lines = rows_per_part(window.input.rows(), 4 * ROWS).div_ceil(width).max(least);
    data.par_chunks_mut(height * width * stride).enumerate().for_each(|(image, data)| {
        data.par_chunks_mut(lines * width * stride).enumerate().for_each(|(i, data)| {
            if stop() {
                return;
            }
            let part = Part { image, first: i * lines, last: (i * lines + data.len() / (width * stride)) };
            let out = Target { data, stride, offset };
            SCRATCH.with_borrow_mut(|scratch| match &kernel.form {
                Form::Gathered(phases) => {
                    gathered(window, gradient, kernel.sizes, phases, &part, out, epilogue, scratch)
                }
                Form::Scattered(groups) => {
                    scattered(window, gradient, kernel.sizes, groups, &part, out, epilogue, scratch)
                }
            });
        });
    });
}

/// Lines of one image.
struct Part {
    image: usize,
    first: usize,
    last: usize,
}

#[expect(clippy::too_many_arguments, reason = "the parts of one loop")]
fn gathered(
    window: &Window,
    gradient: View<'_>,
    sizes: Sizes,
    phases: &[Phase],
    part: &Part,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    scratch: &mut Scratch,
) {
    let Maps { height, width, .. } = window.input;
    let Scratch { starts, targets, .. } = scratch;
    let zeros = window.output.rows() * gradient.stride + gradient.offset;
    let above = (part.image * height + part.first) * width;
    for phase in phases {
        starts.clear();
        targets.clear();
        let of_phase = |axis: usize, at: &usize| (at + window.before[axis]) % window.stride[axis] == phase.rest[axis];
        for y in (part.first..part.last).filter(|y| of_phase(0, y)) {
            for x in (0..width).filter(|x| of_phase(1, x)) {
                targets.push((part.image * height + y) * width + x);
                for [ky, kx] in &phase.taps {
                    starts.push(match (window.reader(0, y, *ky), window.reader(1, x, *kx)) {
                        (Some(y), Some(x)) => {
                            let row = (part.image * window.output.height + y) * window.output.width + x;
                            row * gradient.stride + gradient.offset
                        }
                        _ => zeros,
                    });
                }
            }
        }
        for (group, right) in phase.groups.iter().enumerate() {
            if group > 0 {
                starts.iter_mut().for_each(|start| *start += sizes.outputs);
            }
            let left = Rows { data: gradient.data, starts, parts: phase.taps.len(), length: sizes.outputs };
            Arch::new().dispatch(Product {
                left,
                right,
                targets,
                out: out.data,
                above,
                stride: out.stride,
                offset: out.offset + group * sizes.channels,
                padded: false,
                epilogue: epilogue.starting_at(group * sizes.channels),
            });
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one loop")]
fn scattered(
    window: &Window,
    gradient: View<'_>,
    sizes: Sizes,
    groups: &[Packed],
    part: &Part,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    scratch: &mut Scratch,
) {
    let Scratch { starts, targets, columns, rows } = scratch;
    let Maps { height, width, .. } = window.input;
    let all = sizes.channels * sizes.groups;
    rows.clear();
    rows.resize((part.last - part.first) * width * all, 0.0);
    // output rows whose kernel touches a line of this part
    let touches = |y: &usize| {
        (0..window.kernel[0]).any(|k| window.source(0, *y, k).is_some_and(|y| (part.first..part.last).contains(&y)))
    };
    for y in (0..window.output.height).filter(touches) {
        let first = (part.image * window.output.height + y) * window.output.width;
        targets.clear();
        targets.extend(0..window.output.width);
        for (group, right) in groups.iter().enumerate() {
            let stride = right.padded_n();
            starts.clear();
            let offset = gradient.offset + group * sizes.outputs;
            starts.extend((first..first + window.output.width).map(|row| row * gradient.stride + offset));
            columns.resize(columns.len().max(stride * targets.len()), 0.0);
            Arch::new().dispatch(Product {
                left: Rows { data: gradient.data, starts, parts: 1, length: sizes.outputs },
                right,
                targets,
                out: columns,
                above: 0,
                stride,
                offset: 0,
                padded: true,
                epilogue: Epilogue::default(),
            });
            for ky in 0..window.kernel[0] {
                let Some(line) = window.source(0, y, ky).filter(|y| (part.first..part.last).contains(y)) else {
                    continue;
                };
                let line = &mut rows[(line - part.first) * width * all..][..width * all];
                let taps = ky * window.kernel[1] * sizes.channels;
                for (x, column) in columns.chunks_exact(stride).take(window.output.width).enumerate() {
                    let column = &column[taps..][..window.kernel[1] * sizes.channels];
                    // one group's pixels lie side by side, as the taps of a line do
                    if sizes.groups == 1
                        && let Some(under) = window.under(x)
                    {
                        let pixels = &mut line[under.start * all..under.end * all];
                        pixels.iter_mut().zip(column).for_each(|(sum, v)| *sum += v);
                        continue;
                    }
                    for (kx, column) in column.chunks_exact(sizes.channels).enumerate() {
                        let Some(at) = window.source(1, x, kx) else { continue };
                        let pixel = &mut line[at * all + group * sizes.channels..][..sizes.channels];
                        pixel.iter_mut().zip(column).for_each(|(sum, v)| *sum += v);
                    }
                }
            }
        }
    }
    let above = (part.image * height + part.first) * width;
    Arch::new().dispatch(StoreRows { x: rows, channels: all, out, above, epilogue });
}

/// The gradient for the weights, `[O, C / groups, KH, KW]` over all groups, given input and output gradient; added
/// to `sums`.
pub fn backward_weights(
    window: &Window,
    x: View<'_>,
    gradient: View<'_>,
    sizes: Sizes,
    sums: &mut [f32],
    stop: Stop<'_>,
) {
    let Sizes { groups, channels, outputs } = sizes;
    let taps = window.taps();
    let rows = window.output.rows();
    let blocks = rows.div_ceil(ROWS);
    // parts and their order do not depend on the threads, so no sum does
    let count = PARTS.min(blocks);
    let parts = (0..count).into_par_iter().map(|part| {
        let mut sums = vec![0f32; sums.len()];
        for i in part * blocks / count..(part + 1) * blocks / count {
            if stop() {
                return sums;
            }
            let pixels: Vec<usize> = (i * ROWS..((i + 1) * ROWS).min(rows)).collect();
            let mut starts = Vec::with_capacity(pixels.len() * taps);
            gather(window, x, &pixels, &mut starts);
            for group in 0..groups {
                // outputs × pixels, times pixels × (taps · channels)
                let mut left = vec![0f32; outputs * pixels.len()];
                for (at, pixel) in pixels.iter().enumerate() {
                    let row = &gradient.row(*pixel, (group + 1) * outputs)[group * outputs..];
                    row.iter().enumerate().for_each(|(o, g)| left[o * pixels.len() + at] = *g);
                }
                let right = Packed::new(pixels.len(), taps * channels, |pixel, k| {
                    x.data[starts[pixel * taps + k / channels] + group * channels + k % channels]
                });
                let line = taps * channels;
                let starts: Vec<usize> = (0..outputs).map(|o| o * pixels.len()).collect();
                let targets: Vec<usize> = (0..outputs).collect();
                Arch::new().dispatch(Product {
                    left: Rows { data: &left, starts: &starts, parts: 1, length: pixels.len() },
                    right: &right,
                    targets: &targets,
                    out: &mut sums[group * outputs * line..][..outputs * line],
                    above: 0,
                    stride: line,
                    offset: 0,
                    padded: false,
                    epilogue: Epilogue { accumulate: true, ..Epilogue::default() },
                });
            }
        }
        sums
    });
    let parts: Vec<Vec<f32>> = parts.collect();
    let mut whole = vec![0f32; sums.len()];
    for part in parts {
        whole.iter_mut().zip(part).for_each(|(whole, part)| *whole += part);
    }
    // from [O, taps, C] to [O, C, taps]
    for (o, line) in whole.chunks_exact(taps * channels).enumerate() {
        for (k, v) in line.iter().enumerate() {
            sums[(o * channels + k % channels) * taps + k / channels] += v;
        }
    }
}
