//! What a script does with stores.

use std::path::PathBuf;

use super::{Kept, Store};
use crate::data::ImageSet;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, function};
use crate::model::{LayerName, Model};
use crate::tensor::TensorValue;

/// Runs a network over the images of a set, once, and keeps what it makes of them: of each channel of some layers the largest
/// value, where it is, and the mean. `top_patches`, `neighbors`, `health` and others take a store in place of a set, and need not
/// run the network then.
///
/// With `to`, the store is a folder of Parquet files, which pandas, polars and DuckDB read: a row for each image, with its `name`
/// and `label`, and lists such as `fire5/max`, `fire5/at` (the place in the map, row by row) and `fire5/mean`. What is in the
/// folder already is not computed again: a run that was stopped goes on, and more images can be added. Images that cannot be read
/// are skipped, and named in the result. Started as `percept run FILE --shard i/n`, it looks at the i-th of n parts of the images.
///
/// ```rhai
/// let s = store(model("squeezenet1_1"), gallery().filter(|one| one.label == "fish"), layers=["fire5", "fire9"], to="fishes");
/// print(s);
/// print(s.features("fire9").shape)
/// ```
#[function]
pub fn store(
    job: &Job,
    /// The network.
    model: &Model,
    /// The images.
    images: &ImageSet,
    /// The layers that are kept; if not given, the last one that has places.
    #[default]
    layers: Option<Vec<LayerName>>,
    /// A folder for the files, which is made if it is not there; without one, the store is in memory.
    #[default]
    to: Option<String>,
    /// Whether all values of the layers are kept as well, as `fire5/map`.
    #[default(false)]
    maps: bool,
) -> Result<Store> {
    let layers = match layers {
        Some(names) => names.iter().map(|name| name.find(model)).collect::<Result<Vec<_>>>(),
        None => model.default_cam_layer().map(|layer| vec![layer]),
    };
    let layers = layers.map_err(|error| error.at_argument("layers"))?;
    Store::fill(job, model, images, &layers, maps, to.map(|folder| job.path(folder)))
}

/// The stores of several folders as one, such as those of shards that ran on several machines: each image once. Nothing is copied.
///
/// ```rhai
/// let fishes = gallery().filter(|one| one.label == "fish");
/// for half in [0, 1] {
///     store(model("squeezenet1_1"), fishes.batch(6)[half], layers=["fire9"], to=`part${half}`);
/// }
/// merge(["part0", "part1"])
/// ```
#[function]
pub fn merge(
    job: &Job,
    /// The folders.
    folders: Vec<String>,
) -> Result<Store> {
    if folders.is_empty() {
        return Err(Error::new(Kind::Argument, "merge: there is no folder").at_argument("folders"));
    }
    let folders: Vec<PathBuf> = folders.iter().map(|folder| job.path(folder)).collect();
    Store::open(&folders).map_err(|error| error.at_argument("folders"))
}

/// How many images a store has rows of.
///
/// ```rhai
/// store(model("squeezenet1_1"), digits(part="test").split(0.01)[0], layers=["fire2"]).count
/// ```
#[function(property)]
fn count(
    /// The store.
    store: &Store,
) -> Result<i64> {
    Ok(store.rows().len() as i64)
}

/// The names of the images of a store, in order.
///
/// ```rhai
/// store(model("squeezenet1_1"), gallery().split(0.02)[0], layers=["fire2"]).names
/// ```
#[function(property)]
fn names(
    /// The store.
    store: &Store,
) -> Result<Vec<String>> {
    Ok(store.rows().iter().map(|row| row.name.to_string()).collect())
}

/// The class of each image of a store; nothing for those that have none.
///
/// ```rhai
/// store(model("squeezenet1_1"), gallery().split(0.02)[0], layers=["fire2"]).labels
/// ```
#[function(property)]
fn labels(
    /// The store.
    store: &Store,
) -> Result<Vec<Dynamic>> {
    let label = |label: &Option<String>| label.clone().map_or(Dynamic::UNIT, Into::into);
    Ok(store.rows().iter().map(|row| label(&row.label)).collect())
}

/// The names of the layers that a store keeps.
///
/// ```rhai
/// store(model("squeezenet1_1"), gallery().split(0.02)[0], layers=["fire2", "fire3"]).layers
/// ```
#[function(property)]
fn layers(
    /// The store.
    store: &Store,
) -> Result<Vec<String>> {
    Ok(store.layers().iter().map(|(name, _)| name.clone()).collect())
}

/// The features of the images: the mean of each channel of a layer, [images, channels].
///
/// ```rhai
/// store(model("squeezenet1_1"), gallery().split(0.02)[0], layers=["fire2"]).features("fire2").shape
/// ```
#[function]
fn features(
    /// The store.
    store: &Store,
    /// The layer.
    layer: String,
) -> Result<TensorValue> {
    values(store, &layer, Kept::Mean)
}

/// The largest value of each channel of a layer for each image, [images, channels].
///
/// ```rhai
/// store(model("squeezenet1_1"), gallery().split(0.02)[0], layers=["fire2"]).maxima("fire2").max()
/// ```
#[function]
fn maxima(
    /// The store.
    store: &Store,
    /// The layer.
    layer: String,
) -> Result<TensorValue> {
    values(store, &layer, Kept::Max)
}

fn values(store: &Store, layer: &str, kept: Kept) -> Result<TensorValue> {
    let layer = store.layer_named(Some(layer))?;
    let numbers = store.numbers(&layer, kept)?;
    let rows = store.rows().len();
    TensorValue::from_values(numbers.to_vec(), &[rows, numbers.len() / rows.max(1)])
}
