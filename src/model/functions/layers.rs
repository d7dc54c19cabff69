//! Layers, their names, their weights.

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{IntoValue, Table, function};
use crate::model::arguments::layer_names;
use crate::model::{Layer, Model, Network};
use crate::tensor::TensorValue;

/// The layers of a model in order of execution, with all their names.
///
/// Each layer has its framework's name, the architecture's own, and one that counts its kind (`conv1`, `conv2`, …)
/// and is the same for every network. The shape is for one image of the model's size; the receptive field is the
/// side, in pixels, of the square that one unit sees.
///
/// ```rhai
/// layers()
/// ```
#[function]
fn layers(job: &Job, #[options] network: &Network) -> Result<Table> {
    Ok(layer_table(&network.get(job)?))
}

/// The layers of a model as `layers` lists them.
pub fn layer_table(model: &Model) -> Table {
    let mut table =
        Table::new(&["layer", "ordinal", "aliases", "operation", "output", "parameters", "receptive_field"]);
    for row in model.layers() {
        let aliases: Vec<&str> =
            row.aliases.iter().filter(|alias| **alias != row.ordinal).map(String::as_str).collect();
        let shape: Vec<String> = row.shape.iter().map(ToString::to_string).collect();
        table.rows.push(vec![
            row.name.into_value(),
            row.ordinal.into_value(),
            aliases.join(" ").into_value(),
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
/// layer("conv1")
/// ```
///
/// ```rhai
/// layer(model("squeezenet1_1"), "conv2")
/// ```
#[function(name = "layer")]
fn layer_by_name(
    job: &Job,
    /// The layer's name; `layers()` lists them.
    #[complete(layer_names)]
    name: String,
    #[options] network: &Network,
) -> Result<Layer> {
    network.get(job)?.layer(&name).map_err(|error| error.at_argument("name"))
}

/// The weights of a layer as a tensor: [outputs, inputs, height, width] for a convolution.
///
/// ```rhai
/// layer("conv1").weights().shape
/// ```
#[function]
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
