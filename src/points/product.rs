//! Products of blocks of rows, computed by matrixmultiply through nalgebra, or by loops where a side is short.

use std::iter::Sum;

use nalgebra::{DMatrixView, DMatrixViewMut, RealField};

/// nalgebra computes products with a shorter side by loops, which read strided views past their ends.
const SHORTEST: usize = 6;
/// Sums that run side by side, so that the loop can use vectors.
const LANES: usize = 8;

/// `out[i, j]` = Σ over c of `a[i, c] · b[j, c]`, all row by row: `a` is `[m, columns]`, `b` `[n, columns]` and `out`
/// `[m, n]`. It runs on one thread.
pub(in crate::points) fn products<T: RealField + Copy + Sum>(a: &[T], b: &[T], columns: usize, out: &mut [T]) {
    let (m, n) = (a.len() / columns, b.len() / columns);
    if m == 0 || n == 0 {
        return;
    }
    if m.min(n).min(columns) < SHORTEST {
        for (a, out) in a.chunks_exact(columns).zip(out.chunks_exact_mut(n)) {
            b.chunks_exact(columns).zip(out).for_each(|(b, out)| *out = inner(a, b));
        }
        return;
    }
    // nalgebra's matrices are column by column: what is [m, n] to us is [n, m] to it
    let a = DMatrixView::from_slice(a, columns, m);
    let b = DMatrixView::from_slice_with_strides(b, n, columns, columns, 1);
    DMatrixViewMut::from_slice(out, n, m).gemm(T::one(), &b, &a, T::zero());
}

/// Adds Σ over r of `a[r, i] · b[r, j]` to `out[i, j]`, all row by row: `a` is `[rows, m]`, `b` `[rows, n]` and `out`
/// `[m, n]`.
pub(in crate::points) fn add_transposed_product(a: &[f64], b: &[f64], rows: usize, out: &mut [f64]) {
    let (m, n) = (a.len() / rows.max(1), b.len() / rows.max(1));
    if m == 0 || n == 0 {
        return;
    }
    if m.min(n).min(rows) < SHORTEST {
        for (a, b) in a.chunks_exact(m).zip(b.chunks_exact(n)) {
            for (a, out) in a.iter().zip(out.chunks_exact_mut(n)) {
                out.iter_mut().zip(b).for_each(|(out, b)| *out += a * b);
            }
        }
        return;
    }
    let a = DMatrixView::from_slice_with_strides(a, rows, m, m, 1);
    let b = DMatrixView::from_slice(b, n, rows);
    DMatrixViewMut::from_slice(out, n, m).gemm(1.0, &b, &a, 1.0);
}

/// Σ aᵢ bᵢ.
fn inner<T: RealField + Copy + Sum>(a: &[T], b: &[T]) -> T {
    let mut sums = [T::zero(); LANES];
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += *a * *b);
    }
    sums.into_iter().sum::<T>() + rest_a.iter().zip(rest_b).map(|(a, b)| *a * *b).sum::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_sums_over_columns_and_over_rows() {
        for (m, n, count) in [(1, 1, 1), (3, 2, 4), (7, 9, 6), (20, 31, 17), (8, 6, 700)] {
            let a: Vec<f64> = (0..m * count).map(|i| (i % 13) as f64 - 6.0).collect();
            let b: Vec<f64> = (0..n * count).map(|i| (i % 7) as f64 - 3.0).collect();
            let mut out = vec![f64::NAN; m * n];
            products(&a, &b, count, &mut out);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let sum: f64 = (0..count).map(|c| a[i * count + c] * b[j * count + c]).sum();
                assert_eq!(out[i * n + j], sum);
            }
            let mut out = vec![1.0; m * n];
            add_transposed_product(&a, &b, count, &mut out);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let sum: f64 = (0..count).map(|r| a[r * m + i] * b[r * n + j]).sum();
                assert_eq!(out[i * n + j], 1.0 + sum);
            }
        }
    }
}
