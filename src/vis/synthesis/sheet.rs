//! A sheet: what each of many channels of a layer looks for.

use super::each::one_for_each;
use super::settings::AscentOptions;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::model::{ChannelNumbers, Layer, LayerName, Model, resolve_layer};
use crate::vis::objective::{Channel, Goal};
use crate::vis::panels::{Panel, Panels};

/// So many channels, from the first, if none are named.
const FIRST: usize = 16;

/// What each of several channels of a layer looks for: one image for each, made as by `visualize` so that the mean of the
/// channel is large, with the channel's number beneath it.
///
/// Images are made together as far as the memory allows. If it is interrupted, unfinished images are shown as they are.
///
/// ```rhai
/// sheet("fire2", channels=0..4, size=48, steps=8)
/// ```
#[function(source = "Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017")]
pub fn sheet(
    job: &Job,
    /// The layer: a layer, which decides the network, or the name of one.
    layer: &LayerName,
    /// Which channels: a range such as `0..16`, a list, or one; the first 16, if not given.
    #[default]
    channels: Option<ChannelNumbers>,
    #[options] options: &AscentOptions,
) -> Result<Panels> {
    let layer = resolve_layer(job, Some(layer), options.model.as_ref(), Model::default_dream_layer)?;
    let channels = channels.unwrap_or_else(|| ChannelNumbers((0..FIRST.min(layer.units())).collect()));
    let channels = channels.of(&layer)?.to_vec();
    let options = AscentOptions { model: Some(layer.model().clone()), ..options.clone() };
    let goals = goals(&layer, &channels);
    let made = one_for_each(job, "sheet", &goals, &options)?;
    let panels = made.images.iter().zip(&channels);
    let panels = panels.map(|(image, channel)| Panel::new(image.clone(), channel.to_string())).collect();
    let name = layer.known_as();
    let caption = format!(
        "Each image was made so that the mean of one of the {} channels of {name} is large; the number is the channel's.",
        layer.units()
    );
    let caption = made.note(channels.len()).into_iter().fold(caption, |caption, note| format!("{caption} {note}"));
    Ok(Panels { caption: Some(caption), ..Panels::new(format!("What the channels of {name} look for"), panels) })
}

/// The mean of each of these channels as an objective.
pub(super) fn goals(layer: &Layer, channels: &[usize]) -> Vec<Goal> {
    channels.iter().map(|channel| Goal::new(Channel { layer: layer.clone().into(), channel: *channel })).collect()
}

/// Checks that a layer has places.
///
/// # Errors
/// It has none.
pub(super) fn check_places(layer: &Layer) -> Result<[usize; 2]> {
    match *layer.shape() {
        [_, height, width] => Ok([height, width]),
        ref shape => {
            let message = format!("layer {} has no places, its shape is {shape:?}", layer.name());
            Err(Error::new(Kind::Argument, message)
                .with_hint("choose one before the last pooling")
                .at_argument("layer"))
        }
    }
}
