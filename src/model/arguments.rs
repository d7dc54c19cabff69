//! What functions take that is about a model: inputs, classes and layers by name; and what completes them.

use std::ops::{Range, RangeInclusive};

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Completer, CompletionContext, Dynamic, FromValue, IntoValue, Reject, choices};
use crate::model::{AnswerKind, Channels, Classes, Layer, Model, Resize, zoo};
use crate::tensor::TensorValue;

/// What is given to a network: an image, or a tensor that is already in its input space.
#[derive(Clone, Debug)]
pub enum Input {
    /// Any picture.
    Image(Image),
    /// [N, channels, height, width].
    Tensor(TensorValue),
}

impl Input {
    /// It as a tensor in the input space of a model: an image is brought to its size.
    ///
    /// # Errors
    /// It is an image, and the network's input is no picture.
    pub fn tensor(&self, model: &Model) -> Result<Tensor> {
        match self {
            Self::Image(image) => model.input(&model.view(image)?),
            Self::Tensor(tensor) => Ok(tensor.inner().clone()),
        }
    }
}

impl From<Image> for Input {
    fn from(image: Image) -> Self {
        Self::Image(image)
    }
}

impl From<Tensor> for Input {
    fn from(tensor: Tensor) -> Self {
        Self::Tensor(tensor.into())
    }
}

impl FromValue for Input {
    const EXPECTED: &'static str = "an image or a tensor [N, channels, height, width]";
    const TYPES: &'static [&'static str] = &["image", "tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(image) = value.clone().try_cast::<Image>() {
            return Ok(Self::Image(image));
        }
        value.clone().try_cast::<TensorValue>().map(Self::Tensor).ok_or(Reject::Type)
    }
}

/// A class, by number or by name; of a regression, one of its values.
#[derive(Clone, Debug)]
pub struct ClassName(Dynamic);

impl FromValue for ClassName {
    const EXPECTED: &'static str = "a class: its number or its name";
    const TYPES: &'static [&'static str] = &["integer", "string"];
    const COMPLETE: Option<Completer> = Some(class_names);
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_int() || value.is_string() { Ok(Self(value.clone())) } else { Err(Reject::Type) }
    }
}

impl IntoValue for ClassName {
    const NAME: &'static str = "class";
    fn into_value(self) -> Dynamic {
        self.0
    }
}

impl ClassName {
    /// Its number.
    ///
    /// # Errors
    /// There is no such class, or there are several: the nearest ones are named.
    pub fn resolve(&self, model: &Model) -> Result<usize> {
        self.find(model).map_err(|error| error.at_argument("class"))
    }

    /// Its number, where the argument that names it is not called `class`.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve).
    pub fn find(&self, model: &Model) -> Result<usize> {
        match self.0.as_int() {
            Ok(number) => model.classes().check(number),
            Err(_) => model.classes().find(&self.0.to_string()),
        }
    }
}

/// No layer has as many channels as this.
const MOST_CHANNELS: usize = 1 << 20;

/// A channel of a layer, or several.
#[derive(Clone, Debug)]
pub struct ChannelNumbers(pub Vec<usize>);

impl FromValue for ChannelNumbers {
    const EXPECTED: &'static str = "a channel, a list of channels, or a range such as 0..16";
    const TYPES: &'static [&'static str] = &["integer", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(range) = value.read_lock::<Range<i64>>() {
            return channels_between(range.start, range.end).map(Self);
        }
        if let Some(range) = value.read_lock::<RangeInclusive<i64>>() {
            return channels_between(*range.start(), range.end().saturating_add(1)).map(Self);
        }
        if value.is_array() {
            Vec::from_value(value).map(Self)
        } else {
            usize::from_value(value).map(|one| Self(vec![one]))
        }
    }
}

/// The numbers from `start` on, before `end`.
fn channels_between(start: i64, end: i64) -> Result<Vec<usize>, Reject> {
    let wrong = |why: String| Err(Reject::Because(why, None));
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start < end && end - start <= MOST_CHANNELS => Ok((start..end).collect()),
        (Ok(start), Ok(end)) if start < end => wrong(format!("must not be a range of {} channels", end - start)),
        (Ok(_), _) => wrong(format!("is an empty range, {start}..{end}")),
        (Err(_), _) => wrong(format!("must not begin at a negative number, {start}")),
    }
}

impl ChannelNumbers {
    /// The channels, if a layer has them all.
    ///
    /// # Errors
    /// There is none, the layer has no such channel, or one is named twice.
    pub fn of(&self, layer: &Layer) -> Result<&[usize]> {
        layer.model().check_channels(layer.id(), &self.0)?;
        Ok(&self.0)
    }
}

/// A layer, by itself or by name.
#[derive(Clone, Debug)]
pub enum LayerName {
    /// A handle.
    Handle(Layer),
    /// Any of its names.
    Name(String),
}

impl FromValue for LayerName {
    const EXPECTED: &'static str = "a layer or its name";
    const TYPES: &'static [&'static str] = &["layer", "string"];
    const COMPLETE: Option<Completer> = Some(layer_names);
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(layer) = value.clone().try_cast::<Layer>() {
            return Ok(Self::Handle(layer));
        }
        value.clone().into_string().map(Self::Name).map_err(|_| Reject::Type)
    }
}

impl LayerName {
    /// The layer itself, if it is given as such.
    pub fn handle(&self) -> Option<&Layer> {
        match self {
            Self::Handle(layer) => Some(layer),
            Self::Name(_) => None,
        }
    }

    /// The layer of a model that it names.
    ///
    /// # Errors
    /// There is no such layer, or it is one of another network.
    pub fn find(&self, model: &Model) -> Result<Layer> {
        match self {
            Self::Handle(layer) if layer.model().same(model) => Ok(layer.clone()),
            Self::Handle(layer) => {
                let (of, model) = (layer.model().fingerprint(), model.fingerprint());
                let message = format!("layer {} is of {of}, not of {model}", layer.name());
                Err(Error::new(Kind::Argument, message).with_hint("a run is about one network"))
            }
            Self::Name(name) => model.layer(name),
        }
    }
}

impl From<&str> for LayerName {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<Layer> for LayerName {
    fn from(layer: Layer) -> Self {
        Self::Handle(layer)
    }
}

impl From<&str> for ClassName {
    fn from(name: &str) -> Self {
        Self(name.to_owned().into())
    }
}

impl From<usize> for ClassName {
    fn from(number: usize) -> Self {
        Self(i64::try_from(number).unwrap_or(i64::MAX).into())
    }
}

impl FromValue for Channels {
    const EXPECTED: &'static str = "\"rgb\", \"bgr\" or \"grey\"";
    const CHOICES: &'static [&'static str] = &["rgb", "bgr", "grey"];
    const COMPLETE: Option<Completer> = Some(|_| ["rgb", "bgr", "grey"].map(str::to_owned).to_vec());
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match word(value)?.as_str() {
            "rgb" => Ok(Self::Rgb),
            "bgr" => Ok(Self::Bgr),
            "grey" | "gray" => Ok(Self::Grey),
            other => Err(Reject::Because(format!("must be {}, not {other:?}", Self::EXPECTED), None)),
        }
    }
}

choices!(AnswerKind {
    "softmax" => Softmax,
    "sigmoid" => Sigmoid,
    "probabilities" => Probabilities,
    "regression" => Regression,
});
choices!(Resize { "crop" => Crop, "cover" => Cover, "stretch" => Stretch });

fn word(value: &Dynamic) -> Result<String, Reject> {
    value.clone().into_string().map_err(|_| Reject::Type)
}

/// One number for each channel, or one for all.
#[derive(Clone, Debug)]
pub(super) struct ByChannel(pub Vec<f32>);

impl FromValue for ByChannel {
    const EXPECTED: &'static str = "a number, or a list with one for each channel";
    const TYPES: &'static [&'static str] = &["number", "integer", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let numbers = if value.is_array() { Vec::<f64>::from_value(value)? } else { vec![f64::from_value(value)?] };
        Ok(Self(numbers.into_iter().map(|number| number as f32).collect()))
    }
}

/// Class names: a list of them, or a file with one a line.
#[derive(Clone, Debug)]
pub(super) enum ClassNames {
    List(Vec<String>),
    File(String),
}

impl FromValue for ClassNames {
    const EXPECTED: &'static str = "a list of names, or a file with one a line";
    const TYPES: &'static [&'static str] = &["list", "string"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_array() { Vec::from_value(value).map(Self::List) } else { word(value).map(Self::File) }
    }
}

impl ClassNames {
    /// The names.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(self, job: &Job) -> Result<Classes> {
        match self {
            Self::List(names) => Ok(Classes::from_names(names)),
            Self::File(path) => Classes::read(&job.path(path)).map_err(|error| error.at_argument("classes")),
        }
    }
}

/// The model that a call is about, if its value is known.
fn known_model(context: &CompletionContext<'_>) -> Option<Model> {
    context.others.iter().find_map(|other| other.value.clone()?.try_cast::<Model>())
}

/// The names of the layers of the model that a call is about, for completion: that of a variable, of `model("…")`, or
/// the embedded one.
pub(super) fn layer_names(context: &CompletionContext<'_>) -> Vec<String> {
    if let Some(model) = known_model(context) {
        return model.graph().names().map(str::to_owned).collect();
    }
    let other = context.others.iter().find(|other| other.kind == Some("model"));
    let named = other.map(|other| other.written.trim().strip_prefix("model(\"")?.split('"').next());
    // no weights are needed for names
    let network = named.map_or(Some(Model::EMBEDDED), |named| named).and_then(zoo::find);
    let graph = network.and_then(|network| network.graph().ok());
    graph.map_or_else(Vec::new, |graph| graph.names().map(str::to_owned).collect())
}

/// The names of the classes of the model that a call is about, for completion.
fn class_names(context: &CompletionContext<'_>) -> Vec<String> {
    known_model(context).map_or_else(Classes::imagenet, |model| model.classes().clone()).names().to_vec()
}

/// The networks, and the files of networks, for completion.
pub(super) fn model_names(context: &CompletionContext<'_>) -> Vec<String> {
    let mut names: Vec<String> = zoo::NAMES.iter().map(|name| (*name).to_owned()).collect();
    names.extend(context.files(&["onnx", "percept"]));
    names
}

/// Where weights come from, for completion.
pub(super) fn weights_names(context: &CompletionContext<'_>) -> Vec<String> {
    let mut names = vec!["hub".to_owned(), "random".to_owned()];
    names.extend(context.files(&["safetensors", "pth", "pt"]));
    names
}
