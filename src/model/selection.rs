//! Options about networks and layers that several functions take, each documented once.

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::Options;

use super::{Layer, LayerName, Model};

/// Which network.
#[derive(Clone, Debug, Options)]
pub struct Network {
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

impl Network {
    /// The same, or `other` if no network was given.
    #[must_use]
    pub fn or(self, other: Option<&Model>) -> Self {
        Self { model: self.model.or_else(|| other.cloned()) }
    }

    /// The network, noted for the provenance of the result.
    ///
    /// # Errors
    /// The embedded network cannot be read.
    pub fn get(&self, job: &Job) -> Result<Model> {
        let model = self.model.clone().map_or_else(Model::embedded, Ok)?;
        job.note("model", model.fingerprint());
        Ok(model)
    }
}

impl From<Model> for Network {
    fn from(model: Model) -> Self {
        Self { model: Some(model) }
    }
}

/// The layer that a method looks at, noted with its network for the provenance of the result. A layer's handle decides the
/// network; a name is looked up in `model`, or the embedded network; without either it is the network's `default`.
///
/// # Errors
/// There is no such layer, or a handle is of another network than `model`.
pub fn resolve_layer(
    job: &Job,
    layer: Option<&LayerName>,
    model: Option<&Model>,
    default: fn(&Model) -> Result<Layer>,
) -> Result<Layer> {
    let found = match (layer, model) {
        (Some(LayerName::Handle(layer)), Some(model)) if !layer.model().same(model) => {
            let (of, given) = (layer.model().fingerprint(), model.fingerprint());
            let message = format!("this layer is of {of}, not of the network given as `model`, {given}");
            let error = Error::new(Kind::Argument, message);
            return Err(error.with_hint("leave out `model`: a layer knows its network").at_argument("layer"));
        }
        (Some(LayerName::Handle(layer)), _) => layer.clone(),
        (name, model) => {
            let model = model.cloned().map_or_else(Model::embedded, Ok)?;
            match name {
                Some(LayerName::Name(name)) => model.layer(name).map_err(|error| error.at_argument("layer"))?,
                _ => default(&model)?,
            }
        }
    };
    job.note("layer", format!("{:?}", found.name()));
    job.note("model", found.model().fingerprint());
    Ok(found)
}

/// The layers of one network that a method looks at, noted with the network for the provenance of the result: those given, or
/// the network's `default`. The first handle among them decides the network.
///
/// # Errors
/// The list is empty, there is no such layer, or a handle is of another network than the others or `model`.
pub fn resolve_layers(
    job: &Job,
    layers: Option<&[LayerName]>,
    model: Option<&Model>,
    default: fn(&Model) -> Result<Vec<Layer>>,
) -> Result<Vec<Layer>> {
    let decided = || layers.unwrap_or_default().iter().find_map(|layer| layer.handle()).map(Layer::model);
    let model = model.or_else(decided).cloned().map_or_else(Model::embedded, Ok)?;
    let found = match layers {
        None => default(&model)?,
        Some([]) => {
            let error = Error::new(Kind::Argument, "`layers` is empty").at_argument("layers");
            return Err(error.with_hint("name some, such as [\"fire3\", \"fire8\"], or leave it out"));
        }
        Some(layers) => {
            let found: Result<Vec<Layer>> = layers.iter().map(|layer| layer.find(&model)).collect();
            found.map_err(|error| error.at_argument("layers"))?
        }
    };
    let names: Vec<&str> = found.iter().map(Layer::name).collect();
    job.note("layers", format!("{names:?}"));
    job.note("model", model.fingerprint());
    Ok(found)
}
