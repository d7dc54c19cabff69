//! Choosing between numbers, place by place: `where`, `maximum` and `minimum`.

use super::TensorValue;
use super::binary::{maximum as greater, select};
use super::operand::Operand;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject, function};

/// A tensor of truths.
struct Condition(TensorValue);

impl FromValue for Condition {
    const EXPECTED: &'static str = "a tensor";
    const TYPES: &'static [&'static str] = &["tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Ok(truth) = value.as_bool() {
            let hint =
                "`==` compares tensors as wholes, eq(a, b) number by number; `if` chooses by one truth".to_owned();
            return Err(Reject::Because(format!("must be a tensor, not {truth}"), Some(hint)));
        }
        TensorValue::from_value(value).map(Self)
    }
}

/// Numbers of one tensor where a condition holds, elsewhere those of another. Differentiable.
///
/// ```rhai
/// let t = tensor([-2, 0, 3]);
/// where(t > 0, t, 0)
/// ```
#[function(name = "where")]
fn where_function(
    /// A tensor, for example the result of a comparison: it holds where it is not 0.
    condition: Condition,
    /// What is taken where it holds: a tensor or a number.
    a: Operand,
    /// What is taken elsewhere: a tensor or a number. The three shapes are broadcast.
    b: Operand,
) -> Result<TensorValue> {
    Ok(select(condition.0.inner(), &a.tensor()?, &b.tensor()?).map_err(|error| error.at_argument("a"))?.into())
}

/// The greater of each two numbers. Differentiable; equal ones share the gradient.
///
/// ```rhai
/// maximum(tensor([-2, 0, 3]), 1)
/// ```
#[function]
fn maximum(
    /// A tensor or a number.
    a: Operand,
    /// A tensor or a number, of a shape that fits the first one's.
    b: Operand,
) -> Result<Operand> {
    of_two(a, b, false, "maximum")
}

/// The lesser of each two numbers. Differentiable; equal ones share the gradient.
///
/// ```rhai
/// minimum(tensor([-2, 0, 3]), 1)
/// ```
#[function]
fn minimum(
    /// A tensor or a number.
    a: Operand,
    /// A tensor or a number, of a shape that fits the first one's.
    b: Operand,
) -> Result<Operand> {
    of_two(a, b, true, "minimum")
}

/// The greater of each two numbers; the same as `maximum`.
///
/// ```rhai
/// max(tensor([1, 6, 2]), tensor([3, 3, 3]))
/// ```
#[function(name = "max")]
fn max_of_two(
    /// A tensor or a number.
    a: Operand,
    /// A tensor or a number, of a shape that fits the first one's. Not an integer beside a tensor, which could be
    /// meant as a dimension.
    b: Dynamic,
) -> Result<Operand> {
    of_two(a.clone(), second(&a, &b, "max")?, false, "max")
}

/// The lesser of each two numbers; the same as `minimum`.
///
/// ```rhai
/// min(tensor([1, 6, 2]), tensor([3, 3, 3]))
/// ```
#[function(name = "min")]
fn min_of_two(
    /// A tensor or a number.
    a: Operand,
    /// A tensor or a number, of a shape that fits the first one's. Not an integer beside a tensor, which could be
    /// meant as a dimension.
    b: Dynamic,
) -> Result<Operand> {
    of_two(a.clone(), second(&a, &b, "min")?, true, "min")
}

/// NumPy and PyTorch take `max(t, 0)` as the maxima along dimension 0.
fn second(a: &Operand, b: &Dynamic, function: &str) -> Result<Operand> {
    if let (Operand::Tensor(_), Ok(number)) = (a, b.as_int()) {
        let message = format!("{function}: is {number} a dimension or a number to compare with?");
        let hint = format!("write dim={number}, or {function}imum(t, {number})");
        return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("b"));
    }
    Operand::from_value(b).map_err(|_| {
        let message = format!("{function}: `b` must be a tensor or a number, not {}", crate::lang::describe(b));
        Error::new(Kind::Argument, message).at_argument("b")
    })
}

fn of_two(a: Operand, b: Operand, least: bool, function: &'static str) -> Result<Operand> {
    if let (Operand::Number(a), Operand::Number(b)) = (&a, &b) {
        let is_first = if least { a < b } else { a > b };
        return Ok(Operand::Number(if is_first || a.is_nan() { *a } else { *b }));
    }
    let y = greater(&a.tensor()?, &b.tensor()?, least, function).map_err(|error| error.at_argument("b"))?;
    Ok(Operand::Tensor(y.into()))
}
