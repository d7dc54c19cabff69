//! A semantic dictionary: the strongest channels at one place of an image, each drawn as what it looks for.

use super::each::one_for_each;
use super::natural::seen;
use super::settings::AscentOptions;
use super::sheet::{check_places, goals};
use super::spectrum::short;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::model::{LayerName, Model, resolve_layer};
use crate::vis::panels::{Panel, Panels};

/// What a layer sees at one place of an image, in its own words: the channels that are strongest there, each as the image
/// that it likes most, with its value. First comes what the place sees of the image.
///
/// If it is interrupted, unfinished images are shown as they are.
///
/// ```rhai
/// semantic_dictionary(photo("chelsea"), 12, 15, layer="fire3", top=3, size=48, steps=8)
/// ```
#[function(
    source = "Olah, Satyanarayan, Johnson, Carter, Schubert, Ye and Mordvintsev, The Building Blocks of Interpretability, \
              Distill 2018"
)]
pub fn semantic_dictionary(
    job: &Job,
    /// The image.
    image: &Image,
    /// The row of the place in the layer's maps, from 0.
    #[range(0..)]
    y: usize,
    /// The column of the place in the layer's maps, from 0.
    #[range(0..)]
    x: usize,
    /// The layer: a layer, which decides the network, or the name of one; if not given, the one that the network dreams with.
    #[default]
    layer: Option<LayerName>,
    /// How many channels.
    #[default(5)]
    #[range(1..=64)]
    top: usize,
    #[options] options: &AscentOptions,
) -> Result<Panels> {
    let layer = resolve_layer(job, layer.as_ref(), options.model.as_ref(), Model::default_dream_layer)?;
    let [height, width] = check_places(&layer)?;
    for (name, place, side, what) in [("y", y, height, "rows"), ("x", x, width, "columns")] {
        if place >= side {
            let message =
                format!("layer {} has {what} 0 to {}, no {name}={place}", layer.name(), side.saturating_sub(1));
            return Err(Error::new(Kind::Argument, message).at_argument(name));
        }
    }
    let model = layer.model();
    let view = model.view(image)?;
    let activations = layer.activations(&model.input(&view)?, job.interrupt())?;
    let values: Vec<f32> = activations.narrow(2, y, 1)?.narrow(3, x, 1)?.flatten_all()?.to_vec1()?;
    let mut order: Vec<usize> = (0..values.len()).collect();
    let value = |channel: usize| values.get(channel).copied().unwrap_or(0.0);
    order.sort_by(|a, b| value(*b).total_cmp(&value(*a)).then(a.cmp(b)));
    order.truncate(top);

    let options = AscentOptions { model: Some(model.clone()), ..options.clone() };
    let made = one_for_each(job, "semantic dictionary", &goals(&layer, &order), &options)?;
    let ([left, across], [above, down]) = (seen(&layer, x, view.width()), seen(&layer, y, view.height()));
    let here = Panel::new(view.crop(left, above, across, down)?, "what it sees");
    let images = made.images.iter().zip(&order);
    let images = images
        .map(|(image, channel)| Panel::new(image.clone(), format!("{channel}: {}", short(f64::from(value(*channel))))));
    let panels: Vec<Panel> = std::iter::once(here).chain(images).collect();
    let name = layer.known_as();
    let caption = format!(
        "The {} strongest of {} channels there, each as the image that it likes most; beneath it the channel's number and its \
         value there.",
        order.len(),
        values.len()
    );
    let caption = made.note(order.len()).into_iter().fold(caption, |caption, note| format!("{caption} {note}"));
    let title = format!("What {name} sees at y={y}, x={x}");
    Ok(Panels { caption: Some(caption), ..Panels::new(title, panels) })
}
