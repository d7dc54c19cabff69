//! Comparisons, and logic on their results.
//!
//! Numbers and tensors without dimensions compare like numbers: the result is true or false. Otherwise the comparison is
//! made number by number, and the result is a mask, a tensor of 0 and 1. `==` and `!=` between two tensors compare
//! them as wholes, as Rhai's lists, `in` and `switch` need it; `eq` and `ne` compare number by number.

use candle_core::Tensor;
use rhai::Engine;

use super::TensorValue;
use super::arithmetic::{operator, raise};
use super::binary::zip_broadcast;
use super::elementwise::map;
use super::operand::Operand;
use crate::error::Result;
use crate::lang::{Dynamic, Extension, IntoValue, function};

inventory::submit! { Extension(comparisons) }

fn comparisons(engine: &mut Engine) {
    operator(engine, "<", |a, b| compared(a, b, "`<`", |a, b| a < b));
    operator(engine, "<=", |a, b| compared(a, b, "`<=`", |a, b| a <= b));
    operator(engine, ">", |a, b| compared(a, b, "`>`", |a, b| a > b));
    operator(engine, ">=", |a, b| compared(a, b, "`>=`", |a, b| a >= b));
    operator(engine, "==", |a, b| compared(a, b, "`==`", |a, b| a == b));
    operator(engine, "!=", |a, b| compared(a, b, "`!=`", |a, b| a != b));
    // registered later, these replace those between two tensors
    engine.register_fn("==", |a: TensorValue, b: TensorValue| is_same(&a, &b).map_err(raise));
    engine.register_fn("!=", |a: TensorValue, b: TensorValue| is_same(&a, &b).map(|same| !same).map_err(raise));
    operator(engine, "&", |a, b| mask(a, b, "`&`", |a, b| a != 0.0 && b != 0.0));
    operator(engine, "|", |a, b| mask(a, b, "`|`", |a, b| a != 0.0 || b != 0.0));
    engine.register_fn("!", |a: TensorValue| map(a.inner(), |a| truth(a == 0.0)).map(TensorValue::mask).map_err(raise));
}

fn truth(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

fn mask(a: &Tensor, b: &Tensor, name: &str, holds: fn(f32, f32) -> bool) -> Result<TensorValue> {
    Ok(TensorValue::mask(zip_broadcast(a, b, name, |a, b| truth(holds(a, b)))?))
}

fn compared(a: &Tensor, b: &Tensor, name: &str, holds: fn(f32, f32) -> bool) -> Result<Dynamic> {
    let mask = mask(a, b, name, holds)?;
    if a.rank() == 0 && b.rank() == 0 {
        return Ok((mask.number()? != 0.0).into_value());
    }
    Ok(mask.into_value())
}

/// Are shapes and all numbers equal?
fn is_same(a: &TensorValue, b: &TensorValue) -> Result<bool> {
    Ok(a.inner().dims() == b.inner().dims() && a.values()? == b.values()?)
}

/// Where two tensors are equal, number by number: a mask of 0 and 1.
///
/// `a == b` says whether two tensors are equal as wholes.
///
/// ```rhai
/// eq(tensor([1, 2, 3]), tensor([1, 5, 3])).mean()
/// ```
#[function]
fn eq(
    /// A tensor or a number.
    a: Operand,
    /// A tensor or a number, of a shape that fits the first one's.
    b: Operand,
) -> Result<TensorValue> {
    mask(&a.tensor()?, &b.tensor()?, "eq", |a, b| a == b).map_err(|error| error.at_argument("b"))
}

/// Where two tensors differ, number by number: a mask of 0 and 1.
///
/// `a != b` says whether two tensors differ as wholes.
///
/// ```rhai
/// ne(tensor([1, 2, 3]), tensor([1, 5, 3])).sum()
/// ```
#[function]
fn ne(
    /// A tensor or a number.
    a: Operand,
    /// A tensor or a number, of a shape that fits the first one's.
    b: Operand,
) -> Result<TensorValue> {
    mask(&a.tensor()?, &b.tensor()?, "ne", |a, b| a != b).map_err(|error| error.at_argument("b"))
}
