//! What is done to each number or each channel, and the way between channel orders.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::product::{Epilogue, load};
use crate::{Maps, Stop, Target, View};

/// Floats of one part of the work.
const PART: usize = 1 << 15;

/// `x · scale`, then the epilogue, row by row; without `x` the epilogue of what is there already.
pub fn scale(
    x: Option<View<'_>>,
    scale: Option<&[f32]>,
    channels: usize,
    out: Target<'_>,
    epilogue: &Epilogue<'_>,
    stop: Stop<'_>,
) {
    let Target { data, stride, offset } = out;
    let rows = (PART / stride).max(1);
    data.par_chunks_mut(rows * stride).enumerate().for_each(|(i, data)| {
        if !stop() {
            let out = Target { data, stride, offset };
            Arch::new().dispatch(Scaled { x, scale, channels, out, above: i * rows, epilogue });
        }
    });
}

struct Scaled<'a> {
    x: Option<View<'a>>,
    scale: Option<&'a [f32]>,
    channels: usize,
    out: Target<'a>,
    above: usize,
    epilogue: &'a Epilogue<'a>,
}

impl WithSimd for Scaled<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, scale, channels, out, above, epilogue } = self;
        let lanes = S::F32_LANES;
        for (i, row) in out.data.chunks_exact_mut(out.stride).enumerate() {
            let row = &mut row[out.offset..][..channels];
            let x = x.map(|x| x.row(above + i, channels));
            let mut c = 0;
            while c + lanes <= channels {
                let mut v = simd.splat_f32s(0.0);
                if let Some(x) = x {
                    v = load::<S, true>(simd, &x[c..][..lanes]);
                }
                if let Some(scale) = scale {
                    v = simd.mul_f32s(v, load::<S, true>(simd, &scale[c..][..lanes]));
                }
                epilogue.store::<S, true>(simd, v, &mut row[c..][..lanes], above + i, c);
                c += lanes;
            }
            if c < channels {
                let mut v = simd.splat_f32s(0.0);
                if let Some(x) = x {
                    v = load::<S, false>(simd, &x[c..]);
                }
                if let Some(scale) = scale {
                    v = simd.mul_f32s(v, load::<S, false>(simd, &scale[c..channels]));
                }
                epilogue.store::<S, false>(simd, v, &mut row[c..], above + i, c);
            }
        }
    }
}

/// Stores rows of sums as one part of a result, after the epilogue.
pub(crate) struct StoreRows<'a> {
    /// As many rows of `channels` as `out` has.
    pub(crate) x: &'a [f32],
    pub(crate) channels: usize,
    pub(crate) out: Target<'a>,
    /// The first of `out`'s rows.
    pub(crate) above: usize,
    pub(crate) epilogue: &'a Epilogue<'a>,
}

impl WithSimd for StoreRows<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, channels, out, above, epilogue } = self;
        if epilogue.is_plain() && out.stride == channels {
            return out.data.copy_from_slice(&x[..out.data.len()]);
        }
        let lanes = S::F32_LANES;
        let rows = out.data.chunks_exact_mut(out.stride).zip(x.chunks_exact(channels));
        for (i, (row, x)) in rows.enumerate() {
            let row = &mut row[out.offset..][..channels];
            let mut c = 0;
            while c + lanes <= channels {
                let v = load::<S, true>(simd, &x[c..][..lanes]);
                epilogue.store::<S, true>(simd, v, &mut row[c..][..lanes], above + i, c);
                c += lanes;
            }
            if c < channels {
                epilogue.store::<S, false>(simd, load::<S, false>(simd, &x[c..]), &mut row[c..], above + i, c);
            }
        }
    }
}

/// Replaces every number by `function(what is there, x)`.
pub fn update(
    x: Option<View<'_>>,
    channels: usize,
    out: Target<'_>,
    function: impl Fn(f32, f32) -> f32 + Sync,
    stop: Stop<'_>,
) {
    let Target { data, stride, offset } = out;
    let rows = (PART / stride).max(1);
    data.par_chunks_mut(rows * stride).enumerate().for_each(|(i, data)| {
        if stop() {
            return;
        }
        for (j, row) in data.chunks_exact_mut(stride).enumerate() {
            let row = &mut row[offset..][..channels];
            match x {
                Some(x) => {
                    let x = x.row(i * rows + j, channels);
                    row.iter_mut().zip(x).for_each(|(v, x)| *v = function(*v, *x));
                }
                None => row.iter_mut().for_each(|v| *v = function(*v, 0.0)),
            }
        }
    });
}

/// `a · b` into `out`, where `b` has one row for each image if `per_image`.
#[expect(clippy::too_many_arguments, reason = "two views and where they go")]
pub fn multiply(
    maps: &Maps,
    a: View<'_>,
    b: View<'_>,
    per_image: bool,
    channels: usize,
    accumulate: bool,
    out: Target<'_>,
    stop: Stop<'_>,
) {
    let Target { data, stride, offset } = out;
    let rows = (PART / stride).max(1);
    let plane = maps.height * maps.width;
    data.par_chunks_mut(rows * stride).enumerate().for_each(|(i, data)| {
        if stop() {
            return;
        }
        for (j, row) in data.chunks_exact_mut(stride).enumerate() {
            let at = i * rows + j;
            let (a, b) = (a.row(at, channels), b.row(if per_image { at / plane } else { at }, channels));
            let values = row[offset..][..channels].iter_mut().zip(a.iter().zip(b));
            if accumulate {
                values.for_each(|(v, (a, b))| *v += a * b);
            } else {
                values.for_each(|(v, (a, b))| *v = a * b);
            }
        }
    });
}

/// For each image the sum of `a · b` over its pixels, into one row of `out`.
pub fn multiply_and_sum(maps: &Maps, a: View<'_>, b: View<'_>, channels: usize, accumulate: bool, out: Target<'_>) {
    let plane = maps.height * maps.width;
    for (image, row) in out.data.chunks_exact_mut(out.stride).enumerate() {
        let row = &mut row[out.offset..][..channels];
        if !accumulate {
            row.fill(0.0);
        }
        for at in image * plane..(image + 1) * plane {
            let products = a.row(at, channels).iter().zip(b.row(at, channels));
            row.iter_mut().zip(products).for_each(|(v, (a, b))| *v += a * b);
        }
    }
}

/// Rows of pixels side by side to planes, `[N, H, W, C]` to `[N, C, H, W]`.
pub fn to_planes(maps: &Maps, x: View<'_>, channels: usize, out: &mut [f32]) {
    let plane = maps.height * maps.width;
    // a few channels at a time, so that the lines of the cache that a row brings are used
    out.par_chunks_mut(BLOCK * plane).enumerate().for_each(|(i, out)| {
        transpose_planes(i, plane, x, channels, out);
    });
}

/// Channels that are moved together.
const BLOCK: usize = 8;

/// Fills the planes from the `first · BLOCK`-th on, counted over all images.
fn transpose_planes(first: usize, plane: usize, x: View<'_>, channels: usize, out: &mut [f32]) {
    let first = first * BLOCK;
    let count = out.len() / plane;
    let mut done = 0;
    while done < count {
        let (image, channel) = ((first + done) / channels, (first + done) % channels);
        let together = (count - done).min(channels - channel);
        for pixel in 0..plane {
            let row = &x.row(image * plane + pixel, channel + together)[channel..];
            row.iter().enumerate().for_each(|(i, v)| out[(done + i) * plane + pixel] = *v);
        }
        done += together;
    }
}

/// Planes to rows of pixels, `[N, C, H, W]` to `[N, H, W, C]`; `accumulate` adds to what is there.
pub fn from_planes(maps: &Maps, planes: &[f32], channels: usize, accumulate: bool, out: Target<'_>) {
    let plane = maps.height * maps.width;
    let Target { data, stride, offset } = out;
    let rows = (PART / stride).clamp(1, plane);
    data.par_chunks_mut(plane * stride).enumerate().for_each(|(image, data)| {
        let planes = &planes[image * channels * plane..][..channels * plane];
        data.par_chunks_mut(rows * stride).enumerate().for_each(|(i, data)| {
            for channel in 0..channels {
                let values = &planes[channel * plane + i * rows..];
                for (row, v) in data.chunks_exact_mut(stride).zip(values) {
                    if accumulate {
                        row[offset + channel] += v;
                    } else {
                        row[offset + channel] = *v;
                    }
                }
            }
        });
    });
}
