//! Singular values and eigenvalues, computed by nalgebra in double precision.
//!
//! Gradients: Townsend, "Differentiating the singular value decomposition" (2016); Giles, "Collected matrix derivative
//! results for forward and reverse mode algorithmic differentiation" (2008).

use candle_core::{Device, Tensor};
use nalgebra::{DMatrix, DVector};
use rhai::Map;

use super::cpu::with_values;
use super::{TensorValue, check_finite, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::{IntoValue, function};

type Matrix = DMatrix<f64>;

/// How often the iterations for one matrix are repeated at most; a few times its size is usual.
const ITERATIONS: usize = 100_000;

/// U, the singular values in descending order, and Vᵀ: A = U · diag(S) · Vᵀ.
#[derive(Clone)]
struct Svd {
    u: Matrix,
    s: DVector<f64>,
    vt: Matrix,
}

impl Svd {
    fn new(a: Matrix) -> Option<Self> {
        let svd = a.try_svd(true, true, 5.0 * f64::EPSILON, ITERATIONS)?;
        Some(Self { u: svd.u?, s: svd.singular_values, vt: svd.v_t? })
    }

    /// 1 / (sⱼ² − sᵢ²), 0 on the diagonal.
    fn gaps(&self) -> Matrix {
        let n = self.s.len();
        Matrix::from_fn(n, n, |i, j| if i == j { 0.0 } else { 1.0 / (self.s[j].powi(2) - self.s[i].powi(2)) })
    }

    fn for_u(&self, g: &Matrix) -> Matrix {
        let s = Matrix::from_diagonal(&self.s);
        let inverse = Matrix::from_diagonal(&self.s.map(|s| 1.0 / s));
        let inner = self.u.transpose() * g;
        let turned = self.gaps().component_mul(&(&inner - inner.transpose()));
        let outside = g - &self.u * &inner;
        (&self.u * turned * s + outside * inverse) * &self.vt
    }

    fn for_s(&self, g: &Matrix) -> Matrix {
        &self.u * Matrix::from_diagonal(&g.column(0).into_owned()) * &self.vt
    }

    fn for_vt(&self, g: &Matrix) -> Matrix {
        let s = Matrix::from_diagonal(&self.s);
        let inverse = Matrix::from_diagonal(&self.s.map(|s| 1.0 / s));
        let inner = &self.vt * g.transpose();
        let turned = self.gaps().component_mul(&(&inner - inner.transpose()));
        let outside = g - inner.transpose() * &self.vt;
        &self.u * (s * turned * &self.vt + inverse * outside)
    }
}

/// Eigenvalues in ascending order and the eigenvectors, which are the columns.
#[derive(Clone)]
struct Eigen {
    values: DVector<f64>,
    vectors: Matrix,
}

impl Eigen {
    fn new(a: Matrix) -> Option<Self> {
        let found = a.try_symmetric_eigen(f64::EPSILON, ITERATIONS)?;
        let mut order: Vec<usize> = (0..found.eigenvalues.len()).collect();
        order.sort_by(|a, b| found.eigenvalues[*a].total_cmp(&found.eigenvalues[*b]));
        let values = DVector::from_iterator(order.len(), order.iter().map(|i| found.eigenvalues[*i]));
        let vectors = found.eigenvectors.select_columns(&order);
        Some(Self { values, vectors })
    }

    fn for_values(&self, g: &Matrix) -> Matrix {
        &self.vectors * Matrix::from_diagonal(&g.column(0).into_owned()) * self.vectors.transpose()
    }

    fn for_vectors(&self, g: &Matrix) -> Matrix {
        let n = self.values.len();
        let inner = self.vectors.transpose() * g;
        let share = |i: usize, j: usize| if i == j { 0.0 } else { inner[(i, j)] / (self.values[j] - self.values[i]) };
        &self.vectors * Matrix::from_fn(n, n, share) * self.vectors.transpose()
    }
}

/// The matrices of a stack `[…, m, n]`.
fn matrices(x: &Tensor, rows: usize, columns: usize) -> Result<Vec<Matrix>> {
    with_values(&x.detach(), |values| {
        let size = (rows * columns).max(1);
        let matrix = |part: &[f32]| Matrix::from_row_iterator(rows, columns, part.iter().map(|v| f64::from(*v)));
        values.chunks_exact(size).map(matrix).collect()
    })
}

/// A stack of matrices as a tensor of this shape.
fn stack(matrices: impl Iterator<Item = Matrix>, shape: Vec<usize>) -> Result<Tensor> {
    let values: Vec<f32> =
        matrices.flat_map(|m| m.transpose().iter().map(|value| *value as f32).collect::<Vec<_>>()).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Links one part of a decomposition to the matrices it was made from.
fn part<D: Clone + Send + Sync + 'static>(
    x: &Tensor,
    found: &[D],
    (rows, columns): (usize, usize),
    value: fn(&D) -> Matrix,
    rule: fn(&D, &Matrix) -> Matrix,
    is_vector: bool,
) -> Result<TensorValue> {
    let mut shape = x.dims()[..x.rank() - 2].to_vec();
    shape.push(rows);
    if !is_vector {
        shape.push(columns);
    }
    let y = stack(found.iter().map(value), shape)?;
    let (found, dims) = (found.to_vec(), x.dims().to_vec());
    let y = with_backward(x, y, move |gradient| {
        let gradients = matrices(gradient, rows, columns)?;
        stack(found.iter().zip(&gradients).map(|(found, g)| rule(found, g)), dims.clone())
    })?;
    Ok(y.into())
}

/// The size of the matrices, which are not empty and hold finite numbers.
fn matrix_size(tensor: &TensorValue, function: &str) -> Result<(usize, usize)> {
    let fault = |error: Error| error.at_argument("tensor");
    check_finite(tensor.inner(), "the matrix").map_err(|error| fault(error.context(function)))?;
    match tensor.inner().dims() {
        [.., rows, columns] if *rows > 0 && *columns > 0 => Ok((*rows, *columns)),
        dims => {
            let message = format!("{function}: a tensor of shape {dims:?} is no matrix");
            Err(fault(Error::new(Kind::Tensor, message).with_hint("it takes [..., m, n]")))
        }
    }
}

fn decomposed<D>(
    tensor: &TensorValue,
    (rows, columns): (usize, usize),
    function: &str,
    decompose: fn(Matrix) -> Option<D>,
) -> Result<Vec<D>> {
    let found = matrices(tensor.inner(), rows, columns)?.into_iter().map(decompose).collect::<Option<Vec<D>>>();
    found.ok_or_else(|| {
        let message = format!("{function}: the iteration did not end for a matrix of {rows}×{columns}");
        Error::new(Kind::Tensor, message).at_argument("tensor")
    })
}

/// The singular value decomposition: a map of `U` [..., m, k], `S` [..., k] and `Vh` [..., k, n], k the lesser of m and
/// n, with A = U · diag(S) · Vh.
///
/// Singular values are in descending order. The signs of a column of `U` and the row of `Vh` that goes with it are
/// arbitrary. Differentiable; the gradients of `U` and `Vh` exist where no two singular values are equal and none is 0.
///
/// ```rhai
/// let parts = svd(tensor([[1, 2], [3, 4], [5, 6]]));
/// parts.U.matmul(parts.S.reshape([2, 1]) * parts.Vh)
/// ```
#[function]
fn svd(
    /// The matrix A, or a stack of them, [..., m, n], of finite numbers.
    tensor: TensorValue,
) -> Result<Map> {
    let size @ (m, n) = matrix_size(&tensor, "svd")?;
    let k = m.min(n);
    let found = decomposed(&tensor, size, "svd", Svd::new)?;
    let x = tensor.inner();
    let u = part(x, &found, (m, k), |svd| svd.u.clone(), Svd::for_u, false)?;
    let s =
        part(x, &found, (k, 1), |svd| Matrix::from_column_slice(svd.s.len(), 1, svd.s.as_slice()), Svd::for_s, true)?;
    let vt = part(x, &found, (k, n), |svd| svd.vt.clone(), Svd::for_vt, false)?;
    Ok(Map::from([("U".into(), u.into_value()), ("S".into(), s.into_value()), ("Vh".into(), vt.into_value())]))
}

/// Eigenvalues and eigenvectors of a symmetric matrix: a map of `eigenvalues` [..., n], in ascending order, and
/// `eigenvectors` [..., n, n], which are the columns.
///
/// The sign of an eigenvector is arbitrary. Differentiable; the gradient of `eigenvectors` exists where no two
/// eigenvalues are equal.
///
/// ```rhai
/// eigh(tensor([[2, 1], [1, 2]])).eigenvalues
/// ```
#[function]
fn eigh(
    /// The symmetric matrix, or a stack of them, [..., n, n], of finite numbers.
    tensor: TensorValue,
) -> Result<Map> {
    let size @ (n, columns) = matrix_size(&tensor, "eigh")?;
    let x = tensor.inner();
    if n != columns {
        let message = format!("eigh: a matrix of {n}×{columns} is not square");
        let hint = "t.transpose(0, 1).matmul(t) is symmetric";
        return Err(Error::new(Kind::Tensor, message).with_hint(hint).at_argument("tensor"));
    }
    check_symmetric(&matrices(x, n, n)?)?;
    let found = decomposed(&tensor, size, "eigh", Eigen::new)?;
    let column = |eigen: &Eigen| Matrix::from_column_slice(eigen.values.len(), 1, eigen.values.as_slice());
    let values = part(x, &found, (n, 1), column, Eigen::for_values, true)?;
    let vectors = part(x, &found, (n, n), |eigen| eigen.vectors.clone(), Eigen::for_vectors, false)?;
    Ok(Map::from([("eigenvalues".into(), values.into_value()), ("eigenvectors".into(), vectors.into_value())]))
}

/// Symmetric but for rounding.
fn check_symmetric(matrices: &[Matrix]) -> Result<()> {
    for matrix in matrices {
        let difference = (matrix - matrix.transpose()).abs();
        if difference.max() > 1e-4 * matrix.abs().max() {
            let (j, i) = difference.iamax_full();
            let message = format!(
                "eigh: the matrix is not symmetric: {} at [{i}, {j}], {} at [{j}, {i}]",
                matrix[(i, j)] as f32,
                matrix[(j, i)] as f32
            );
            let hint = "(t + t.transpose(0, 1)) / 2 is; svd takes any matrix";
            return Err(Error::new(Kind::Tensor, message).with_hint(hint).at_argument("tensor"));
        }
    }
    Ok(())
}
