//! Operators between tensors and numbers.

use candle_core::Tensor;
use rhai::{Engine, EvalAltResult, Position};

use super::operand::Operand;
use super::{TensorValue, binary};
use crate::error::{Error, Result};
use crate::lang::{Dynamic, Extension};

inventory::submit! { Extension(operators) }

type Scripted<T> = Result<T, Box<EvalAltResult>>;

/// An error as an operator raises it: the place is that of the operator.
pub(super) fn raise(error: Error) -> Box<EvalAltResult> {
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE))
}

/// `+ - * / **`. Shapes are broadcast as NumPy's.
fn operators(engine: &mut Engine) {
    operator(engine, "+", |a, b| binary::add(a, b).map(TensorValue::from));
    operator(engine, "-", |a, b| binary::sub(a, b).map(TensorValue::from));
    operator(engine, "*", |a, b| binary::mul(a, b).map(TensorValue::from));
    operator(engine, "/", |a, b| binary::div(a, b).map(TensorValue::from));
    operator(engine, "**", |a, b| binary::pow(a, b).map(TensorValue::from));
    engine.register_fn("-", |a: TensorValue| -> Scripted<TensorValue> {
        a.inner().neg().map(TensorValue::from).map_err(|error| raise(error.into()))
    });
}

/// Registers an operator for tensors and numbers on either side.
pub(super) fn operator<T: Clone + 'static>(
    engine: &mut Engine,
    name: &'static str,
    operation: impl Fn(&Tensor, &Tensor) -> Result<T> + Copy + 'static,
) {
    let apply = move |a: Operand, b: Operand| -> Scripted<T> {
        a.tensor().and_then(|a| operation(&a, &b.tensor()?)).map_err(raise)
    };
    let (tensor, number) = (Operand::Tensor, Operand::Number);
    engine.register_fn(name, move |a: TensorValue, b: TensorValue| apply(tensor(a), tensor(b)));
    engine.register_fn(name, move |a: TensorValue, b: f64| apply(tensor(a), number(b)));
    engine.register_fn(name, move |a: TensorValue, b: i64| apply(tensor(a), number(b as f64)));
    engine.register_fn(name, move |a: f64, b: TensorValue| apply(number(a), tensor(b)));
    engine.register_fn(name, move |a: i64, b: TensorValue| apply(number(a as f64), tensor(b)));
}
