//! A model in one file: safetensors whose metadata holds the graph, the recipe and the classes as JSON.

use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use super::bounds::check_graph;
use super::graph::NodeParts;
use super::{Answer, AnswerKind, Channels, Classes, Graph, InputRecipe, Model, ModelOptions, Weights};
use crate::error::{Error, Kind, Result, missing_file};
use crate::files::write_file;

/// The version of the metadata that is written; version 1, which knew colour and squares only, is read too.
const VERSION: u32 = 2;
/// The key of the metadata.
const KEY: &str = "percept";
/// The longest header of a safetensors file that is read, in bytes.
const LONGEST_HEADER: u64 = 8 << 20;
/// The longest description of a network, in bytes; DenseNet-201's has a twentieth of this.
const LONGEST_DESCRIPTION: usize = 4 << 20;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 4 << 30;

/// All of a model but its weights.
#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    name: String,
    recipe: InputRecipe,
    classes: Vec<String>,
    /// What the output is; in version 1 what the number of outputs suggests.
    #[serde(default)]
    answer: Option<AnswerKind>,
    /// Of two classes and one output, the one it speaks for.
    #[serde(default)]
    positive: usize,
    nodes: Vec<NodeParts>,
}

impl Model {
    /// A model from a file that [`save`](Self::save) wrote (`.percept`) or from an ONNX file (`.onnx`).
    ///
    /// # Errors
    /// The file is missing, damaged or of another kind; or there are options for a `.percept` file, which has its own.
    pub fn open(path: &Path, options: Option<&ModelOptions>) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        let is_onnx = match ending.as_deref() {
            Some("onnx") => true,
            Some("percept") => false,
            _ => return Err(Error::new(Kind::File, "models are read from .onnx and .percept files")),
        };
        if !is_onnx && options.is_some() {
            let message = format!("`{}` has its own classes and recipe", path.display());
            return Err(Error::new(Kind::Argument, message).with_hint("those of an .onnx file can be given"));
        }
        let bytes = read(path)?;
        let model = if is_onnx {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            Self::from_onnx_in(path.parent(), &name, &bytes, options.unwrap_or(&ModelOptions::default()))
        } else {
            Self::from_percept(&bytes)
        };
        model.map_err(|error| error.context(format!("`{}`", path.display())))
    }

    /// A model from the bytes of a `.percept` file, as it was when it was saved, bit for bit.
    ///
    /// # Errors
    /// The file is damaged, or was written by a later version.
    pub fn from_percept(bytes: &[u8]) -> Result<Self> {
        let description = describe(bytes)?;
        let graph = Graph::from_parts(description.nodes)?;
        let mut recipe = description.recipe;
        let channels = graph.input_channels();
        if description.version == 1 && channels != 3 {
            // such a network could not be given images yet
            let plain = InputRecipe::plain(Channels::of(channels), recipe.height, recipe.width);
            recipe = InputRecipe { assumed: true, ..plain };
        }
        recipe.check()?;
        check_graph(&graph, [channels, recipe.height, recipe.width])?;
        let shapes = graph.shapes([channels, recipe.height, recipe.width], graph.output())?;
        let outputs = shapes.last().and_then(|shape| shape.first()).copied().unwrap_or(0);
        let kind = description.answer.unwrap_or(AnswerKind::of(outputs));
        let answer = Answer::new(kind, Some(Classes::from_names(description.classes)), outputs)
            .map_err(|error| damaged(error.message().to_owned()))?
            .with_positive(description.positive);
        let weights = Weights::from_safetensors(bytes)?;
        Self::new(&description.name, graph, weights, answer, recipe)
    }

    /// The bytes of a `.percept` file.
    ///
    /// # Errors
    /// The weights cannot be read back from their device.
    pub fn to_percept(&self) -> Result<Vec<u8>> {
        let description = Description {
            version: VERSION,
            name: self.name().to_owned(),
            recipe: self.recipe().clone(),
            classes: self.classes().names().to_vec(),
            answer: Some(self.answer().kind()),
            positive: self.answer().speaks_for(),
            nodes: self.graph().to_parts(),
        };
        let fault = |error: String| Error::new(Kind::Internal, format!("the model cannot be written: {error}"));
        let description = serde_json::to_string(&description).map_err(|error| fault(error.to_string()))?;
        let parameter = |(name, tensor): (&str, &candle_core::Tensor)| -> Result<(String, Vec<usize>, Vec<u8>)> {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            Ok((name.to_owned(), tensor.dims().to_vec(), bytes))
        };
        let parameters = self.weights().iter().map(parameter).collect::<Result<Vec<_>>>()?;
        let views = parameters
            .iter()
            .map(|(name, shape, bytes)| TensorView::new(Dtype::F32, shape.clone(), bytes).map(|view| (name, view)));
        let views = views.collect::<Result<Vec<_>, _>>().map_err(|error| fault(error.to_string()))?;
        let metadata = HashMap::from([(KEY.to_owned(), description)]);
        safetensors::serialize(views, Some(metadata)).map_err(|error| fault(error.to_string()))
    }

    /// Writes the model to a `.percept` file, whole or not at all.
    ///
    /// # Errors
    /// The path has another ending, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        if path.extension().is_none_or(|ending| ending != "percept") {
            let message = format!("`{}` does not say its format", path.display());
            return Err(Error::new(Kind::File, message).with_hint("a model is saved as .percept"));
        }
        write_file(path, &self.to_percept()?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let fault = |why: String| Error::new(Kind::File, format!("`{}` {why}", path.display()));
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => missing_file(path),
        _ => fault(format!("cannot be read: {error}")),
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(fault("is a folder, not a model".into()));
    }
    if metadata.len() > LARGEST {
        return Err(fault(format!("has {} bytes; models of up to {LARGEST} are read", metadata.len())));
    }
    std::fs::read(path).map_err(unreadable)
}

fn describe(bytes: &[u8]) -> Result<Description> {
    let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    if length > LONGEST_HEADER {
        return Err(damaged(format!("its header claims to have {length} bytes")));
    }
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
    let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
    let text = text.ok_or_else(|| damaged("it does not describe a network".into()))?;
    if text.len() > LONGEST_DESCRIPTION {
        return Err(damaged(format!("its description has {} bytes", text.len())));
    }
    let value: Versioned = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    if !(1..=VERSION).contains(&value.version) {
        let message = format!("the file has version {}, this program reads up to version {VERSION}", value.version);
        return Err(Error::new(Kind::File, message).with_hint("save it again with the program that wrote it"));
    }
    serde_json::from_str(text).map_err(|error| damaged(error.to_string()))
}

/// What every version has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn damaged(why: String) -> Error {
    Error::new(Kind::File, format!("not a sound .percept file: {why}"))
}
