//! Matrix products with weights `[O, K]` as they are stored: a network's largest layers are read, not copied.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::product::load;
use crate::{Epilogue, Target, View};

/// Floats of a row that are multiplied before the next row comes; they stay in the first cache.
const DEPTH: usize = 1024;
/// Outputs of one part of the work.
const OUTPUTS: usize = 32;

/// A matrix `[O, K]`.
#[derive(Clone, Copy, Debug)]
pub struct Weight<'a> {
    /// Row by row.
    pub data: &'a [f32],
    /// K, the length of a row.
    pub inputs: usize,
    /// O, the number of rows.
    pub outputs: usize,
}

/// `x [N, K] · weightᵀ`, finished into `out [N, O]`.
pub fn linear(x: View<'_>, batch: usize, weight: Weight<'_>, out: Target<'_>, epilogue: &Epilogue<'_>) {
    // [O, N], so that threads write apart
    let mut sums = vec![0f32; weight.outputs * batch];
    sums.par_chunks_mut(OUTPUTS * batch).enumerate().for_each(|(i, sums)| {
        let data = &weight.data[i * OUTPUTS * weight.inputs..];
        Arch::new().dispatch(Dots { x, batch, weight: data, inputs: weight.inputs, sums });
    });
    let mut rows = vec![0f32; sums.len()];
    for (n, row) in rows.chunks_exact_mut(weight.outputs.max(1)).enumerate() {
        row.iter_mut().enumerate().for_each(|(o, v)| *v = sums[o * batch + n]);
    }
    let channels = weight.outputs;
    Arch::new().dispatch(crate::elementwise::StoreRows { x: &rows, channels, out, above: 0, epilogue });
}

/// Dot products of some rows of the weights with all of `x`.
struct Dots<'a> {
    x: View<'a>,
    batch: usize,
    weight: &'a [f32],
    inputs: usize,
    /// `[rows, N]`.
    sums: &'a mut [f32],
}

impl WithSimd for Dots<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, batch, weight, inputs, sums } = self;
        let rows = sums.len() / batch;
        let mut from = 0;
        while from < inputs {
            let depth = DEPTH.min(inputs - from);
            let mut o = 0;
            while o < rows {
                let count = if rows - o >= 4 { 4 } else { 1 };
                for n in 0..batch {
                    let x = &x.row(n, from + depth)[from..];
                    if count == 4 {
                        let w = [0, 1, 2, 3].map(|i| &weight[(o + i) * inputs + from..][..depth]);
                        let dots = dots::<S, 4>(simd, x, w);
                        for i in 0..4 {
                            sums[(o + i) * batch + n] += dots[i];
                        }
                    } else {
                        let dots = dots::<S, 1>(simd, x, [&weight[o * inputs + from..][..depth]]);
                        sums[o * batch + n] += dots[0];
                    }
                }
                o += count;
            }
            from += depth;
        }
    }
}

/// The dot products of `x` with rows of the same length.
#[inline(always)]
fn dots<S: Simd, const R: usize>(simd: S, x: &[f32], rows: [&[f32]; R]) -> [f32; R] {
    let lanes = S::F32_LANES;
    let mut even = [simd.splat_f32s(0.0); R];
    let mut odd = even;
    let mut k = 0;
    while k + 2 * lanes <= x.len() {
        let (a, b) = (load::<S, true>(simd, &x[k..]), load::<S, true>(simd, &x[k + lanes..]));
        for i in 0..R {
            even[i] = simd.mul_add_f32s(a, load::<S, true>(simd, &rows[i][k..]), even[i]);
            odd[i] = simd.mul_add_f32s(b, load::<S, true>(simd, &rows[i][k + lanes..]), odd[i]);
        }
        k += 2 * lanes;
    }
    while k < x.len() {
        let count = lanes.min(x.len() - k);
        let a = load::<S, false>(simd, &x[k..k + count]);
        for i in 0..R {
            even[i] = simd.mul_add_f32s(a, load::<S, false>(simd, &rows[i][k..k + count]), even[i]);
        }
        k += count;
    }
    let mut result = [0f32; R];
    for i in 0..R {
        result[i] = simd.reduce_sum_f32s(simd.add_f32s(even[i], odd[i]));
    }
    result
}

/// The gradient for the input of [`linear`]: `gradient [N, O] · weight`, finished into `out [N, K]`.
pub fn backward(gradient: View<'_>, batch: usize, weight: Weight<'_>, out: Target<'_>, epilogue: &Epilogue<'_>) {
    // [parts of K, N, a part], so that threads write apart
    let mut sums = vec![0f32; weight.inputs * batch];
    sums.par_chunks_mut(DEPTH * batch).enumerate().for_each(|(i, sums)| {
        let depth = sums.len() / batch;
        Arch::new().dispatch(Combine { gradient, weight, from: i * DEPTH, depth, sums });
    });
    let mut rows = vec![0f32; sums.len()];
    for (i, part) in sums.chunks(DEPTH * batch).enumerate() {
        let depth = part.len() / batch;
        for (n, part) in part.chunks_exact(depth).enumerate() {
            rows[n * weight.inputs + i * DEPTH..][..depth].copy_from_slice(part);
        }
    }
    let channels = weight.inputs;
    Arch::new().dispatch(crate::elementwise::StoreRows { x: &rows, channels, out, above: 0, epilogue });
}

/// Sums of parts of the weights' rows, weighted by the gradient.
struct Combine<'a> {
    gradient: View<'a>,
    weight: Weight<'a>,
    from: usize,
    depth: usize,
    /// `[N, depth]`.
    sums: &'a mut [f32],
}

impl WithSimd for Combine<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { gradient, weight, from, depth, sums } = self;
        for o in 0..weight.outputs {
            let row = &weight.data[o * weight.inputs + from..][..depth];
            for (n, sums) in sums.chunks_exact_mut(depth).enumerate() {
                let g = gradient.row(n, o + 1)[o];
                if g == 0.0 {
                    continue;
                }
                let (head, tail) = S::as_mut_simd_f32s(sums);
                let (row_head, row_tail) = S::as_simd_f32s(row);
                let factor = simd.splat_f32s(g);
                for (sum, w) in head.iter_mut().zip(row_head) {
                    *sum = simd.mul_add_f32s(factor, *w, *sum);
                }
                tail.iter_mut().zip(row_tail).for_each(|(sum, w)| *sum += g * w);
            }
        }
    }
}
