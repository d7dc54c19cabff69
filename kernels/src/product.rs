//! Matrix products with weights that were packed before, whose left rows may lie anywhere.
//!
//! The inner loop is that of every fast matrix product since GotoBLAS: a tile of a few rows by a few vectors stays in
//! registers while it runs over all of K. What differs is that the left matrix is never copied: each row of the
//! product names where its parts begin in a larger array (XNNPACK's "indirect GEMM", Dukhan 2019,
//! arXiv:1907.02129), so a convolution over maps in NHWC order needs no columns.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};

use crate::View;

/// How many rows and vectors of columns the registers of this machine hold as sums. Wide vectors come with 32
/// registers, where eight rows of three vectors leave room for what is multiplied and for the rows' addresses.
const fn tile(lanes: usize) -> [usize; 2] {
    if lanes >= 16 { [8, 3] } else { [6, 2] }
}

/// Rows that the parts of a product should be multiples of.
pub(crate) const ROWS: usize = 24;

/// What becomes of a sum before it is stored, in this order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to every row.
    pub bias: Option<&'a [f32]>,
    /// Whether to add what is there already.
    pub accumulate: bool,
    /// Added element by element; same rows as the result.
    pub residual: Option<View<'a>>,
    /// Limits.
    pub clip: Option<(f32, f32)>,
    /// Gate of a rectifier's gradient.
    pub gate: Option<Gate<'a>>,
}

/// Lets a gradient through by the rule of a rectifier whose value is known.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// The rectifier's values; same rows as the result.
    pub values: View<'a>,
    /// Where the value is above 0 and below this.
    pub below: f32,
    /// Only where the value is open.
    pub by_value: bool,
    /// Only positive gradients.
    pub positive: bool,
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

/// A matrix `[K, N]` cut into panels of a few vectors of columns, each stored row by row, the last filled up with zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    k: usize,
    n: usize,
    data: Vec<f32>,
}

/// Some vectors of columns of a packed matrix.
#[derive(Clone, Copy)]
struct Panel {
    /// The first column.
    column: usize,
    vectors: usize,
}

/// The panels of a matrix with `n` columns: as few as can be, and as equal as can be, the wider ones first.
fn panels(n: usize, lanes: usize) -> impl Iterator<Item = Panel> {
    let [_, most] = tile(lanes);
    let vectors = n.div_ceil(lanes);
    let count = vectors.div_ceil(most);
    let mut done = 0;
    (0..count).map(move |i| {
        let vectors = (vectors - done).div_ceil(count - i);
        done += vectors;
        Panel { column: (done - vectors) * lanes, vectors }
    })
}

impl Packed {
    pub(crate) fn new(k: usize, n: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut packed = Self::default();
        packed.pack(k, n, |row, column, out| {
            out.iter_mut().enumerate().for_each(|(i, v)| *v = at(row, column + i));
        });
        packed
    }

    /// Becomes a matrix whose rows lie in memory.
    pub(crate) fn pack_rows<'a>(&mut self, k: usize, n: usize, row: impl Fn(usize) -> &'a [f32]) {
        self.pack(k, n, |at, column, out| out.copy_from_slice(&row(at)[column..][..out.len()]));
    }

    /// Calls `fill` for the part of each row, from a column on, that is in each panel.
    fn pack(&mut self, k: usize, n: usize, fill: impl Fn(usize, usize, &mut [f32])) {
        let lanes = lanes();
        (self.k, self.n) = (k, n);
        self.data.resize(k * n.next_multiple_of(lanes), 0.0);
        let mut rest = self.data.as_mut_slice();
        for Panel { column, vectors } in panels(n, lanes) {
            let width = vectors * lanes;
            let (panel, after) = rest.split_at_mut(k * width);
            rest = after;
            let columns = width.min(n - column);
            for (row, data) in panel.chunks_exact_mut(width).enumerate() {
                fill(row, column, &mut data[..columns]);
                data[columns..].fill(0.0);
            }
        }
    }

    /// Columns with those that fill up the last vector.
    pub(crate) fn padded_n(&self) -> usize {
        self.n.next_multiple_of(lanes())
    }

    /// Floats it holds.
    pub(crate) fn floats(&self) -> usize {
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
    /// Whether each row has room for whole vectors.
    pub(crate) padded: bool,
    pub(crate) epilogue: Epilogue<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (data, _) = S::as_simd_f32s(&self.right.data);
        let mut rest = data;
        for Panel { column, vectors } in panels(self.right.n, S::F32_LANES) {
            let (b, after) = rest.split_at(vectors * self.right.k);
            rest = after;
            let columns = vectors * S::F32_LANES;
            let columns = if self.padded { columns } else { columns.min(self.right.n - column) };
            let panel = Tiles {
                left: &self.left,
                b,
                column,
                columns,
                targets: self.targets,
                above: self.above,
                stride: self.stride,
                first: self.offset + column,
                epilogue: &self.epilogue,
                plain: self.epilogue.is_plain(),
            };
            match vectors {
                3 if tile(S::F32_LANES)[1] >= 3 => panel.run::<S, 3>(simd, self.out),
                2 => panel.run::<S, 2>(simd, self.out),
                _ => panel.run::<S, 1>(simd, self.out),
            }
        }
    }
}

/// All rows of the product and one panel of its columns.
struct Tiles<'a, V> {
    left: &'a Rows<'a>,
    b: &'a [V],
    column: usize,
    columns: usize,
    targets: &'a [usize],
    above: usize,
    stride: usize,
    first: usize,
    epilogue: &'a Epilogue<'a>,
    /// Whether the epilogue changes nothing.
    plain: bool,
}

impl<V: Copy> Tiles<'_, V> {
    #[inline(always)]
    fn run<S: Simd<f32s = V>, const N: usize>(&self, simd: S, out: &mut [f32]) {
        let [most, _] = tile(S::F32_LANES);
        let mut row = 0;
        while row < self.targets.len() {
            row += match (self.targets.len() - row).min(most) {
                8 => self.tile::<S, 8, N>(simd, row, out),
                6 | 7 => self.tile::<S, 6, N>(simd, row, out),
                4 | 5 => self.tile::<S, 4, N>(simd, row, out),
                2 | 3 => self.tile::<S, 2, N>(simd, row, out),
                _ => self.tile::<S, 1, N>(simd, row, out),
            };
        }
    }

    /// Computes `M` rows from `row` on; returns `M`.
    #[inline(always)]
    fn tile<S: Simd<f32s = V>, const M: usize, const N: usize>(&self, simd: S, row: usize, out: &mut [f32]) -> usize {
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let Rows { data, starts, parts, length } = *self.left;
        let mut b = self.b;
        for part in 0..parts {
            let a: [&[f32]; M] = from_fn(|i| &data[starts[(row + i) * parts + part]..][..length]);
            let (here, after) = b.split_at(N * length);
            b = after;
            let vectors = &here.as_chunks::<N>().0[..length];
            for k in 0..length {
                let b = vectors[k];
                for i in 0..M {
                    let x = simd.splat_f32s(a[i][k]);
                    for j in 0..N {
                        sums[i][j] = simd.mul_add_f32s(x, b[j], sums[i][j]);
                    }
                }
            }
        }
        let lanes = S::F32_LANES;
        for (i, sums) in sums.iter().enumerate() {
            let row = self.targets[row + i];
            let out = &mut out[(row - self.above) * self.stride + self.first..][..self.columns];
            if self.columns == N * lanes {
                let mut sums = *sums;
                if !self.plain {
                    sums = self.epilogue.finish::<S, N, true>(simd, sums, out, row, self.column);
                }
                S::as_mut_simd_f32s(out).0.copy_from_slice(&sums);
                continue;
            }
            for (j, sum) in sums.iter().enumerate() {
                let (from, to) = ((j * lanes).min(self.columns), ((j + 1) * lanes).min(self.columns));
                let (out, column) = (&mut out[from..to], self.column + from);
                if out.len() == lanes {
                    self.epilogue.store::<S, true>(simd, *sum, out, row, column);
                } else if !out.is_empty() {
                    self.epilogue.store::<S, false>(simd, *sum, out, row, column);
                }
            }
        }
        M
    }
}

/// A vector from a slice; if it isn't `FULL`, the slice may be shorter and the rest is zero.
#[inline(always)]
pub(crate) fn load<S: Simd, const FULL: bool>(simd: S, values: &[f32]) -> S::f32s {
    // masks are for the last vector of a row only: they cost a call
    if FULL || values.len() >= S::F32_LANES {
        S::as_simd_f32s(&values[..S::F32_LANES]).0[0]
    } else {
        simd.partial_load_f32s(values)
    }
}

/// A vector into a slice; if it isn't `FULL`, the slice may be shorter.
#[inline(always)]
pub(crate) fn store<S: Simd, const FULL: bool>(simd: S, out: &mut [f32], v: S::f32s) {
    if FULL || out.len() >= S::F32_LANES {
        S::as_mut_simd_f32s(&mut out[..S::F32_LANES]).0[0] = v;
    } else {
        simd.partial_store_f32s(out, v);
    }
}

impl<'a> Epilogue<'a> {
    /// The same for a result that begins with a later channel.
    pub(crate) fn starting_at(&self, channel: usize) -> Self {
        let later = |view: View<'a>| View { offset: view.offset + channel, ..view };
        Self {
            bias: self.bias.map(|bias| &bias[channel..]),
            residual: self.residual.map(later),
            gate: self.gate.map(|gate| Gate { values: later(gate.values), ..gate }),
            ..*self
        }
    }

    /// Whether sums are stored as they are.
    pub(crate) fn is_plain(&self) -> bool {
        self.bias.is_none() && !self.accumulate && self.residual.is_none() && self.clip.is_none() && self.gate.is_none()
    }

    /// What becomes of some vectors side by side, part of `row` from `column` on, where `there` is so far. Unless `FULL`,
    /// it is one vector, and there may be fewer numbers than it holds.
    #[inline(always)]
    fn finish<S: Simd, const N: usize, const FULL: bool>(
        &self,
        simd: S,
        mut v: [S::f32s; N],
        there: &[f32],
        row: usize,
        column: usize,
    ) -> [S::f32s; N] {
        let count = if FULL { N * S::F32_LANES } else { there.len() };
        let vectors = |values: &[f32]| -> [S::f32s; N] {
            if FULL {
                // one check for all of them
                let vectors = S::as_simd_f32s(&values[..count]).0;
                from_fn(|j| vectors[j])
            } else {
                from_fn(|_| load::<S, false>(simd, &values[..count]))
            }
        };
        let add = |v: [S::f32s; N], more: [S::f32s; N]| from_fn(|j| simd.add_f32s(v[j], more[j]));
        if let Some(bias) = self.bias {
            v = add(v, vectors(&bias[column..]));
        }
        if self.accumulate {
            v = add(v, vectors(there));
        }
        if let Some(residual) = self.residual {
            v = add(v, vectors(&residual.row(row, column + count)[column..]));
        }
        if let Some((low, high)) = self.clip {
            let low = simd.splat_f32s(low);
            v = v.map(|v| simd.select_f32s(simd.less_than_f32s(v, low), low, v));
            if high < f32::INFINITY {
                let high = simd.splat_f32s(high);
                v = v.map(|v| simd.select_f32s(simd.less_than_f32s(high, v), high, v));
            }
        }
        if let Some(gate) = self.gate {
            let zero = simd.splat_f32s(0.0);
            if gate.positive {
                v = v.map(|v| simd.max_f32s(v, zero));
            }
            if gate.by_value {
                let y = vectors(&gate.values.row(row, column + count)[column..]);
                let below = simd.splat_f32s(gate.below);
                v = from_fn(|j| {
                    let open = simd.and_m32s(simd.less_than_f32s(zero, y[j]), simd.less_than_f32s(y[j], below));
                    simd.select_f32s(open, v[j], zero)
                });
            }
        }
        v
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
        let [v] = self.finish::<S, 1, FULL>(simd, [sum], out, row, column);
        store::<S, FULL>(simd, out, v);
    }
}
