//! `grad`: the gradient of any scalar expression of a script.

use candle_core::Var;

use super::TensorValue;
use crate::error::{Error, Kind, Result};
use crate::lang::{Context, Dynamic, FnPtr, define, describe};

/// The gradient of a function of a tensor, which must return one number made from it.
///
/// ```rhai
/// grad(|x| (x * x).sum(), tensor([1, 2, 3]))
/// ```
#[define]
fn grad(
    cx: &Context<'_>,
    /// The function: it takes the tensor and returns a tensor of one number.
    function: FnPtr,
    /// Where to take the gradient.
    x: TensorValue,
) -> Result<TensorValue> {
    let variable = Var::from_tensor(&x.inner().detach())?;
    let result = cx.call(&function, vec![Dynamic::from(TensorValue::from(variable.as_tensor().clone()))])?;
    let at = |error: Error| error.at_argument("function");
    let Some(value) = result.clone().try_cast::<TensorValue>() else {
        let message =
            format!("grad: the function must return a tensor made from its argument, not {}", describe(&result));
        return Err(at(Error::new(Kind::Argument, message)));
    };
    if value.inner().elem_count() != 1 {
        let message =
            format!("grad: the function must return one number, not a tensor of shape {:?}", value.inner().dims());
        return Err(at(Error::new(Kind::Argument, message).with_hint("reduce it, for example with .sum()")));
    }
    let gradients = value.inner().backward()?;
    match gradients.get(&variable) {
        Some(gradient) => Ok(gradient.clone().into()),
        None => Err(at(Error::new(Kind::Argument, "grad: the result does not depend on the argument"))),
    }
}
