//! Operations on two tensors whose shapes are broadcast as NumPy's, with gradients.
//!
//! candle has these too, but sums the gradients of what was broadcast in single precision, and takes powers by
//! logarithms, which negative numbers do not have.

use candle_core::Tensor;

use super::create::check_size;
use super::elementwise::{map, zip};
use super::sum::sum_to;
use super::{Rule, with_backwards};
use crate::error::{Error, Kind, Result};

/// The shape that two shapes are broadcast to.
///
/// # Errors
/// They do not fit each other, or the result is too large.
pub(super) fn broadcast_shape(a: &[usize], b: &[usize], function: &str) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], dim: usize| (dim + shape.len()).checked_sub(rank).map_or(1, |dim| shape[dim]);
    let sizes = (0..rank).map(|dim| match (size(a, dim), size(b, dim)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    });
    let shape = sizes.collect::<Option<Vec<_>>>().ok_or_else(|| {
        let message = format!("{function}: the shapes {a:?} and {b:?} do not fit");
        let hint = "sizes must be equal, or one of them 1, counted from the last dimension";
        Error::new(Kind::Tensor, message).with_hint(hint)
    })?;
    check_size(&shape, function)?;
    Ok(shape)
}

/// `f` of each pair of numbers of two tensors that are broadcast, off the tape.
///
/// # Errors
/// The shapes do not fit, or a tensor holds no float32 values.
pub(super) fn zip_broadcast(
    a: &Tensor,
    b: &Tensor,
    function: &str,
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> Result<Tensor> {
    let shape = broadcast_shape(a.dims(), b.dims(), function)?;
    let (a, b) = (a.detach(), b.detach());
    // a number needs no copies of itself
    if b.rank() == 0 {
        let b = b.to_scalar::<f32>()?;
        return map(&a, |a| f(a, b));
    }
    if a.rank() == 0 {
        let a = a.to_scalar::<f32>()?;
        return map(&b, |b| f(a, b));
    }
    zip(&a.broadcast_as(shape.as_slice())?, &b.broadcast_as(shape.as_slice())?, f)
}

/// Links a result to its two operands; each rule gives the gradient as if the operand had the result's shape.
pub(super) fn link((a, for_a): (&Tensor, Rule), (b, for_b): (&Tensor, Rule), y: Tensor) -> Result<Tensor> {
    let summed = |x: &Tensor, rule: Rule| -> Rule {
        let shape = x.dims().to_vec();
        Box::new(move |gradient| sum_to(&rule(gradient)?, &shape))
    };
    with_backwards(vec![(a, summed(a, for_a)), (b, summed(b, for_b))], y)
}

/// a + b.
///
/// # Errors
/// The shapes do not fit.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = zip_broadcast(a, b, "`+`", |a, b| a + b)?;
    link((a, Box::new(|g| Ok(g.clone()))), (b, Box::new(|g| Ok(g.clone()))), y)
}

/// a − b.
///
/// # Errors
/// The shapes do not fit.
pub(super) fn sub(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = zip_broadcast(a, b, "`-`", |a, b| a - b)?;
    link((a, Box::new(|g| Ok(g.clone()))), (b, Box::new(|g| Ok(g.neg()?))), y)
}

/// a · b.
///
/// # Errors
/// The shapes do not fit.
pub(super) fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = zip_broadcast(a, b, "`*`", |a, b| a * b)?;
    let (left, right) = (a.detach(), b.detach());
    let for_a: Rule = Box::new(move |g| zip_broadcast(g, &right, "`*`", |g, b| g * b));
    let for_b: Rule = Box::new(move |g| zip_broadcast(g, &left, "`*`", |g, a| g * a));
    link((a, for_a), (b, for_b), y)
}

/// a / b.
///
/// # Errors
/// The shapes do not fit.
pub(super) fn div(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let y = zip_broadcast(a, b, "`/`", |a, b| a / b)?;
    let (left, right, divisor) = (a.detach(), b.detach(), b.detach());
    let for_a: Rule = Box::new(move |g| zip_broadcast(g, &divisor, "`/`", |g, b| g / b));
    let for_b: Rule = Box::new(move |g| {
        let slope = zip_broadcast(&left, &right, "`/`", |a, b| -a / (b * b))?;
        Ok((g * slope)?)
    });
    link((a, for_a), (b, for_b), y)
}

/// a to the power of b: of a negative number where the exponent is an integer, else NaN.
///
/// # Errors
/// The shapes do not fit.
pub(super) fn pow(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let power = |a: f32, b: f32| f64::from(a).powf(f64::from(b));
    let y = zip_broadcast(a, b, "`**`", move |a, b| power(a, b) as f32)?;
    let (base, exponent) = (a.detach(), b.detach());
    let (same_base, same_exponent) = (base.clone(), exponent.clone());
    let for_a: Rule = Box::new(move |g| {
        let slope = zip_broadcast(&base, &exponent, "`**`", |a, b| match b {
            0.0 => 0.0,
            _ => (f64::from(b) * f64::from(a).powf(f64::from(b) - 1.0)) as f32,
        })?;
        Ok((g * slope)?)
    });
    let for_b: Rule = Box::new(move |g| {
        let slope = zip_broadcast(&same_base, &same_exponent, "`**`", |a, b| match a {
            0.0 if b >= 0.0 => 0.0,
            _ => (power(a, b) * f64::from(a).ln()) as f32,
        })?;
        Ok((g * slope)?)
    });
    link((a, for_a), (b, for_b), y)
}

/// The greater of each two numbers, or with `least` the lesser; NaN if one is NaN. Equal ones share the gradient.
///
/// # Errors
/// The shapes do not fit.
pub(super) fn maximum(a: &Tensor, b: &Tensor, least: bool, function: &'static str) -> Result<Tensor> {
    let is_better = move |a: f32, b: f32| if least { a < b } else { a > b };
    let y = zip_broadcast(a, b, function, |a, b| if is_better(a, b) || a.is_nan() { a } else { b })?;
    let share = move |own: f32, other: f32| match (own == other, is_better(other, own)) {
        (true, _) => 0.5,
        (_, true) => 0.0,
        _ => 1.0,
    };
    let rule = |own: &Tensor, other: &Tensor| -> Rule {
        let (own, other) = (own.detach(), other.detach());
        Box::new(move |g| Ok((g * zip_broadcast(&own, &other, function, share)?)?))
    };
    link((a, rule(a, b)), (b, rule(b, a)), y)
}

/// `a` where `condition` is not 0, elsewhere `b`.
///
/// # Errors
/// The shapes do not fit.
pub(super) fn select(condition: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let shape = broadcast_shape(a.dims(), b.dims(), "where")?;
    let shape = broadcast_shape(condition.dims(), &shape, "where").map_err(|error| error.at_argument("condition"))?;
    let condition = condition.detach().ne(0f32)?.broadcast_as(shape.as_slice())?.contiguous()?;
    let spread = |x: &Tensor| x.detach().broadcast_as(shape.as_slice())?.contiguous();
    let y = condition.where_cond(&spread(a)?, &spread(b)?)?;
    let other = condition.clone();
    let for_a: Rule = Box::new(move |g| Ok(condition.where_cond(&g.contiguous()?, &g.zeros_like()?.contiguous()?)?));
    let for_b: Rule = Box::new(move |g| Ok(other.where_cond(&g.zeros_like()?.contiguous()?, &g.contiguous()?)?));
    link((a, for_a), (b, for_b), y)
}
