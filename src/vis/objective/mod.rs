//! Objectives: functions from a network's activations to a number. Attributions explain one, an ascent makes one larger.

mod balanced;
mod between;
mod channel;
mod class_score;
mod closure;
mod direction;
mod diversity;
mod dot_product;
mod feature_distance;
mod finer;
mod gram;
mod guided;
mod l2;
mod neuron;
mod per_image;
mod picture;
mod preimage;
mod reference;
mod similarity;
mod squared_norm;
mod sum;
mod toward;

use std::fmt;
use std::rc::Rc;

use candle_core::{Tensor, Var};

pub use balanced::balanced;
pub use between::Between;
pub use channel::{Channel, channel};
pub use class_score::{ClassScore, Measure, class_score};
pub use closure::Closure;
pub use direction::{Direction, direction};
pub use diversity::{Diversity, diversity};
pub use dot_product::DotProduct;
pub use feature_distance::{FeatureDistance, feature_distance};
pub use finer::{FinerScore, finer_score};
pub use gram::{Gram, gram, gram_matrix};
pub use guided::{Guided, guided};
pub use l2::{L2, l2};
pub use neuron::{Neuron, neuron};
pub use per_image::PerImage;
pub(super) use picture::total_variation;
pub use picture::{Picture, blur_edges_word, l2_norm, l6_norm, tv};
pub use preimage::Preimage;
pub use similarity::{Similarity, similarity};
pub use squared_norm::SquaredNorm;
pub use sum::Sum;
pub use toward::Toward;

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, FnPtr, FromValue, IntoValue, Reject, register_value_type};
use crate::model::{Layer, Model, Network, NodeId};

/// A differentiable function of the activations of some layers. It knows the layers by name, so that one objective can be
/// asked of several networks, unless it holds a layer's handle or a network.
pub trait Objective: fmt::Debug {
    /// The network it is about, if one of its parts decides that.
    fn model(&self) -> Option<&Model> {
        None
    }

    /// The class whose score it is, if it is just that.
    fn class(&self) -> Option<&ClassScore> {
        None
    }

    /// The channel of a layer whose mean, or one of whose values, it is, if it is just that.
    ///
    /// # Errors
    /// The network has no such layer or channel.
    fn unit(&self, _model: &Model) -> Result<Option<(Layer, usize)>> {
        Ok(None)
    }

    /// The same number before the rectifier that keeps it from being negative, if there is one: it has a slope where the
    /// number itself is 0 and has none.
    ///
    /// # Errors
    /// The network has no such layer, channel or class.
    fn unrectified(&self, _model: &Model) -> Result<Option<Goal>> {
        Ok(None)
    }

    /// The layers it reads, in the order in which [`values`](Self::values) takes their activations.
    ///
    /// # Errors
    /// The network has no such layer, class or channel.
    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>>;

    /// How many layers it reads, once [`taps`](Self::taps) has found them.
    fn reads(&self) -> usize {
        1
    }

    /// The channels of the layers it reads that its [`values`](Self::values) depend on, where these are not all.
    ///
    /// # Errors
    /// The network has no such class.
    fn channels(&self, _model: &Model) -> Result<Option<Vec<usize>>> {
        Ok(None)
    }

    /// One number for each input, `[N]`, on the tape of `activations`.
    ///
    /// # Errors
    /// The activations have shapes that do not fit the objective.
    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor>;

    /// What it measures, in words: `"koala" logit`, `fire5, channel 12`.
    fn description(&self, model: &Model) -> String;

    /// The gradient of the sum of its numbers for each of the activations; taken from the tape, unless an objective knows
    /// better.
    ///
    /// # Errors
    /// As [`values`](Self::values), and where the number does not depend on a layer at all.
    fn gradients(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Vec<Tensor>> {
        let variables = activations.iter().map(Var::from_tensor).collect::<candle_core::Result<Vec<_>>>()?;
        let on_tape: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let mut gradients = self.values(job, model, &on_tape)?.sum_all()?.backward()?;
        let found: Vec<Option<Tensor>> = variables.iter().map(|variable| gradients.remove(variable)).collect();
        if found.iter().all(Option::is_none) {
            let message = format!("{} does not depend on the layers that it reads", self.description(model));
            return Err(Error::new(Kind::Argument, message).at_argument("target"));
        }
        let or_zeros = |(found, layer): (Option<Tensor>, &Tensor)| match found {
            Some(gradient) => Ok(gradient.detach()),
            None => Ok(layer.zeros_like()?),
        };
        found.into_iter().zip(activations).map(or_zeros).collect()
    }
}

/// An objective as a value of the language; cheap to clone.
#[derive(Clone, Debug)]
pub struct Goal(Rc<dyn Objective>);

impl Goal {
    /// An objective as a value.
    pub fn new(objective: impl Objective + 'static) -> Self {
        Self(Rc::new(objective))
    }

    /// The network that it is asked of: the one given, that of its layers, or the embedded one.
    ///
    /// # Errors
    /// It is about another network than the one given.
    pub fn network(&self, job: &Job, given: Option<&Model>) -> Result<Model> {
        let decided = self.model().cloned();
        if let (Some(decided), Some(given)) = (&decided, given)
            && !decided.same(given)
        {
            return Err(two_networks(decided, given));
        }
        Network { model: given.cloned().or(decided) }.get(job)
    }
}

/// The error of an objective that is about another network than the one it is asked of.
pub(super) fn two_networks(decided: &Model, model: &Model) -> Error {
    let message = format!("the target is about {}, not about {}", decided.fingerprint(), model.fingerprint());
    Error::new(Kind::Argument, message)
        .with_hint("an objective that holds a layer knows its network")
        .at_argument("target")
}

impl std::ops::Deref for Goal {
    type Target = dyn Objective;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.model().map_or_else(Model::embedded, |model| Ok(model.clone())) {
            Ok(model) => f.write_str(&self.description(&model)),
            Err(_) => write!(f, "{:?}", self.0),
        }
    }
}

inventory::submit! {
    crate::lang::ValueType {
        name: "objective",
        doc: "A number that a network computes: what an attribution explains, or an image is made to raise. Objectives add, subtract and scale.",
        id: std::any::TypeId::of::<Goal>,
        rust: std::any::type_name::<Goal>,
        text: |value| Some(value.read_lock::<Goal>()?.to_string()),
        register: |engine| register_value_type::<Goal>(engine, "objective"),
        provenance: Some((|value| Some(value.read_lock::<Goal>()?.to_string()), |value, _| value)),
    }
}

impl IntoValue for Goal {
    const NAME: &'static str = "objective";
    fn into_value(self) -> Dynamic {
        Dynamic::from(self)
    }
}

impl FromValue for Goal {
    const EXPECTED: &'static str = "an objective, such as class_score(\"tabby\"), or a function of the activations";
    const TYPES: &'static [&'static str] = &["objective", "function"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(function) = value.clone().try_cast::<FnPtr>() {
            return Ok(Self::new(Closure::new(function)));
        }
        value.clone().try_cast::<Self>().ok_or(Reject::Type)
    }
}

/// The one activation of an objective that reads one layer.
fn only(activations: &[Tensor]) -> Result<&Tensor> {
    match activations {
        [activations] => Ok(activations),
        _ => Err(Error::new(Kind::Internal, "an objective of one layer was given several")),
    }
}
