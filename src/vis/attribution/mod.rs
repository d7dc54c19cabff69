//! Where a network looks: maps of a decision onto an image.

mod occlusion;
mod saliency;

use std::fmt;

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::lang::{Context, Provenance, define, value_type};
use crate::model::{ClassName, Model, Scored};
use crate::tensor::TensorValue;

/// What the numbers of a map mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// From 0: how much, not in which direction.
    Magnitude,
    /// Positive numbers speak for the class, negative ones against it.
    Signed,
}

/// A decision mapped onto the image that it was made of, with its raw values.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// The method: "occlusion".
    pub method: &'static str,
    /// The image as the network saw it.
    pub image: Image,
    /// Number of the class that is explained.
    pub class: usize,
    /// Its name.
    pub class_name: String,
    /// The score that is explained, for the whole image: the logit of the class where there is one.
    pub score: f32,
    /// The probability that belongs to it; of a regression, the value.
    pub probability: f32,
    /// Both in words: "93.1 % (logit 12.30)".
    pub verdict: String,
    /// Height of the map: the image's.
    pub height: usize,
    /// Width of the map: the image's.
    pub width: usize,
    /// The map, [height, width].
    pub values: Vec<f32>,
    /// What the numbers mean.
    pub sign: Sign,
    /// What the numbers measure, for a colour bar.
    pub measures: String,
    /// The call that made it.
    pub provenance: Option<String>,
}

value_type!(Attribution, "attribution", "an attribution", "A map of a decision onto an image.", remembers);

impl Provenance for Attribution {
    fn provenance(&self) -> Option<&str> {
        self.provenance.as_deref()
    }

    fn made_by(self, call: &str) -> Self {
        Self { provenance: Some(call.to_owned()), ..self }
    }
}

impl fmt::Display for Attribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, class_name, verdict, .. } = self;
        write!(f, "{method} for \"{class_name}\": {verdict}")
    }
}

/// The map of an attribution as a tensor [height, width], raw values.
///
/// ```rhai
/// saliency(photo("chelsea")).to_tensor().max()
/// ```
#[define]
fn to_tensor(
    /// The attribution.
    attribution: Attribution,
) -> Result<TensorValue> {
    TensorValue::from_values(attribution.values, &[attribution.height, attribution.width])
}

/// What a method explains: one class of a model, for one image.
pub(super) struct Question {
    pub model: Model,
    /// The image as the network sees it.
    pub view: Image,
    /// It as network input [1, channels, height, width].
    pub input: Tensor,
    pub class: usize,
    /// Score and probability of the class.
    pub score: f32,
    pub probability: f32,
}

impl Question {
    /// Asks about a class, or about the one that the network finds most probable.
    pub fn new(cx: &Context<'_>, model: Model, image: &Image, class: Option<&ClassName>) -> Result<Self> {
        let named = class.map(|class| class.resolve(&model)).transpose()?;
        let view = model.view(image)?;
        let input = model.input(&view)?;
        let scored = model.answer().read(&model.forward(&input, cx.interrupt())?)?;
        let class = named.or(model.answer().best(&scored));
        let Some(Scored { class, score, probability, .. }) = class.and_then(|class| scored.get(class)).cloned() else {
            return Err(Error::new(Kind::Internal, "the network has no answers"));
        };
        Ok(Self { model, view, input, class, score, probability })
    }

    /// The score of the class for each image of an output [N, outputs]: [N]. Gradients pass.
    pub fn scores(&self, output: &Tensor) -> Result<Tensor> {
        self.model.answer().score(output, self.class)
    }

    /// What is explained: `"koala" logit`.
    pub fn score_name(&self) -> String {
        format!("\"{}\" {}", self.class_name(), self.model.answer().score_name())
    }

    /// The name of the class.
    pub fn class_name(&self) -> String {
        self.model.classes().name(self.class)
    }

    /// The answer of a method: a map as large as the view.
    pub fn answer(self, method: &'static str, values: Vec<f32>, sign: Sign, measures: String) -> Attribution {
        Attribution {
            method,
            class: self.class,
            class_name: self.class_name(),
            score: self.score,
            probability: self.probability,
            verdict: self.model.answer().describe(self.score, self.probability),
            height: self.view.height(),
            width: self.view.width(),
            image: self.view,
            values,
            sign,
            measures,
            provenance: None,
        }
    }
}
