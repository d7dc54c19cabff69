//! Arithmetic: operators between tensors and numbers, and functions of each number.

use candle_core::Tensor;
use rhai::{Engine, EvalAltResult, Position};

use super::TensorValue;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, Extension, define};

inventory::submit! { Extension(operators) }

type Scripted<T> = Result<T, Box<EvalAltResult>>;

fn raise(error: Error) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE))
}

/// `+ - * / **` and comparisons. Shapes are broadcast as in NumPy.
fn operators(engine: &mut Engine) {
    binary(engine, "+", |a, b| a.broadcast_add(b));
    binary(engine, "-", |a, b| a.broadcast_sub(b));
    binary(engine, "*", |a, b| a.broadcast_mul(b));
    binary(engine, "/", |a, b| a.broadcast_div(b));
    binary(engine, "**", |a, b| a.broadcast_pow(b));
    engine.register_fn("-", |a: TensorValue| -> Scripted<TensorValue> {
        a.inner().neg().map(TensorValue::from).map_err(|error| raise(error.into()))
    });
    engine.register_fn("==", |a: TensorValue, b: TensorValue| same(&a, &b));
    engine.register_fn("!=", |a: TensorValue, b: TensorValue| same(&a, &b).map(|same| !same));
    comparison(engine, "==", |a, b| a == b);
    comparison(engine, "!=", |a, b| a != b);
    comparison(engine, "<", |a, b| a < b);
    comparison(engine, "<=", |a, b| a <= b);
    comparison(engine, ">", |a, b| a > b);
    comparison(engine, ">=", |a, b| a >= b);
}

fn binary(engine: &mut Engine, name: &'static str, operation: fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>) {
    let apply = move |a: &Tensor, b: &Tensor| -> Scripted<TensorValue> {
        operation(a, b).map(TensorValue::from).map_err(|_| {
            let message = format!("`{name}`: the shapes {:?} and {:?} do not fit", a.dims(), b.dims());
            let hint = "sizes must be equal, or one of them 1, counted from the last dimension";
            raise(Error::new(Kind::Tensor, message).with_hint(hint))
        })
    };
    let scalar = |number: f64| Tensor::new(number as f32, &candle_core::Device::Cpu).map_err(|e| raise(e.into()));
    engine.register_fn(name, move |a: TensorValue, b: TensorValue| apply(a.inner(), b.inner()));
    engine.register_fn(name, move |a: TensorValue, b: f64| apply(a.inner(), &scalar(b)?));
    engine.register_fn(name, move |a: TensorValue, b: i64| apply(a.inner(), &scalar(b as f64)?));
    engine.register_fn(name, move |a: f64, b: TensorValue| apply(&scalar(a)?, b.inner()));
    engine.register_fn(name, move |a: i64, b: TensorValue| apply(&scalar(a as f64)?, b.inner()));
}

/// A tensor of one number compares like a number.
fn comparison(engine: &mut Engine, name: &'static str, compare: fn(&f64, &f64) -> bool) {
    let number = |tensor: TensorValue| tensor.number().map_err(raise);
    engine.register_fn(name, move |a: TensorValue, b: f64| number(a).map(|a| compare(&a, &b)));
    engine.register_fn(name, move |a: TensorValue, b: i64| number(a).map(|a| compare(&a, &(b as f64))));
    engine.register_fn(name, move |a: f64, b: TensorValue| number(b).map(|b| compare(&a, &b)));
    engine.register_fn(name, move |a: i64, b: TensorValue| number(b).map(|b| compare(&(a as f64), &b)));
    if !matches!(name, "==" | "!=") {
        engine.register_fn(name, move |a: TensorValue, b: TensorValue| -> Scripted<bool> {
            Ok(compare(&number(a)?, &number(b)?))
        });
    }
}

/// Are shapes and all numbers equal?
fn same(a: &TensorValue, b: &TensorValue) -> Scripted<bool> {
    if a.inner().dims() != b.inner().dims() {
        return Ok(false);
    }
    Ok(a.values().map_err(raise)? == b.values().map_err(raise)?)
}

/// The absolute value of each number.
///
/// ```rhai
/// abs(tensor([-1, 2]))
/// ```
#[define]
fn abs(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    Ok(tensor.inner().abs()?.into())
}

/// e to the power of each number.
///
/// ```rhai
/// exp(zeros([2]))
/// ```
#[define]
fn exp(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    Ok(tensor.inner().exp()?.into())
}

/// The natural logarithm of each number.
///
/// ```rhai
/// ln(ones([2]))
/// ```
#[define]
fn ln(
    /// The tensor; numbers above 0.
    tensor: TensorValue,
) -> Result<TensorValue> {
    Ok(tensor.inner().log()?.into())
}

/// The square root of each number.
///
/// ```rhai
/// sqrt(tensor([1, 4, 9]))
/// ```
#[define]
fn sqrt(
    /// The tensor; numbers from 0.
    tensor: TensorValue,
) -> Result<TensorValue> {
    Ok(tensor.inner().sqrt()?.into())
}

/// The hyperbolic tangent of each number.
///
/// ```rhai
/// tanh(tensor([-1, 0, 1]))
/// ```
#[define]
fn tanh(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    Ok(tensor.inner().tanh()?.into())
}

/// 1 / (1 + e^-x) of each number.
///
/// ```rhai
/// sigmoid(tensor([-1, 0, 1]))
/// ```
#[define]
fn sigmoid(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    let denominator = (tensor.inner().neg()?.exp()? + 1.0)?;
    Ok(denominator.recip()?.into())
}

/// Each number, or 0 if it is negative.
///
/// ```rhai
/// relu(tensor([-1, 0, 2]))
/// ```
#[define]
fn relu(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    Ok(tensor.inner().relu()?.into())
}

/// Each number, brought into a range.
///
/// ```rhai
/// tensor([-2, 0, 2]).clamp(-1, 1)
/// ```
#[define]
fn clamp(
    /// The tensor.
    tensor: TensorValue,
    /// The least number.
    low: f64,
    /// The greatest number.
    high: f64,
) -> Result<TensorValue> {
    if low > high {
        let message = format!("clamp: `low` ({low}) is above `high` ({high})");
        return Err(Error::new(Kind::Argument, message).at_argument("low"));
    }
    Ok(tensor.inner().clamp(low as f32, high as f32)?.into())
}

/// The matrix product.
///
/// ```rhai
/// tensor([[1, 2], [3, 4]]).matmul(tensor([[1], [1]]))
/// ```
#[define]
fn matmul(
    /// The tensor on the left, [..., n, k].
    a: TensorValue,
    /// The tensor on the right, [..., k, m].
    b: TensorValue,
) -> Result<TensorValue> {
    a.inner().broadcast_matmul(b.inner()).map(TensorValue::from).map_err(|_| {
        let (left, right) = (a.inner().dims(), b.inner().dims());
        let message = format!("matmul: the shapes {left:?} and {right:?} do not fit");
        Error::new(Kind::Tensor, message).with_hint("[n, k] goes with [k, m]").at_argument("b")
    })
}

/// The softmax: positive numbers that sum to 1 along a dimension.
///
/// ```rhai
/// softmax(tensor([1, 2, 3]))
/// ```
#[define]
fn softmax(
    /// The tensor.
    tensor: TensorValue,
    /// The dimension; -1 is the last.
    #[default(-1)]
    dim: i64,
) -> Result<TensorValue> {
    let dim = super::reduce::dimension(&tensor, dim, "softmax")?;
    let shifted = tensor.inner().broadcast_sub(&tensor.inner().max_keepdim(dim)?.detach())?.exp()?;
    Ok(shifted.broadcast_div(&shifted.sum_keepdim(dim)?)?.into())
}
