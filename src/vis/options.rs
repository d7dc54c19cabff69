//! Options that several methods take, each documented once.

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::Options;
use crate::model::{ClassName, Layer, LayerName, Model};

use super::Prediction;

/// Which network.
#[derive(Clone, Debug, Options)]
pub struct Network {
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

impl Network {
    /// The network, noted for the provenance of the result.
    ///
    /// # Errors
    /// The embedded network cannot be read.
    pub fn get(&self, job: &Job) -> Result<Model> {
        let model = self.model.clone().map_or_else(Model::embedded, Ok)?;
        job.note("model", model.provenance());
        Ok(model)
    }
}

impl From<Model> for Network {
    fn from(model: Model) -> Self {
        Self { model: Some(model) }
    }
}

/// What is explained, and of which network.
#[derive(Clone, Debug, Options)]
pub struct Explain {
    /// The class that is explained, by name or number; the most probable one if not given.
    #[default]
    pub class: Option<ClassName>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

impl Explain {
    /// What the network predicts for an image, and the class of it that is explained.
    ///
    /// # Errors
    /// There is no such class, the image cannot become the network's input, or the run was interrupted.
    pub fn prediction(&self, job: &Job, image: &Image) -> Result<Prediction> {
        let model = Network { model: self.model.clone() }.get(job)?;
        Prediction::of(job, model, image, self.class.as_ref())
    }

    /// The same, with the layer that a method looks at: the one given, or the network's default for `purpose`. A layer's
    /// handle decides the network.
    ///
    /// # Errors
    /// As [`prediction`](Self::prediction), and where there is no such layer, or it is another network's.
    pub fn prediction_at(
        &self,
        job: &Job,
        image: &Image,
        layer: Option<&LayerName>,
        default: fn(&Model) -> Result<Layer>,
    ) -> Result<(Prediction, Layer)> {
        let layer = resolve(job, layer, self.model.as_ref(), default)?;
        Ok((Prediction::of(job, layer.model().clone(), image, self.class.as_ref())?, layer))
    }
}

/// The layer that a method looks at, whose handle decides the network; noted for the provenance of the result.
///
/// # Errors
/// There is no such layer, or a handle is of another network than `model`.
pub fn resolve(
    job: &Job,
    layer: Option<&LayerName>,
    model: Option<&Model>,
    default: fn(&Model) -> Result<Layer>,
) -> Result<Layer> {
    let found = match (layer, model) {
        (Some(LayerName::Handle(layer)), None) => layer.clone(),
        (Some(LayerName::Handle(layer)), Some(model)) if layer.model().same(model) => layer.clone(),
        (Some(LayerName::Handle(layer)), Some(model)) => {
            let (of, given) = (layer.model().provenance(), model.provenance());
            let message = format!("this layer is of {of}, not of the network given as `model`, {given}");
            let error = Error::new(Kind::Argument, message);
            return Err(error.with_hint("leave out `model`: a layer knows its network").at_argument("layer"));
        }
        (name, model) => {
            let model = model.cloned().map_or_else(Model::embedded, Ok)?;
            match name {
                Some(LayerName::Name(name)) => model.layer(name).map_err(|error| error.at_argument("layer"))?,
                _ => default(&model)?,
            }
        }
    };
    job.note("layer", format!("{:?}", found.name()));
    job.note("model", found.model().provenance());
    Ok(found)
}
