//! Functions of each number: of tensors, and of numbers where Rhai has none.

use super::elementwise::{map, zip};
use super::operand::Operand;
use super::{TensorValue, with_backward};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// `value(x)` of each number x, in double precision; `slope(x, value(x))` is its derivative.
fn apply(x: Operand, value: fn(f64) -> f64, slope: fn(f64, f64) -> f64) -> Result<Operand> {
    let tensor = match x {
        Operand::Number(number) => return Ok(Operand::Number(value(number))),
        Operand::Tensor(tensor) => tensor,
    };
    let input = tensor.inner().detach();
    let y = map(&input, |x| value(f64::from(x)) as f32)?;
    let output = y.clone();
    let y = with_backward(tensor.inner(), y, move |gradient| {
        let slopes = zip(&input, &output, |x, y| slope(f64::from(x), f64::from(y)) as f32)?;
        Ok((gradient * slopes)?)
    })?;
    Ok(Operand::Tensor(y.into()))
}

/// 1, 0 or -1; NaN of NaN.
fn sign_of(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

/// The absolute value of each number. Differentiable, with the slope 0 at 0.
///
/// ```rhai
/// abs(tensor([-1, 2]))
/// ```
#[function]
fn abs(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::abs, |x, _| sign_of(x))
}

/// 1 of each positive number, -1 of each negative one, 0 of 0. Its gradient is 0.
///
/// ```rhai
/// sign(tensor([-3, 0, 2]))
/// ```
#[function]
fn sign(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    apply(x, sign_of, |_, _| 0.0)
}

/// e to the power of each number. Differentiable.
///
/// ```rhai
/// exp(zeros([2]))
/// ```
#[function]
fn exp(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::exp, |_, y| y)
}

/// The natural logarithm of each number. Differentiable.
///
/// ```rhai
/// ln(ones([2]))
/// ```
#[function]
fn ln(
    /// A tensor or a number, above 0: the logarithm of 0 is -inf, and that of less NaN.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::ln, |x, _| 1.0 / x)
}

/// The square root of each number. Differentiable.
///
/// ```rhai
/// sqrt(tensor([1, 4, 9]))
/// ```
#[function]
fn sqrt(
    /// A tensor or a number, from 0: the root of less is NaN.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::sqrt, |_, y| 0.5 / y)
}

/// The sine of each number. Differentiable.
///
/// ```rhai
/// sin(tensor([0, 1.5707963]))
/// ```
#[function]
fn sin(
    /// A tensor or a number, in radians.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::sin, |x, _| x.cos())
}

/// The cosine of each number. Differentiable.
///
/// ```rhai
/// cos(tensor([0, 3.1415927]))
/// ```
#[function]
fn cos(
    /// A tensor or a number, in radians.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::cos, |x, _| -x.sin())
}

/// The hyperbolic tangent of each number. Differentiable.
///
/// ```rhai
/// tanh(tensor([-1, 0, 1]))
/// ```
#[function]
fn tanh(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::tanh, |_, y| 1.0 - y * y)
}

/// 1 / (1 + e^-x) of each number x. Differentiable.
///
/// ```rhai
/// sigmoid(tensor([-1, 0, 1]))
/// ```
#[function]
fn sigmoid(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    apply(x, |x| 1.0 / (1.0 + (-x).exp()), |_, y| y * (1.0 - y))
}

/// Each number, or 0 if it is negative. Differentiable, with the slope 0 at 0.
///
/// ```rhai
/// relu(tensor([-1, 0, 2]))
/// ```
#[function]
fn relu(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    // not f64::max, which would swallow NaN
    apply(x, |x| if x < 0.0 { 0.0 } else { x }, |x, _| f64::from(u8::from(x > 0.0)))
}

/// The greatest integer that is not above each number. Its gradient is 0.
///
/// ```rhai
/// floor(tensor([-1.5, 2.5]))
/// ```
#[function]
fn floor(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::floor, |_, _| 0.0)
}

/// The least integer that is not below each number. Its gradient is 0.
///
/// ```rhai
/// ceil(tensor([-1.5, 2.5]))
/// ```
#[function]
fn ceil(
    /// A tensor or a number.
    x: Operand,
) -> Result<Operand> {
    apply(x, f64::ceil, |_, _| 0.0)
}

/// The integer nearest to each number of a tensor; of two equally near ones the even one. Its gradient is 0.
///
/// ```rhai
/// round(tensor([-1.7, 0.5, 2.2]))
/// ```
#[function]
fn round(
    /// The tensor.
    tensor: TensorValue,
) -> Result<Operand> {
    apply(Operand::Tensor(tensor), f64::round_ties_even, |_, _| 0.0)
}

/// Each number, brought into a range. Differentiable: the slope is 1 within the range, its ends included, else 0.
///
/// ```rhai
/// tensor([-2, 0, 2]).clamp(-1, 1)
/// ```
#[function]
fn clamp(
    /// A tensor or a number.
    x: Operand,
    /// The least number.
    min: f64,
    /// The greatest number, not less than `min`.
    max: f64,
) -> Result<Operand> {
    if min > max {
        let message = format!("clamp: `min` ({min}) is above `max` ({max})");
        return Err(Error::new(Kind::Argument, message).at_argument("min"));
    }
    let tensor = match x {
        Operand::Number(number) => return Ok(Operand::Number(number.clamp(min, max))),
        Operand::Tensor(tensor) => tensor,
    };
    let (min, max) = (min as f32, max as f32);
    let input = tensor.inner().detach();
    let y = map(&input, |x| x.clamp(min, max))?;
    let y = with_backward(tensor.inner(), y, move |gradient| {
        zip(gradient, &input, |g, x| if x < min || x > max { 0.0 } else { g })
    })?;
    Ok(Operand::Tensor(y.into()))
}
