//! Aligned interpolation: images on the way from one objective to another, which have all in common that none needs otherwise.

use super::resume::images as made;
use super::settings::AscentOptions;
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::vis::objective::{Between, Goal};
use crate::vis::param::Shared;
use crate::vis::{Panel, Panels};

/// Images on the way from what one objective likes to what another one likes, made together from noise.
///
/// The first climbs `a` alone, the last `b` alone, and those between share them out evenly. Each is the sum of waves of its own
/// and of waves that all share, so that what neighbours both need stands at the same place: nothing jumps from image to
/// image. Their `images` make a film. If it is interrupted, it has the images so far.
///
/// ```rhai
/// interpolation(channel("fire3", 5), channel("fire3", 20), images=3, size=48, steps=6)
/// ```
#[function(
    source = "Mordvintsev et al., Differentiable Image Parameterizations, Distill 2018; tensorflow/lucid, param/lowres.py"
)]
pub fn interpolation(
    job: &Job,
    /// What the first image is made for.
    a: &Goal,
    /// What the last image is made for.
    b: &Goal,
    /// How many images, with the first and the last.
    #[default(5)]
    #[range(2..=16)]
    images: usize,
    #[options(without(param, start))] options: &AscentOptions,
) -> Result<Panels> {
    let goal = Goal::new(Between(a.clone(), b.clone()));
    let model = goal.network(job, options.model.as_ref())?;
    for (end, name) in [(a, "a"), (b, "b")] {
        end.network(job, Some(&model)).map_err(|error| error.at_argument(name))?;
    }
    let mut ascent = options
        .ascent_of(job, &goal, |_, size, seed| Ok(Box::new(Shared::noise(images, size.width, size.height, seed)?)))?;
    let (from, to) = (a.description(&model), b.description(&model));
    let progress = job.progress("interpolation", ascent.left());
    ascent.climb(job, &progress)?;
    let last = images.saturating_sub(1).max(1);
    let panels = made(&ascent)?.into_iter().enumerate().map(|(place, image)| {
        let label = match place {
            0 => from.clone(),
            _ if place == last => to.clone(),
            _ => format!("{:.0} %", 100.0 * place as f64 / last as f64),
        };
        Panel::new(image, label)
    });
    let mut panels = Panels::new(format!("From {from} to {to}"), panels.collect());
    panels.caption = Some("Made together: what all of them need, they share.".to_owned());
    Ok(panels)
}
