//! Matrix products with weights that were packed before, whose left rows may lie anywhere.
//!
//! The inner loop is that of every fast matrix product since GotoBLAS: a tile of six rows by two vectors stays in
//! registers while it runs over all of K. What differs is that the left matrix is never copied: each row of the
//! product names where its parts begin in a larger array (XNNPACK's "indirect GEMM", Dukhan 2019,
//! arXiv:1907.02129), so a convolution over maps in NHWC order needs no columns.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};

use super::View;

/// Rows of a tile.
const ROWS: usize = 6;

/// What becomes of a sum before it is stored, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finish<'a> {
    /// Added to every row.
    pub(crate) bias: Option<&'a [f32]>,
    /// Whether to add what is there already.
    pub(crate) accumulate: bool,
    /// Added element by element; same rows as the result.
    pub(crate) residual: Option<View<'a>>,
    /// Limits.
    pub(crate) clip: Option<(f32, f32)>,
    /// Gate of a rectifier's gradient.
    pub(crate) gate: Option<Gate<'a>>,
}

/// Lets a gradient through by the rule of a rectifier whose value is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gate<'a> {
    /// The rectifier's values; same rows as the result.
    pub(crate) values: View<'a>,
    /// Where the value is above 0 and below this.
    pub(crate) below: f32,
    /// Only where the value is open.
    pub(crate) by_value: bool,
    /// Only positive gradients.
    pub(crate) positive: bool,
}

/// Floats in a vector of this machine.
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes)
}

/// A matrix `[K, N]` cut into panels of two vectors of columns, each stored row by row, the last filled up with zeros.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    pub(crate) k: usize,
    pub(crate) n: usize,
    /// Columns of a panel: two vectors.
    pub(crate) width: usize,
    pub(crate) data: Vec<f32>,
}

impl Packed {
    pub(crate) fn new(k: usize, n: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let width = 2 * lanes();
        let panels = n.div_ceil(width);
        let mut data = vec![0f32; panels * k * width];
        for (panel, data) in data.chunks_exact_mut((k * width).max(1)).enumerate() {
            let columns = width.min(n - panel * width);
            for (row, data) in data.chunks_exact_mut(width).enumerate() {
                data[..columns].iter_mut().enumerate().for_each(|(i, v)| *v = at(row, panel * width + i));
            }
        }
        Self { k, n, width, data }
    }

    /// Columns with those that fill up the last panel.
    pub(crate) fn padded_n(&self) -> usize {
        self.n.next_multiple_of(self.width)
    }

    /// Floats it holds.
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }
}

/// Where the parts of the left rows lie.
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    /// For each row of the product, where each of its parts begins.
    pub(crate) starts: &'a [usize],
    /// Parts of a row.
    pub(crate) parts: usize,
    /// Floats of a part.
    pub(crate) length: usize,
}

/// `left · right`, finished. Row r of the product is row `targets[r]` of the result, of which `out` begins with
/// row `above`.
pub(crate) struct Product<'a> {
    pub(crate) left: Rows<'a>,
    pub(crate) right: &'a Packed,
    pub(crate) targets: &'a [usize],
    pub(crate) out: &'a mut [f32],
    pub(crate) above: usize,
    pub(crate) stride: usize,
    pub(crate) offset: usize,
    /// Whether each row has room for whole panels.
    pub(crate) padded: bool,
    pub(crate) finish: Finish<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, targets, out, above, stride, offset, padded, finish } = self;
        let (data, _) = S::as_simd_f32s(&right.data);
        let plain = finish.is_plain();
        for panel in 0..right.n.div_ceil(right.width) {
            let b = &data[panel * 2 * right.k..][..2 * right.k];
            let column = panel * right.width;
            let columns = if padded { right.width } else { right.width.min(right.n - column) };
            let first = offset + column;
            let mut row = 0;
            while row < targets.len() {
                let count = ROWS.min(targets.len() - row);
                let tile = Tile {
                    left: &left,
                    b,
                    row,
                    column,
                    columns,
                    targets,
                    above,
                    stride,
                    first,
                    finish: &finish,
                    plain,
                };
                match count {
                    6 => tile.run::<S, 6>(simd, out),
                    5 => tile.run::<S, 5>(simd, out),
                    4 => tile.run::<S, 4>(simd, out),
                    3 => tile.run::<S, 3>(simd, out),
                    2 => tile.run::<S, 2>(simd, out),
                    _ => tile.run::<S, 1>(simd, out),
                }
                row += count;
            }
        }
    }
}

/// A few rows of the product and one panel of its columns.
struct Tile<'a, V> {
    left: &'a Rows<'a>,
    b: &'a [V],
    row: usize,
    column: usize,
    columns: usize,
    targets: &'a [usize],
    above: usize,
    stride: usize,
    first: usize,
    finish: &'a Finish<'a>,
    /// Whether the finish changes nothing.
    plain: bool,
}

impl<V: Copy> Tile<'_, V> {
    #[inline(always)]
    fn run<S: Simd<f32s = V>, const M: usize>(&self, simd: S, out: &mut [f32]) {
        let mut sums = [[simd.splat_f32s(0.0); 2]; M];
        let Rows { data, starts, parts, length } = *self.left;
        let mut b = self.b;
        for part in 0..parts {
            let a: [&[f32]; M] = from_fn(|i| &data[starts[(self.row + i) * parts + part]..][..length]);
            let (here, after) = b.split_at(2 * length);
            b = after;
            let pairs = &here.as_chunks::<2>().0[..length];
            for k in 0..length {
                let [b0, b1] = pairs[k];
                for i in 0..M {
                    let x = simd.splat_f32s(a[i][k]);
                    sums[i][0] = simd.mul_add_f32s(x, b0, sums[i][0]);
                    sums[i][1] = simd.mul_add_f32s(x, b1, sums[i][1]);
                }
            }
        }
        let lanes = S::F32_LANES;
        if self.columns == 2 * lanes && self.plain {
            for i in 0..M {
                let at = (self.targets[self.row + i] - self.above) * self.stride + self.first;
                let pairs = S::as_mut_simd_f32s(&mut out[at..][..2 * lanes]).0;
                pairs[0] = sums[i][0];
                pairs[1] = sums[i][1];
            }
            return;
        }
        for i in 0..M {
            let row = self.targets[self.row + i];
            let out = &mut out[(row - self.above) * self.stride + self.first..][..self.columns];
            if self.columns == 2 * lanes {
                for half in 0..2 {
                    let here = half * lanes;
                    let out = &mut out[here..][..lanes];
                    self.finish.store::<S, true>(simd, sums[i][half], out, row, self.column + here);
                }
            } else {
                let (low, high) = out.split_at_mut(self.columns.min(lanes));
                self.finish.store::<S, false>(simd, sums[i][0], low, row, self.column);
                if !high.is_empty() {
                    self.finish.store::<S, false>(simd, sums[i][1], high, row, self.column + lanes);
                }
            }
        }
    }
}

/// A vector from a slice; if it isn't `FULL`, the slice may be shorter and the rest is zero.
#[inline(always)]
pub(crate) fn load<S: Simd, const FULL: bool>(simd: S, values: &[f32]) -> S::f32s {
    if FULL { S::as_simd_f32s(&values[..S::F32_LANES]).0[0] } else { simd.partial_load_f32s(values) }
}

/// A vector into a slice; if it isn't `FULL`, the slice may be shorter.
#[inline(always)]
pub(crate) fn store<S: Simd, const FULL: bool>(simd: S, out: &mut [f32], v: S::f32s) {
    if FULL { S::as_mut_simd_f32s(&mut out[..S::F32_LANES]).0[0] = v } else { simd.partial_store_f32s(out, v) }
}

impl<'a> Finish<'a> {
    /// The same for a result that begins with a later channel.
    pub(crate) fn from_channel(&self, channel: usize) -> Self {
        let later = |view: View<'a>| View { offset: view.offset + channel, ..view };
        Self {
            bias: self.bias.map(|bias| &bias[channel..]),
            residual: self.residual.map(later),
            gate: self.gate.map(|gate| Gate { values: later(gate.values), ..gate }),
            ..*self
        }
    }

    /// Whether sums are stored as they are.
    fn is_plain(&self) -> bool {
        self.bias.is_none() && !self.accumulate && self.residual.is_none() && self.clip.is_none() && self.gate.is_none()
    }

    /// Stores a vector as part of `row`, from `column` on.
    #[inline(always)]
    pub(crate) fn store<S: Simd, const FULL: bool>(
        &self,
        simd: S,
        sum: S::f32s,
        out: &mut [f32],
        row: usize,
        column: usize,
    ) {
        let count = out.len();
        let mut v = sum;
        if let Some(bias) = self.bias {
            v = simd.add_f32s(v, load::<S, FULL>(simd, &bias[column..][..count]));
        }
        if self.accumulate {
            v = simd.add_f32s(v, load::<S, FULL>(simd, out));
        }
        if let Some(residual) = self.residual {
            v = simd.add_f32s(v, load::<S, FULL>(simd, &residual.row(row, column + count)[column..]));
        }
        if let Some((low, high)) = self.clip {
            let low = simd.splat_f32s(low);
            v = simd.select_f32s(simd.less_than_f32s(v, low), low, v);
            if high < f32::INFINITY {
                let high = simd.splat_f32s(high);
                v = simd.select_f32s(simd.less_than_f32s(high, v), high, v);
            }
        }
        if let Some(gate) = self.gate {
            let zero = simd.splat_f32s(0.0);
            if gate.positive {
                v = simd.max_f32s(v, zero);
            }
            if gate.by_value {
                let y = load::<S, FULL>(simd, &gate.values.row(row, column + count)[column..]);
                let below = simd.splat_f32s(gate.below);
                let open = simd.and_m32s(simd.less_than_f32s(zero, y), simd.less_than_f32s(y, below));
                v = simd.select_f32s(open, v, zero);
            }
        }
        store::<S, FULL>(simd, out, v);
    }
}
