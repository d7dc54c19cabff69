//! Dreams of one image by layer: what each layer amplifies.

use super::dream::{Dream, DreamOptions};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::model::{LayerName, Model, resolve_layers};
use crate::vis::ascent::Ended;
use crate::vis::{Panel, Panels};

/// Dreams of one image, each of which amplifies what another layer detects: lines and textures early, parts of things late.
///
/// All have the same shifts, so that only the layers differ. If it is interrupted, it has those made so far.
///
/// ```rhai
/// dream_layers(photo("china").resize(90, 60), layers=["fire2", "fire5"], octaves=1, steps=2)
/// ```
#[function(source = "Mordvintsev, Olah and Tyka, Inceptionism, 2015")]
pub fn dream_layers(
    job: &Job,
    /// Where the dreams start: a photograph, `clouds(w, h)` or `noise(w, h)`.
    image: &Image,
    /// The layers, in the order in which they are shown. If not given, those over the depth of the network that everything
    /// passes.
    #[default]
    layers: Option<Vec<LayerName>>,
    #[options(without(layer, target, resume))] options: &DreamOptions,
) -> Result<Panels> {
    let layers = resolve_layers(job, layers.as_deref(), options.model.as_ref(), Model::stages)?;
    let seed = job.seed(options.seed);
    // all are checked before the first is begun
    let dreams = layers.iter().map(|layer| {
        let own = DreamOptions {
            layer: Some(layer.clone().into()),
            target: None,
            resume: None,
            seed: Some(seed),
            model: None,
            ..options.clone()
        };
        Dream::new(job, image, &own)
    });
    let mut dreams: Vec<Dream> = dreams.collect::<Result<_>>()?;
    let progress = job.progress("dream_layers", dreams.iter().map(Dream::left).sum());
    let mut panels = Vec::new();
    for (layer, dream) in layers.iter().zip(&mut dreams) {
        let ended = dream.advance_within(job, &progress)?;
        panels.push(Panel::new(dream.image()?, layer.known_as()));
        if ended == Ended::Interrupted {
            break;
        }
    }
    Ok(Panels::new("Dreams by layer", panels))
}
