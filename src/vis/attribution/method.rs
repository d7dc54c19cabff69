//! Attribution methods as values: what `smooth` and the comparisons of methods take.

use std::fmt;
use std::rc::Rc;

use rhai::{FnPtr, Map};

use super::Attribution;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, IntoValue, Reject, describe, overloads, register_value_type};
use crate::model::Input;
use crate::vis::Explain;

/// Runs a method on an image.
type Run = dyn Fn(&Job, &Input, &Explain) -> Result<Attribution>;

/// An attribution method: one of the language by its name, a function of the script, or Rust code.
#[derive(Clone)]
pub struct Method {
    name: Rc<str>,
    run: Rc<Run>,
}

impl Method {
    /// A method in Rust.
    pub fn new(name: &str, run: impl Fn(&Job, &Input, &Explain) -> Result<Attribution> + 'static) -> Self {
        Self { name: name.into(), run: Rc::new(run) }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its attribution for an image.
    ///
    /// # Errors
    /// Those of the method.
    pub fn attribution(&self, job: &Job, image: &Input, explain: &Explain) -> Result<Attribution> {
        (self.run)(job, image, explain)
    }
}

/// A function of the script is given the image, one of the language what is explained too.
fn scripted(function: FnPtr) -> Method {
    let own = function.fn_name().to_owned();
    let named = !overloads(&own).is_empty();
    let name = if named { own } else { "a function".to_owned() };
    Method::new(&name, move |job, image, explain| {
        let image = match image {
            Input::Image(image) => image.clone().into_value(),
            Input::Tensor(tensor) => tensor.clone().into_value(),
        };
        let mut arguments = vec![image];
        if named {
            let mut options = Map::new();
            let mut give = |name: &str, value: Option<Dynamic>| value.map(|value| options.insert(name.into(), value));
            give("class", explain.class.clone().map(|class| class.into_value()));
            give("target", explain.target.clone().map(IntoValue::into_value));
            give("model", explain.model.clone().map(IntoValue::into_value));
            arguments.push(options.into());
        }
        let result = job.call(&function, arguments)?;
        let described = describe(&result);
        result.try_cast::<Attribution>().ok_or_else(|| {
            let message = format!("the method must return an attribution, not {described}");
            Error::new(Kind::Argument, message).with_hint("for example saliency, or |image| saliency(image)")
        })
    })
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({})", self.name)
    }
}

inventory::submit! {
    crate::lang::ValueType {
        name: "method",
        doc: "An attribution method with its settings, to be used where a method's name can stand.",
        id: std::any::TypeId::of::<Method>,
        rust: std::any::type_name::<Method>,
        text: |value| Some(value.read_lock::<Method>()?.to_string()),
        register: |engine| register_value_type::<Method>(engine, "method"),
        provenance: Some((|value| Some(value.read_lock::<Method>()?.to_string()), |value, _| value)),
    }
}

impl IntoValue for Method {
    const NAME: &'static str = "method";
    fn into_value(self) -> Dynamic {
        Dynamic::from(self)
    }
}

impl FromValue for Method {
    const EXPECTED: &'static str =
        "an attribution method, such as saliency, or a function of an image that returns an attribution";
    const TYPES: &'static [&'static str] = &["function", "method"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(function) = value.clone().try_cast::<FnPtr>() {
            return Ok(scripted(function));
        }
        value.clone().try_cast::<Self>().ok_or(Reject::Type)
    }
}

/// Several methods, each by its name.
#[derive(Clone, Debug)]
pub struct Methods(Vec<Method>);

impl Methods {
    /// These methods.
    pub fn new(methods: Vec<Method>) -> Self {
        Self(methods)
    }

    /// One after the other.
    pub fn iter(&self) -> std::slice::Iter<'_, Method> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromValue for Methods {
    const EXPECTED: &'static str =
        "a list of attribution methods, or a map of names and methods, such as #{\"Grad-CAM\": grad_cam}";
    const TYPES: &'static [&'static str] = &["list", "map"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let Some(map) = value.read_lock::<Map>() else {
            return Vec::<Method>::from_value(value).map(Self);
        };
        let named = |(name, method): (&rhai::Identifier, &Dynamic)| {
            Ok(Method { name: name.as_str().into(), ..Method::from_value(method)? })
        };
        map.iter().map(named).collect::<Result<_, Reject>>().map(Self)
    }
}
