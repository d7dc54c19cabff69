//! A function of the script as an objective: `|a| a["fire5"].mean() - a["fire2"].mean()`.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use candle_core::Tensor;
use rhai::{Engine, EvalAltResult, FnPtr, ImmutableString, Position};

use super::Objective;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, Extension, describe};
use crate::model::{Model, NodeId, Rules, Run};
use crate::tensor::TensorValue;

/// More layers than any function names.
const MOST_LAYERS: usize = 64;

/// A function of the script: it takes the activations of one image, which it asks for layers by name, and returns a number
/// made from them.
#[derive(Clone, Debug)]
pub struct Closure {
    function: FnPtr,
    /// The layers it has asked for, with their places in the network.
    layers: RefCell<Vec<(String, NodeId)>>,
}

impl Closure {
    /// A function of the script.
    pub fn new(function: FnPtr) -> Self {
        Self { function, layers: RefCell::default() }
    }

    /// Its number for one image, a tensor without dimensions; or the layer that it asks for and that is not there.
    fn value(&self, job: &Job, activations: &[Tensor]) -> Result<Result<Tensor, String>> {
        let names = self.layers.borrow();
        let known =
            names.iter().zip(activations).map(|((name, _), value)| (name.clone(), value.clone().into())).collect();
        let asked = Asked { known: Rc::new(known), missing: Rc::default() };
        let missing = Rc::clone(&asked.missing);
        drop(names);
        let result = job.call(&self.function, vec![Dynamic::from(asked)]);
        if let Some(name) = missing.take() {
            drop(job.take_callback_error());
            return Ok(Err(name));
        }
        let result = result?;
        let Some(value) = result.clone().try_cast::<TensorValue>() else {
            let message = format!("the target must be a tensor of one number, not {}", describe(&result));
            let hint = "make it from the activations, for example |a| a[\"fire5\"].mean()";
            return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("target"));
        };
        if value.inner().elem_count() != 1 {
            let message = format!("the target must be one number, not a tensor of shape {:?}", value.inner().dims());
            let error = Error::new(Kind::Argument, message).with_hint("reduce it, for example with .mean()");
            return Err(error.at_argument("target"));
        }
        Ok(Ok(value.inner().reshape(())?))
    }
}

impl Objective for Closure {
    /// Finds the layers by calling the function until it asks for no other one.
    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        self.layers.borrow_mut().clear();
        let one = input.narrow(0, 0, 1)?;
        for _ in 0..MOST_LAYERS {
            let taps: Vec<NodeId> = self.layers.borrow().iter().map(|(_, id)| *id).collect();
            let values = match taps.as_slice() {
                [] => Vec::new(),
                taps => {
                    model.run_with(std::slice::from_ref(&one), &Run::new(taps, &Rules::default(), job.interrupt()))?
                }
            };
            let values = values.iter().map(|value| value.squeeze(0)).collect::<candle_core::Result<Vec<_>>>()?;
            match self.value(job, &values)? {
                Err(name) => {
                    let id = model.layer(&name).map_err(|error| error.at_argument("target"))?.id();
                    self.layers.borrow_mut().push((name, id));
                }
                Ok(_) if taps.is_empty() => {
                    let message = "the target's function reads no layer";
                    let hint = "it asks its argument for layers: |a| a[\"fire5\"].mean()";
                    return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("target"));
                }
                Ok(_) => return Ok(taps),
            }
        }
        Err(Error::new(Kind::Argument, format!("the target reads more than {MOST_LAYERS} layers"))
            .at_argument("target"))
    }

    fn reads(&self) -> usize {
        self.layers.borrow().len()
    }

    fn values(&self, job: &Job, _: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let count = activations.first().map_or(Ok(0), |first| first.dim(0))?;
        let mut values = Vec::with_capacity(count);
        for image in 0..count {
            let own: Vec<Tensor> =
                activations.iter().map(|layer| layer.get(image)).collect::<candle_core::Result<Vec<_>>>()?;
            let value = self.value(job, &own)?.map_err(|name| {
                let message = format!("the target reads layer {name:?} for some images only");
                Error::new(Kind::Argument, message).at_argument("target")
            })?;
            values.push(value.reshape(1)?);
        }
        Ok(Tensor::cat(&values, 0)?)
    }

    fn description(&self, _: &Model) -> String {
        let layers: Vec<String> = self.layers.borrow().iter().map(|(name, _)| name.clone()).collect();
        if layers.is_empty() { "a function".to_owned() } else { format!("a function of {}", layers.join(", ")) }
    }
}

/// The activations of one image, as a function of the script asks for them.
#[derive(Clone, Debug)]
struct Asked {
    known: Rc<Vec<(String, TensorValue)>>,
    missing: Rc<RefCell<Option<String>>>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the activations of an image by the name of their layer")
    }
}

inventory::submit! { Extension(indexing) }

/// `a["fire5"]`.
fn indexing(engine: &mut Engine) {
    crate::lang::register_value_type::<Asked>(engine, "layers");
    engine.register_indexer_get(
        |asked: &mut Asked, name: ImmutableString| -> Result<TensorValue, Box<EvalAltResult>> {
            if let Some((_, value)) = asked.known.iter().find(|(known, _)| *known == name) {
                return Ok(value.clone());
            }
            *asked.missing.borrow_mut() = Some(name.to_string());
            let error = Error::new(Kind::Name, format!("layer {name:?} has not been computed"));
            Err(Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE)))
        },
    );
}
