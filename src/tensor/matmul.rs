//! The matrix product.

use candle_core::Tensor;

use super::create::check_size;
use super::sum::sum_to;
use super::{Rule, TensorValue, with_backwards};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// The matrix product as `torch.matmul`: `[…, n, k]` times `[…, k, m]`, with leading dimensions broadcast; a vector
/// `[k]` counts as a row on the left and as a column on the right, and leaves no dimension in the result.
///
/// # Errors
/// The shapes do not fit, one has no dimensions, or the result is too large.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let fits = fits(a.dims(), b.dims());
    if !fits {
        let message = format!("matmul: the shapes {:?} and {:?} do not fit", a.dims(), b.dims());
        let hint = "[n, k] goes with [k, m] or [k], and [k] with [k, m] or [k]";
        return Err(Error::new(Kind::Tensor, message).with_hint(hint).at_argument("b"));
    }
    let left = if a.rank() == 1 { a.unsqueeze(0)? } else { a.clone() };
    let right = if b.rank() == 1 { b.unsqueeze(1)? } else { b.clone() };
    let mut y = product(&left, &right)?;
    if b.rank() == 1 {
        y = y.squeeze(y.rank() - 1)?;
    }
    if a.rank() == 1 {
        // the row: last but one, or the last where the column is gone
        y = y.squeeze(y.rank() - if b.rank() == 1 { 1 } else { 2 })?;
    }
    Ok(y)
}

fn fits(a: &[usize], b: &[usize]) -> bool {
    let inner = match (a, b) {
        ([.., k], [l]) | ([.., k], [.., l, _]) => k == l,
        _ => false,
    };
    let leading = |shape: &[usize]| shape.split_last_chunk::<2>().map_or(vec![], |(leading, _)| leading.to_vec());
    inner && super::binary::broadcast_shape(&leading(a), &leading(b), "matmul").is_ok()
}

fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (left, right) = (a.detach(), b.detach());
    let ([leading_a @ .., n, _], [leading_b @ .., _, m]) = (a.dims(), b.dims()) else {
        return Err(Error::new(Kind::Internal, "a matrix has fewer than two dimensions"));
    };
    let leading = super::binary::broadcast_shape(leading_a, leading_b, "matmul")?;
    check_size(&[leading.as_slice(), &[*n, *m]].concat(), "matmul")?;
    let times = |a: &Tensor, b: &Tensor| a.contiguous()?.broadcast_matmul(&b.contiguous()?);
    let y = times(&left, &right)?;
    let (shape_a, shape_b) = (a.dims().to_vec(), b.dims().to_vec());
    let for_a: Rule = Box::new(move |g| sum_to(&times(g, &right.t()?)?, &shape_a));
    let for_b: Rule = Box::new(move |g| sum_to(&times(&left.t()?, g)?, &shape_b));
    with_backwards(vec![(a, for_a), (b, for_b)], y)
}

/// The matrix product; of two vectors the dot product. Differentiable.
///
/// ```rhai
/// tensor([[1, 2], [3, 4]]).matmul(tensor([1, 10]))
/// ```
#[function(name = "matmul")]
fn matmul_function(
    /// The tensor on the left, [..., n, k], or a vector [k].
    a: TensorValue,
    /// The tensor on the right, [..., k, m], or a vector [k]. Leading dimensions are broadcast.
    b: TensorValue,
) -> Result<TensorValue> {
    Ok(matmul(a.inner(), b.inner())?.into())
}
