//! `grad`: the gradient of any scalar expression of a script.

use std::cell::RefCell;

use candle_core::{Tensor, TensorId, Var};
use rhai::{Array, Map};

use super::TensorValue;
use crate::error::{Error, Kind, Result};
use crate::lang::{Context, Dynamic, FnPtr, describe, function};

thread_local! {
    /// The variables of the calls of `grad` that are running, the outermost first.
    static VARIABLES: RefCell<Vec<TensorId>> = const { RefCell::new(Vec::new()) };
}

/// The gradient of a function of a tensor, which must return one number made from it.
///
/// The gradient is a constant for whatever is done with it. Second derivatives cannot be taken: a `grad` inside the
/// function of another one is an error where its result would depend on the outer argument. `detach` makes a constant
/// of a tensor.
///
/// ```rhai
/// grad(|x| (x * x).sum(), tensor([1, 2, 3]))
/// ```
#[function]
fn grad(
    cx: &Context<'_>,
    /// The function: it takes the tensor and returns a tensor of one number.
    function: FnPtr,
    /// Where to take the gradient: a tensor of any shape, which is also the gradient's.
    x: TensorValue,
) -> Result<TensorValue> {
    let outer = VARIABLES.with_borrow(Vec::clone);
    if depends_on(x.inner(), &outer) {
        return Err(second_derivative("its argument depends on that of an outer grad").at_argument("x"));
    }
    let variable = Var::from_tensor(&x.inner().detach())?;
    let running = Running::new(&variable);
    let argument = Dynamic::from(TensorValue::from(variable.as_tensor().clone()));
    let gradient = cx
        .call(&function, vec![argument])
        .and_then(|result| backward(&result, &variable, &outer).map_err(|error| error.at_argument("function")));
    drop(running);
    if outer.is_empty() {
        // what the function left in variables of the script must not keep the operations that made it
        let captured = function.iter_curry().filter(|captured| captured.is_shared());
        captured.for_each(|captured| release(&mut captured.clone()));
    }
    gradient
}

/// Counts a variable among those of running calls until it is dropped.
struct Running;

impl Running {
    fn new(variable: &Var) -> Self {
        VARIABLES.with_borrow_mut(|variables| variables.push(variable.id()));
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        VARIABLES.with_borrow_mut(Vec::pop);
    }
}

/// The gradient of what the function returned.
fn backward(result: &Dynamic, variable: &Var, outer: &[TensorId]) -> Result<TensorValue> {
    let Some(value) = result.clone().try_cast::<TensorValue>() else {
        let message =
            format!("grad: the function must return a tensor made from its argument, not {}", describe(result));
        return Err(Error::new(Kind::Argument, message));
    };
    let value = value.inner();
    if value.elem_count() != 1 {
        let message = format!("grad: the function must return one number, not a tensor of shape {:?}", value.dims());
        return Err(Error::new(Kind::Argument, message).with_hint("reduce it, for example with .sum()"));
    }
    if depends_on(value, outer) {
        return Err(second_derivative("its function uses the argument of an outer grad"));
    }
    match value.backward()?.remove(variable) {
        // candle's rules leave the gradient on the tape of what they multiplied with
        Some(gradient) => Ok(gradient.detach().into()),
        None => Err(Error::new(Kind::Argument, "grad: the result does not depend on the argument")),
    }
}

fn second_derivative(why: &str) -> Error {
    Error::new(Kind::Argument, format!("grad: second derivatives cannot be taken: {why}"))
        .with_hint("if it is meant as a constant there, use detach(…)")
}

/// Is a tensor made from one of these variables?
fn depends_on(x: &Tensor, variables: &[TensorId]) -> bool {
    x.track_op()
        && !variables.is_empty()
        && x.sorted_nodes().iter().any(|node| node.is_variable() && variables.contains(&node.id()))
}

/// Puts constants in the places of tensors that a script's variables hold.
fn release(value: &mut Dynamic) {
    if let Some(mut tensor) = value.write_lock::<TensorValue>() {
        if tensor.inner().track_op() {
            *tensor = tensor.with(tensor.inner().detach());
        }
    } else if let Some(mut list) = value.write_lock::<Array>() {
        list.iter_mut().for_each(release);
    } else if let Some(mut map) = value.write_lock::<Map>() {
        map.values_mut().for_each(release);
    }
}

/// A tensor as a constant: no gradient flows through it.
///
/// ```rhai
/// grad(|x| (x * detach(x)).sum(), tensor([1, 2, 3]))
/// ```
#[function]
fn detach(
    /// The tensor.
    tensor: TensorValue,
) -> Result<TensorValue> {
    Ok(tensor.with(tensor.inner().detach()))
}
