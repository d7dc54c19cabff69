//! Options that several methods take, each documented once.

use super::Prediction;
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::Options;
use crate::model::{ClassName, Layer, LayerName, Model, Network, resolve_layer};

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
        let layer = resolve_layer(job, layer, self.model.as_ref(), default)?;
        Ok((Prediction::of(job, layer.model().clone(), image, self.class.as_ref())?, layer))
    }
}
