//! Where the seeds of a segmentation are from.

use crate::error::{Error, Kind, Result, did_you_mean};
use crate::job::Job;
use crate::lang::{Completer, Dynamic, FnPtr, FromValue, IntoValue, Reject, functions, overloads};
use crate::model::Input;
use crate::vis::Explain;
use crate::vis::attribution::{Attribution, Method};

/// An attribution, or how to get one.
#[derive(Clone, Debug)]
pub enum By {
    /// This one.
    Attribution(Box<Attribution>),
    /// That of a method.
    Method(Method),
}

/// The names of the functions that make an attribution of an image.
fn methods() -> impl Iterator<Item = &'static str> {
    functions().filter(|(name, _)| is_method(name)).map(|(name, _)| name)
}

/// Does a function make an attribution of an image and nothing else that it must be given?
fn is_method(name: &str) -> bool {
    overloads(name).iter().any(|function| {
        let mut positional = function.positional();
        let takes_image = positional.next().is_some_and(|first| first.types.contains(&"image"));
        takes_image && positional.next().is_none() && function.returns == Attribution::NAME
    })
}

impl FromValue for By {
    const EXPECTED: &'static str = "the name of an attribution method, an attribution, or a function that makes one";
    const TYPES: &'static [&'static str] = &["string", "attribution", "function", "method"];
    const COMPLETE: Option<Completer> = Some(|_| methods().map(str::to_owned).collect());
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(attribution) = value.clone().try_cast::<Attribution>() {
            return Ok(Self::Attribution(Box::new(attribution)));
        }
        if !value.is_string() {
            return Method::from_value(value).map(Self::Method);
        }
        let name = value.to_string();
        if let Some(function) = is_method(&name).then(|| FnPtr::new(&name).ok()).flatten() {
            return Method::from_value(&Dynamic::from(function)).map(Self::Method);
        }
        let hint = did_you_mean(&name, methods());
        let hint = hint.unwrap_or_else(|| format!("there are {}", methods().collect::<Vec<_>>().join(", ")));
        Err(Reject::Because(format!("must be the name of an attribution method, not {name:?}"), Some(hint)))
    }
}

impl By {
    /// The attribution of an image.
    ///
    /// # Errors
    /// The method failed; or the attribution that was given explains another class, or another network.
    pub fn attribution(&self, job: &Job, image: &Input, explain: &Explain) -> Result<Attribution> {
        let given = match self {
            Self::Method(method) => return method.attribution(job, image, explain),
            Self::Attribution(given) => given,
        };
        let prediction = &given.prediction;
        if let Some(model) = explain.model.as_ref().filter(|model| !model.same(&prediction.model)) {
            let message = format!(
                "segment: the attribution is about {}, not about {}",
                prediction.model.fingerprint(),
                model.fingerprint()
            );
            return Err(Error::new(Kind::Argument, message).with_hint("leave out `model`").at_argument("model"));
        }
        if let Some(class) = &explain.class {
            let wanted = class.resolve(&prediction.model)?;
            if prediction.class.as_ref().map(|scored| scored.class) != Some(wanted) {
                let message = format!("segment: the attribution explains {}", prediction.target());
                return Err(Error::new(Kind::Argument, message).with_hint("leave out `class`").at_argument("class"));
            }
        }
        Ok((**given).clone())
    }
}
