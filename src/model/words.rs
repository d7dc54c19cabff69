//! Models and layers as words of the language.

use std::fmt;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::{ChannelOrder, Classes, Layer, Model, OnnxOptions, ResizeRule, zoo};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::image::{Color, Image};
use crate::lang::{CompletionContext, Completer, Context, Dynamic, FromValue, IntoValue, Reject, Table, define, value_type};
use crate::tensor::TensorValue;

value_type!(
    Model,
    "model",
    "a model",
    "A trained network: named operations with their weights, classes and input recipe."
);
value_type!(Layer, "layer", "a layer", "One operation of a model.");

/// What a cut-out is put on before a network sees it.
const PLAIN: Color = [1.0, 1.0, 1.0];

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, classes) = (self.recipe().size, self.classes().len());
        let (layers, count) = (self.graph().nodes().len(), self.weights().count());
        write!(
            f,
            "model {}: {layers} layers, {count} parameters, {size}×{size} pixels to {classes} classes",
            self.name()
        )
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "layer {} ({}) of {}: {} → {:?}",
            self.name(),
            self.label(),
            self.model().name(),
            self.node().op,
            self.shape()
        )
    }
}

impl Layer {
    /// The names a reader knows it by: `conv4, fire2/expand3x3`.
    pub fn label(&self) -> String {
        let node = self.node();
        let mut names = vec![node.ordinal.clone()];
        names.extend(node.aliases.iter().filter(|alias| **alias != node.ordinal).take(1).cloned());
        names.join(", ")
    }
}

impl Model {
    /// Its name with the start of the hash of its weights: `squeezenet1_1@1a2b3c4d`.
    pub fn fingerprint(&self) -> String {
        format!("{}@{}", self.name(), self.weights().hash().get(..8).unwrap_or_default())
    }

    /// The picture as the network sees it: brought to its size, a cut-out on white and nothing of it cut off.
    ///
    /// # Errors
    /// The picture cannot be resized.
    pub fn view(&self, image: &Image) -> Result<Image> {
        let size = self.recipe().size;
        if image.alpha().is_some() {
            return image.letterbox(size, PLAIN);
        }
        match self.recipe().resize {
            ResizeRule::Stretch => image.resize(size, size),
            ResizeRule::CenterCrop { shorter } if shorter == size => image.cover(size),
            ResizeRule::CenterCrop { shorter } => {
                let margin = shorter.saturating_sub(size) / 2;
                image.cover(shorter)?.crop(margin, margin, size, size)
            }
        }
    }

    /// A picture of any size as network input [1, 3, height, width], without resizing.
    ///
    /// # Errors
    /// The tensor cannot be made.
    pub fn input(&self, image: &Image) -> Result<Tensor> {
        let flat = image.flatten(PLAIN);
        let pixels = Tensor::from_slice(flat.planes(), (1, 3, flat.height(), flat.width()), &Device::Cpu)?;
        self.recipe().to_input(&pixels)
    }
}

/// What is given to a network: an image, or a tensor that is already in its input space.
pub enum Input {
    /// Any picture.
    Image(Image),
    /// [N, 3, height, width].
    Tensor(TensorValue),
}

impl FromValue for Input {
    const EXPECTED: &'static str = "an image or a tensor [N, 3, height, width]";
    const TYPES: &'static [&'static str] = &["image", "tensor"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(image) = value.clone().try_cast::<Image>() {
            return Ok(Self::Image(image));
        }
        value.clone().try_cast::<TensorValue>().map(Self::Tensor).ok_or(Reject::Type)
    }
}

/// A class, by number or by name.
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

impl ClassName {
    /// Its number.
    ///
    /// # Errors
    /// There is no such class, or there are several: the nearest ones are named.
    pub fn resolve(&self, model: &Model) -> Result<usize> {
        let found = match self.0.as_int() {
            Ok(number) => model.classes().check(number),
            Err(_) => model.classes().find(&self.0.to_string()),
        };
        found.map_err(|error| error.at_argument("class"))
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

impl From<&str> for LayerName {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl LayerName {
    /// The layer of this model.
    ///
    /// # Errors
    /// There is no such layer, or the handle is another model's.
    pub fn resolve(&self, model: &Model) -> Result<Layer> {
        let name = match self {
            Self::Handle(layer) if layer.model().name() != model.name() => {
                let message = format!("this layer is of {}, not of {}", layer.model().name(), model.name());
                return Err(Error::new(Kind::Argument, message).at_argument("layer"));
            }
            Self::Handle(layer) => layer.name(),
            Self::Name(name) => name,
        };
        model.layer(name).map_err(|error| error.at_argument("layer"))
    }
}

/// The model that a call is about, if its value is known.
fn known_model(context: &CompletionContext<'_>) -> Option<Model> {
    context.others.iter().find_map(|other| other.value.clone()?.try_cast::<Model>())
}

/// The names of the layers of the model that a call is about, for completion: that of a variable, of `model("…")`, or
/// the embedded one.
fn layer_names(context: &CompletionContext<'_>) -> Vec<String> {
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
fn model_names(context: &CompletionContext<'_>) -> Vec<String> {
    let mut names: Vec<String> = zoo::NAMES.iter().map(|name| (*name).to_owned()).collect();
    names.extend(context.files(&["onnx", "percept"]));
    names
}

/// Where weights come from, for completion.
fn weights_names(context: &CompletionContext<'_>) -> Vec<String> {
    let mut names = vec!["hub".to_owned(), "random".to_owned()];
    names.extend(context.files(&["safetensors", "pth", "pt"]));
    names
}

/// The model that a call names, or the embedded one; noted with the hash of its weights.
///
/// # Errors
/// The embedded model cannot be read.
pub fn or_embedded(cx: &Context<'_>, model: Option<Model>) -> Result<Model> {
    let model = model.map_or_else(Model::embedded, Ok)?;
    cx.note("model", model.fingerprint());
    Ok(model)
}

/// A model by name or from a file, with the weights inside the program, those of a file, those of the hub, or none that
/// were learned.
///
/// A file of weights is safetensors, or what PyTorch's `torch.save` writes of a state dict (.pth); nothing in it is
/// executed. Its parameters have torchvision's names, and the model takes torchvision's input: 224×224, RGB. The hub's
/// files are fetched once and kept in the folder that Hugging Face's programs share (`HF_HOME`).
///
/// A `.percept` file is a whole model that `save` wrote. An `.onnx` file is a network that PyTorch, Keras or another
/// program has exported; it holds neither the names of its classes nor how its input is made of an image, so these can be
/// given: input = (pixel · range − mean) / std. If none of `mean`, `std` and `range` is given, they are torchvision's for
/// ImageNet; else a mean that is not given is 0, a std 1, a range 1.
///
/// ```rhai
/// model("squeezenet1_1")
/// ```
///
/// ```rhai
/// model("squeezenet1_1", weights="random", seed=1)
/// ```
#[define(name = "model")]
#[expect(clippy::too_many_arguments, reason = "they are the recipe's parts, given by keyword")]
fn model_word(
    cx: &Context<'_>,
    /// The name of a network, of which "squeezenet1_1" is inside the program, or the path of an `.onnx` or `.percept` file.
    #[complete(model_names)]
    name: String,
    /// A file of weights, "hub" (published ones, fetched) or "random" (an untrained network); those inside the program if
    /// not given.
    #[default]
    #[complete(weights_names)]
    weights: Option<String>,
    /// The seed of random weights; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    /// For `.onnx`: a file with the names of the classes, one a line; ImageNet's if there are 1,000 answers.
    #[default]
    #[complete(|context| context.files(&["txt"]))]
    classes: Option<String>,
    /// For `.onnx`: what is subtracted from each channel, in the network's order and range.
    #[default]
    mean: Option<Vec<f64>>,
    /// For `.onnx`: what each channel is divided by then.
    #[default]
    std: Option<Vec<f64>>,
    /// For `.onnx`: the order in which it reads the channels, "rgb" (if not given) or "bgr".
    #[default]
    order: Option<ChannelOrder>,
    /// For `.onnx`: what white is before the mean is subtracted, 1 or 255.
    #[default]
    range: Option<f64>,
    /// For `.onnx`: height and width of its input, where the file leaves them open.
    #[default]
    size: Option<usize>,
) -> Result<Model> {
    let given = classes.is_some() || order.is_some() || range.is_some() || size.is_some();
    let given = given || mean.is_some() || std.is_some();
    let path = Path::new(&name);
    if path.extension().is_some_and(|ending| ending == "onnx" || ending == "percept") {
        if weights.is_some() || seed.is_some() {
            let message = format!("`{name}` has its own weights");
            return Err(Error::new(Kind::Argument, message).at_argument("weights"));
        }
        let classes = classes.map(|path| Classes::read(Path::new(&path)).map_err(|error| error.at_argument("classes")));
        let options = OnnxOptions {
            classes: classes.transpose()?,
            mean: mean.map(|mean| three(&mean, "mean")).transpose()?,
            std: std.map(|std| three(&std, "std")).transpose()?,
            order,
            range,
            size,
        };
        return Model::open(path, given.then_some(&options)).map_err(|error| error.at_argument("name"));
    }
    if given {
        let message = format!("`{name}` has its own classes and recipe");
        return Err(Error::new(Kind::Argument, message).with_hint("those of an .onnx file can be given"));
    }
    if seed.is_some() && weights.as_deref() != Some("random") {
        let error = Error::new(Kind::Argument, "model: only random weights have a seed");
        return Err(error.with_hint("give weights=\"random\" too, or leave out `seed`").at_argument("seed"));
    }
    let found = match weights.as_deref() {
        None => Model::named(&name),
        Some("random") => Model::untrained(&name, cx.seed(seed)),
        Some("hub") => fetched(cx, &name),
        Some(path) => {
            Model::from_file(&name, Path::new(path)).map_err(|error| match did_you_mean(path, ["hub", "random"]) {
                Some(hint) if !Path::new(path).exists() => error.with_hint(hint),
                _ => error,
            })
        }
    };
    found.map_err(|error| error.at_argument("weights"))
}

/// A model with weights from the hub, whose coming is shown in megabytes.
fn fetched(cx: &Context<'_>, name: &str) -> Result<Model> {
    let megabytes = |bytes: u64| (bytes / 1_000_000) as usize;
    let mut shown = None;
    Model::from_hub(name, &mut |done, total| {
        cx.interrupt().check()?;
        if total == 0 {
            return Ok(());
        }
        let (progress, before) =
            shown.get_or_insert_with(|| (cx.progress(&format!("{name}, MB"), megabytes(total)), 0));
        progress.advance(megabytes(done) - std::mem::replace(before, megabytes(done)))
    })
}

/// One number per channel.
fn three(numbers: &[f64], parameter: &str) -> Result<[f32; 3]> {
    match numbers {
        [red, green, blue] => Ok([*red as f32, *green as f32, *blue as f32]),
        _ => {
            let message = format!("`{parameter}` has {} numbers; there are 3 channels", numbers.len());
            Err(Error::new(Kind::Argument, message).at_argument(parameter))
        }
    }
}

impl FromValue for ChannelOrder {
    const EXPECTED: &'static str = "\"rgb\" or \"bgr\"";
    const COMPLETE: Option<Completer> = Some(|_| vec!["rgb".into(), "bgr".into()]);
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match value.clone().into_string().map_err(|_| Reject::Type)?.as_str() {
            "rgb" => Ok(Self::Rgb),
            "bgr" => Ok(Self::Bgr),
            other => Err(Reject::Because(format!("must be {}, not {other:?}", Self::EXPECTED), None)),
        }
    }
}

/// The networks that can be asked for by name.
///
/// ```rhai
/// models()
/// ```
#[define]
fn models() -> Result<Table> {
    let mut table = Table::new(&["network", "parameters", "input", "weights"]);
    for entry in zoo::ENTRIES {
        let parameters = entry.graph()?.parameters();
        let count: usize = parameters.iter().map(|parameter| parameter.shape.iter().product::<usize>()).sum();
        let weights = if entry.name == Model::EMBEDDED { "in the program" } else { "weights=…" };
        let size = format!("{0}×{0}", entry.recipe.size);
        table.rows.push(vec![
            entry.name.into(),
            i64::try_from(count).unwrap_or(i64::MAX).into(),
            size.into(),
            weights.into(),
        ]);
    }
    Ok(table)
}

/// Saves a model in one file (`.percept`): its graph with all names, its weights, its classes and its recipe.
///
/// `model(path)` reads it again, the same bit for bit.
///
/// ```rhai
/// let path = "example.percept";
/// model("squeezenet1_1").save(path);
/// model(path)
/// ```
#[define(name = "save")]
fn save_model(
    /// The model.
    model: Model,
    /// The file.
    #[complete(|context| context.files(&["percept"]))]
    path: String,
) -> Result<()> {
    model.save(Path::new(&path)).map_err(|error| error.at_argument("path"))
}

/// The layers of a model in order of execution, with all their names.
///
/// Each layer has its framework's name, the architecture's own, and one that counts its kind (`conv1`, `conv2`, …)
/// and is the same for every network. The shape is for one image of the model's size; the receptive field is the
/// side, in pixels, of the square that one unit sees.
///
/// ```rhai
/// model("squeezenet1_1").layers()
/// ```
#[define]
fn layers(
    /// The model.
    model: Model,
) -> Result<Table> {
    Ok(layer_table(&model))
}

/// The layers of a model as the word `layers` lists them.
pub fn layer_table(model: &Model) -> Table {
    let mut table = Table::new(&["layer", "counted", "also", "operation", "output", "parameters", "sees"]);
    for row in model.layers() {
        let also: Vec<&str> = row.aliases.iter().filter(|alias| **alias != row.ordinal).map(String::as_str).collect();
        let shape: Vec<String> = row.shape.iter().map(ToString::to_string).collect();
        table.rows.push(vec![
            row.name.into_value(),
            row.ordinal.into_value(),
            also.join(" ").into_value(),
            row.kind.into_value(),
            shape.join("×").into_value(),
            row.parameters.into_value(),
            row.receptive_field.size.into_value(),
        ]);
    }
    table
}

/// One layer of a model, by any of its names: `"features.3.squeeze"`, `"fire2/squeeze1x1"` or `"conv2"`.
///
/// ```rhai
/// layer(model("squeezenet1_1"), "conv2")
/// ```
#[define(name = "layer")]
fn layer_word(
    /// The model.
    model: Model,
    /// The layer's name; `layers()` lists them.
    #[complete(layer_names)]
    name: String,
) -> Result<Layer> {
    model.layer(&name).map_err(|error| error.at_argument("name"))
}

/// One layer of the embedded model, by any of its names.
///
/// ```rhai
/// layer("conv1")
/// ```
#[define(name = "layer")]
fn layer_of_embedded(
    /// The layer's name; `layers()` lists them.
    #[complete(layer_names)]
    name: String,
) -> Result<Layer> {
    Model::embedded()?.layer(&name).map_err(|error| error.at_argument("name"))
}

/// The weights of a layer as a tensor: [outputs, inputs, height, width] for a convolution.
///
/// ```rhai
/// layer("conv1").weights().shape
/// ```
#[define]
fn weights(
    /// The layer.
    layer: Layer,
) -> Result<TensorValue> {
    layer.weight().cloned().map(TensorValue::from).ok_or_else(|| without_weights(&layer, "weights"))
}

/// The error of asking a layer for weights it does not have.
pub fn without_weights(layer: &Layer, function: &str) -> Error {
    let message = format!("{function}: {} has no weights: it is {}", layer.name(), layer.node().op);
    let convolutions = layer.model().layers().into_iter().filter(|row| row.ordinal.starts_with("conv"));
    let names: Vec<String> = convolutions.take(3).map(|row| row.ordinal).collect();
    Error::new(Kind::Argument, message).with_hint(format!("{}, … have", names.join(", "))).at_argument("layer")
}

/// The names of the classes of a model.
///
/// ```rhai
/// model("squeezenet1_1").classes()[105]
/// ```
#[define]
fn classes(
    /// The model.
    model: Model,
) -> Result<Vec<String>> {
    Ok(model.classes().names().to_vec())
}

/// What a network answers before softmax, for each image and class: logits [N, classes].
///
/// ```rhai
/// forward(model("squeezenet1_1"), photo("chelsea")).argmax()
/// ```
#[define]
fn forward(
    cx: &Context<'_>,
    /// The model.
    model: Model,
    /// An image, or a tensor [N, 3, height, width] that is already in the network's input space.
    x: Input,
) -> Result<TensorValue> {
    let input = match x {
        Input::Image(image) => model.input(&model.view(&image)?)?,
        Input::Tensor(tensor) => tensor.inner().clone(),
    };
    Ok(model.forward(&input, cx.interrupt()).map_err(|error| error.at_argument("x"))?.into())
}

/// An image as a tensor [1, 3, height, width] in the input space of a network, brought to its size.
///
/// ```rhai
/// model("squeezenet1_1").prepare(photo("china")).shape
/// ```
#[define]
fn prepare(
    /// The model.
    model: Model,
    /// The image.
    image: Image,
) -> Result<TensorValue> {
    Ok(model.input(&model.view(&image)?)?.into())
}
