//! Caricatures: images that exaggerate what a layer sees in another one.

use super::resume::finished;
use super::settings::{AscentOptions, Size};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::Job;
use crate::lang::function;
use crate::model::{LayerName, Model, resolve_layer};
use crate::vis::objective::{DotProduct, Goal};
use crate::vis::param::Beside;

/// Steps, unless said otherwise.
const STEPS: usize = 512;

/// A caricature of an image: made from noise, it has what a layer sees in the image, as strongly as it can.
///
/// The dot product of the layer's activations with those of the image is made large; both are looked at through the same
/// transforms. Where an inversion would match the image, a caricature exaggerates it. It takes 512 steps, and the size at
/// which the network sees images, unless `steps` and `size` say otherwise. If it is interrupted, the image so far is
/// returned, and `resume=` goes on from it.
///
/// ```rhai
/// caricature(photo("chelsea"), layer="fire3", steps=6, size=64)
/// ```
#[function(source = "tensorflow/lucid, recipes/caricature.py")]
pub fn caricature(
    job: &Job,
    /// The image.
    image: &Image,
    /// The layer: a layer, which decides the network, or the name of one. If not given, the one that dreams amplify.
    #[default]
    #[leading]
    layer: Option<LayerName>,
    /// How much it counts that nothing else is there: the power of the cosine by which the dot product is multiplied.
    #[default(0)]
    #[range(0.0..=8.0)]
    cosine_power: f64,
    /// A caricature that was interrupted, to go on with; the other arguments must be those it was begun with.
    #[default]
    resume: Option<Image>,
    #[options] options: &AscentOptions,
) -> Result<Image> {
    let layer = resolve_layer(job, layer.as_ref(), options.model.as_ref(), Model::default_dream_layer)?;
    let model = layer.model().clone();
    let view = match options.size {
        Some(Size { width, height }) => model.as_seen(&image.flatten(WHITE).resize(width, height)?)?,
        None => model.view(image)?,
    };
    let settings = AscentOptions {
        size: Some(Size { width: view.width(), height: view.height() }),
        steps: options.steps.or(Some(STEPS)),
        model: Some(model),
        ..options.clone()
    };
    let asked = (view.clone(), format!("caricature {layer} {cosine_power} {options:?}"));
    let goal = Goal::new(DotProduct { layer: layer.into(), cosine_power });
    let begin = || {
        let given = view.tensor()?;
        settings.ascent_of(job, &goal, |model, size, seed| {
            Ok(Box::new(Beside::new(settings.param(model, size, 1, seed)?, given)))
        })
    };
    // the original stands second
    let images = finished(job, "caricature", asked, resume.as_ref(), begin)?;
    images.into_iter().next().ok_or_else(|| Error::new(Kind::Internal, "an ascent of no image"))
}
