//! Depthwise convolution, in which every channel has a kernel of its own, and its gradient for the input.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::product::{Epilogue, load};
use crate::{Maps, Stop, Target, View, Window, rows_per_part};

/// Rows of one part of the work at most.
const ROWS: usize = 384;

/// The weights `[KH·KW, C]`.
#[derive(Debug)]
pub struct Kernel(Vec<f32>);

impl Kernel {
    /// From `weight(channel, [ky, kx])`.
    pub fn new(channels: usize, [height, width]: [usize; 2], weight: impl Fn(usize, [usize; 2]) -> f32) -> Self {
        let taps = (0..height).flat_map(|ky| (0..width).map(move |kx| [ky, kx]));
        Self(taps.flat_map(|tap| (0..channels).map(move |c| (c, tap))).map(|(c, tap)| weight(c, tap)).collect())
    }

    /// Floats it holds.
    pub fn floats(&self) -> usize {
        self.0.len()
    }
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
    run(window, (window.output, window.input), Window::source, x, kernel, out, epilogue, stop);
}

/// The gradient for the input of a convolution, given that of its output.
pub fn backward(
    window: &Window,
    gradient: View<'_>,
    kernel: &Kernel,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    stop: Stop<'_>,
) {
    run(window, (window.input, window.output), Window::reader, gradient, kernel, out, epilogue, stop);
}

/// Each pixel of the first maps is a sum over pixels of the second; `partner(window, axis, place, tap)` says which.
#[expect(clippy::too_many_arguments, reason = "the parts of one loop")]
fn run(
    window: &Window,
    (maps, others): (Maps, Maps),
    partner: impl Fn(&Window, usize, usize, usize) -> Option<usize> + Sync,
    x: View<'_>,
    kernel: &Kernel,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    stop: Stop<'_>,
) {
    let Target { data, stride, offset } = out;
    let channels = kernel.0.len() / window.taps();
    let step = rows_per_part(maps.rows(), ROWS);
    data.par_chunks_mut(step * stride).enumerate().for_each(|(i, data)| {
        if stop() {
            return;
        }
        let above = i * step;
        let (mut taps, mut counts) = (Vec::new(), Vec::new());
        for pixel in above..above + data.len() / stride {
            let place = [pixel / maps.width % maps.height, pixel % maps.width];
            let image = pixel / (maps.height * maps.width);
            let before = taps.len();
            for ky in 0..window.kernel[0] {
                let Some(y) = partner(window, 0, place[0], ky) else { continue };
                for kx in 0..window.kernel[1] {
                    let Some(at) = partner(window, 1, place[1], kx) else { continue };
                    let row = (image * others.height + y) * others.width + at;
                    taps.push((row * x.stride + x.offset, ky * window.kernel[1] + kx));
                }
            }
            counts.push(taps.len() - before);
        }
        Arch::new().dispatch(Depthwise {
            data: x.data,
            taps: &taps,
            counts: &counts,
            weight: &kernel.0,
            channels,
            out: Target { data, stride, offset },
            above,
            epilogue,
        });
    });
}

/// Multiplies gathered rows by weights and adds them, channel by channel.
struct Depthwise<'a> {
    data: &'a [f32],
    /// Where the row under each tap begins, and the tap, for each row of the result in turn.
    taps: &'a [(usize, usize)],
    /// How many of them each row has.
    counts: &'a [usize],
    /// `[taps, channels]`.
    weight: &'a [f32],
    channels: usize,
    out: Target<'a>,
    above: usize,
    epilogue: &'a Epilogue<'a>,
}

impl WithSimd for Depthwise<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { data, taps, counts, weight, channels, out, above, epilogue } = self;
        let lanes = S::F32_LANES;
        let mut taps = taps;
        for (i, count) in counts.iter().enumerate() {
            let (here, after) = taps.split_at(*count);
            taps = after;
            let row = &mut out.data[i * out.stride + out.offset..][..channels];
            let mut channel = 0;
            while channel + lanes <= channels {
                let mut sum = simd.splat_f32s(0.0);
                for (start, tap) in here {
                    let x = load::<S, true>(simd, &data[start + channel..][..lanes]);
                    let w = load::<S, true>(simd, &weight[tap * channels + channel..][..lanes]);
                    sum = simd.mul_add_f32s(x, w, sum);
                }
                epilogue.store::<S, true>(simd, sum, &mut row[channel..][..lanes], above + i, channel);
                channel += lanes;
            }
            if channel < channels {
                let rest = channels - channel;
                let mut sum = simd.splat_f32s(0.0);
                for (start, tap) in here {
                    let x = load::<S, false>(simd, &data[start + channel..][..rest]);
                    let w = load::<S, false>(simd, &weight[tap * channels + channel..][..rest]);
                    sum = simd.mul_add_f32s(x, w, sum);
                }
                epilogue.store::<S, false>(simd, sum, &mut row[channel..][..rest], above + i, channel);
            }
        }
    }
}
