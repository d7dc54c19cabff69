//! Images as points: by their pixels, or by what a layer makes of them.

use candle_core::Tensor;

use crate::data::{ImageSet, Kept, SetOrStore};
use crate::error::Result;
use crate::image::{Image, WHITE};
use crate::job::Job;
use crate::lang::{Options, choices};
use crate::model::{Layer, LayerName, Model};
use crate::points::{Metric, Points};
use crate::tensor::with_values;

/// Pixels are compared at this size, in both directions.
pub const PIXELS: usize = 32;
/// So many images are read between two looks at the interrupt.
const AT_ONCE: usize = 64;

choices!(Metric { "l2" => L2, "cosine" => Cosine });

/// What the coordinates of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The mean of each channel of a layer.
    Features,
    /// Its pixels.
    Pixels,
}

choices!(Space { "features" => Features, "pixels" => Pixels });

/// The layer whose features are looked at.
#[derive(Clone, Debug, Options)]
pub struct FeatureSpace {
    /// The layer whose features are compared, a layer or its name; if not given, the network's last that has places.
    #[default]
    pub layer: Option<LayerName>,
    /// The network; if not given, that of the layer, or the embedded one.
    #[default]
    pub model: Option<Model>,
}

impl FeatureSpace {
    /// The layer; that of a store, if none is named and the store has one.
    ///
    /// # Errors
    /// There is no such layer.
    pub fn layer(&self, job: &Job, images: Option<&SetOrStore>) -> Result<Layer> {
        if let (None, None, Some(SetOrStore::Store(store))) = (&self.layer, &self.model, images)
            && let Ok((model, _)) = store.made_of()
        {
            return model.layer(&store.layer_named(None)?);
        }
        crate::model::resolve_layer(job, self.layer.as_ref(), self.model.as_ref(), Model::default_cam_layer)
    }
}

/// The images of a set as points, in its order.
///
/// # Errors
/// An image cannot be read, or the run was interrupted.
pub fn points(job: &Job, images: &SetOrStore, space: Space, layer: &Layer) -> Result<Points> {
    match space {
        Space::Features => {
            let store = images.at(job, layer)?;
            let features = store.numbers(layer.known_as(), Kept::Mean)?;
            Points::new(features.to_vec(), store.rows().len(), layer.units())
        }
        // the images that can be read
        Space::Pixels => pixels(job, images.at(job, layer)?.made_of()?.1),
    }
}

/// One image as a point.
///
/// # Errors
/// It cannot become the network's input, or the run was interrupted.
pub fn point(job: &Job, image: &Image, space: Space, layer: &Layer) -> Result<Points> {
    match space {
        Space::Features => {
            let model = layer.model();
            let values = layer.activations(&model.input(&model.view(image)?)?, job.interrupt())?;
            Points::new(pooled(&values)?, 1, layer.units())
        }
        Space::Pixels => Points::new(pixels_of(image)?, 1, 3 * PIXELS * PIXELS),
    }
}

/// The mean of each channel of a layer's value for one image.
fn pooled(values: &Tensor) -> Result<Vec<f32>> {
    let channels = values.dim(1)?;
    with_values(values, |values| {
        let maps = values.chunks((values.len() / channels.max(1)).max(1));
        maps.map(|map| (map.iter().map(|value| f64::from(*value)).sum::<f64>() / map.len() as f64) as f32).collect()
    })
}

/// A cut-out is put on white.
fn pixels_of(image: &Image) -> Result<Vec<f32>> {
    Ok(image.flatten(WHITE).resize(PIXELS, PIXELS)?.channels().concat())
}

fn pixels(job: &Job, set: &ImageSet) -> Result<Points> {
    let indices: Vec<usize> = (0..set.entries().len()).collect();
    let progress = job.progress("pixels", indices.len());
    let mut all = Vec::with_capacity(indices.len() * 3 * PIXELS * PIXELS);
    for indices in indices.chunks(AT_ONCE) {
        for pixels in set.read_each(job, indices, |image| pixels_of(&image))? {
            all.extend(pixels?);
        }
        progress.advance(indices.len())?;
    }
    Points::new(all, indices.len(), 3 * PIXELS * PIXELS)
}
