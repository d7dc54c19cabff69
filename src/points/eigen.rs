//! The largest eigenvalues of symmetric matrices and their eigenvectors.

use nalgebra::{DMatrix, SymmetricEigen};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::error::{Error, Kind, Result};

/// Vectors that are multiplied at once.
const BLOCK: usize = 8;
/// Matrices of at most so many rows are decomposed whole when the iteration has not come to rest.
const WHOLE: usize = 1500;

/// The largest eigenvalues of a matrix.
#[derive(Clone, Debug)]
pub(crate) struct Leading {
    /// In descending order.
    pub(crate) values: Vec<f64>,
    /// One column of length 1 for each value.
    pub(crate) vectors: DMatrix<f64>,
    /// The largest of ‖A v − λ v‖, as a part of the largest |λ|.
    pub(crate) residual: f64,
}

/// The `count` largest eigenvalues of a symmetric matrix of `size` rows, which is known by its products with blocks of
/// columns.
///
/// It is the block Lanczos method from a random start with full orthogonalization, restarted with the best vectors so
/// far (Wu and Simon, Thick-Restart Lanczos Method for Large Symmetric Eigenvalue Problems, 2000; for random starts see
/// Musco and Musco, Randomized Block Krylov Methods, 2015). It ends when the residual is at most `tolerance` or after
/// `rounds` restarts. Small matrices, and those of which a large part is wanted, are decomposed whole.
///
/// # Errors
/// The decomposition of a small matrix does not converge.
pub(crate) fn leading(
    size: usize,
    count: usize,
    seed: u64,
    (tolerance, rounds): (f64, usize),
    multiply: &dyn Fn(&DMatrix<f64>) -> DMatrix<f64>,
) -> Result<Leading> {
    let count = count.min(size);
    let limit = 2 * count + 8 * BLOCK;
    if size <= 2 * limit {
        return whole(size, count, multiply);
    }
    let keep = count + 2 * BLOCK;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut basis = DMatrix::zeros(size, limit);
    // the matrix times the basis
    let mut images = DMatrix::zeros(size, limit);
    let mut used = 0;
    let mut next = noise(&mut random, size);
    orthonormalize(&mut next, &basis, used, &mut random);
    for round in 0.. {
        while used + BLOCK <= limit {
            let image = multiply(&next);
            basis.columns_mut(used, BLOCK).copy_from(&next);
            images.columns_mut(used, BLOCK).copy_from(&image);
            used += BLOCK;
            next = image;
            orthonormalize(&mut next, &basis, used, &mut random);
        }
        let (values, turn) = sorted(basis.columns(0, used).transpose() * images.columns(0, used))?;
        let kept = turn.columns(0, keep);
        let vectors = basis.columns(0, used) * kept;
        let turned = images.columns(0, used) * kept;
        let scale = values.iter().fold(f64::MIN_POSITIVE, |most, value| most.max(value.abs()));
        let missed = |index: usize| (turned.column(index) - vectors.column(index) * values[index]).norm();
        let residual = (0..count).map(missed).fold(0.0, f64::max) / scale;
        if residual <= tolerance || round >= rounds {
            if residual > tolerance && size <= WHOLE {
                break;
            }
            let values = values.into_iter().take(count).collect();
            return Ok(Leading { values, vectors: vectors.columns(0, count).into(), residual });
        }
        basis.columns_mut(0, keep).copy_from(&vectors);
        images.columns_mut(0, keep).copy_from(&turned);
        used = keep;
    }
    whole(size, count, multiply)
}

/// The same from all of the matrix.
fn whole(size: usize, count: usize, multiply: &dyn Fn(&DMatrix<f64>) -> DMatrix<f64>) -> Result<Leading> {
    let (values, vectors) = sorted(multiply(&DMatrix::identity(size, size)))?;
    let values = values.into_iter().take(count).collect();
    Ok(Leading { values, vectors: vectors.columns(0, count).into(), residual: 0.0 })
}

/// All eigenvalues in descending order and their eigenvectors, as columns.
fn sorted(matrix: DMatrix<f64>) -> Result<(Vec<f64>, DMatrix<f64>)> {
    let steps = 100 * matrix.nrows().max(10);
    let symmetric = (&matrix + matrix.transpose()) * 0.5;
    let eigen = SymmetricEigen::try_new(symmetric, f64::EPSILON, steps);
    let eigen = eigen.ok_or_else(|| Error::new(Kind::Internal, "the eigenvalues do not converge"))?;
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let values = order.iter().map(|index| eigen.eigenvalues[*index]).collect();
    Ok((values, eigen.eigenvectors.select_columns(&order)))
}

/// A block of normal random numbers.
fn noise(random: &mut ChaCha8Rng, size: usize) -> DMatrix<f64> {
    DMatrix::from_fn(size, BLOCK, |_, _| StandardNormal.sample(random))
}

/// Makes the columns of a block orthogonal to each other and to the first `used` of the basis, with length 1. Those of
/// which nothing is left become random ones.
fn orthonormalize(block: &mut DMatrix<f64>, basis: &DMatrix<f64>, used: usize, random: &mut ChaCha8Rng) {
    let lengths: Vec<f64> = block.column_iter().map(|column| column.norm()).collect();
    outside(block, basis, used);
    for (index, length) in lengths.iter().enumerate() {
        let left = within(block, index);
        // what is left of less than that is rounding
        if left > 1e-10 * length && left > f64::MIN_POSITIVE {
            continue;
        }
        let mut fresh = noise(random, block.nrows());
        outside(&mut fresh, basis, used);
        block.set_column(index, &fresh.column(0));
        within(block, index);
    }
    // the columns left over from small differences lean into the basis by what rounding made of them
    outside(block, basis, used);
    for index in 0..block.ncols() {
        within(block, index);
    }
}

/// Takes out of each column what lies in the first `used` columns of the basis.
fn outside(block: &mut DMatrix<f64>, basis: &DMatrix<f64>, used: usize) {
    for _ in 0..2 {
        if used > 0 {
            let shares = block.transpose() * basis.columns(0, used);
            block.gemm(-1.0, &basis.columns(0, used), &shares.transpose(), 1.0);
        }
    }
}

/// Takes out of a column what lies in the columns before it and gives it length 1; what its length was.
fn within(block: &mut DMatrix<f64>, index: usize) -> f64 {
    let mut column = block.column(index).into_owned();
    for _ in 0..2 {
        for before in 0..index {
            let share = block.column(before).dot(&column);
            column.axpy(-share, &block.column(before), 1.0);
        }
    }
    let length = column.norm();
    if length > 0.0 {
        column /= length;
    }
    block.set_column(index, &column);
    length
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::RngExt;

    use super::*;

    /// A matrix with the given eigenvalues.
    fn with_values(values: &[f64], seed: u64) -> DMatrix<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let size = values.len();
        let turn = DMatrix::from_fn(size, size, |_, _| random.random_range(-1.0..1.0)).qr().q();
        &turn * DMatrix::from_diagonal(&values.to_vec().into()) * turn.transpose()
    }

    fn assert_leading(values: &[f64], count: usize) {
        let matrix = with_values(values, 1);
        let found = leading(values.len(), count, 0, (1e-11, 30), &|block| &matrix * block).unwrap();
        let mut truth = values.to_vec();
        truth.sort_by(|a, b| b.total_cmp(a));
        let scale = truth.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        for (value, truth) in found.values.iter().zip(&truth) {
            assert!((value - truth).abs() <= 1e-9 * scale, "{value} instead of {truth}");
        }
        let gram = found.vectors.transpose() * &found.vectors;
        assert!((gram - DMatrix::identity(count, count)).amax() < 1e-10);
        let missed = &matrix * &found.vectors - &found.vectors * DMatrix::from_diagonal(&found.values.into());
        assert!(missed.amax() <= 1e-9 * scale.max(1e-300));
    }

    #[test]
    fn the_largest_eigenvalues_are_found() {
        // falling quickly, slowly, with equal ones, few that are not zero, none, and one far above the others
        assert_leading(&(0..400).map(|i| 0.8f64.powi(i)).collect::<Vec<_>>(), 10);
        assert_leading(&(0..400).map(|i| 400.0 - f64::from(i)).collect::<Vec<_>>(), 10);
        assert_leading(&(0..400).map(|i| if i < 6 { 2.0 } else { 1.0 / f64::from(i) }).collect::<Vec<_>>(), 5);
        assert_leading(&(0..400).map(|i| if i < 3 { 1.0 } else { 0.0 }).collect::<Vec<_>>(), 5);
        assert_leading(&[0.0; 300], 2);
        assert_leading(&(0..400).map(|i| if i == 0 { 1e6 } else { 2.0 - 0.005 * f64::from(i) }).collect::<Vec<_>>(), 4);
        // whole
        assert_leading(&[3.0, -1.0, 2.0, 0.5], 4);
        assert_leading(&[1.0], 1);
    }
}
