//! Feature visualization: an image that an objective likes most.

use super::resume::finished;
use super::settings::AscentOptions;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;
use crate::vis::objective::Goal;

/// An image made from noise that a network's unit, channel, class or any objective likes most: what it looks for.
///
/// The weights stay fixed; the image is trained, by gradient ascent. If it is interrupted, the image so far is returned, and
/// `resume=` goes on from it.
///
/// ```rhai
/// visualize(channel("fire3", 5), size=64, steps=16)
/// ```
#[function(source = "Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017; tensorflow/lucid")]
pub fn visualize(
    job: &Job,
    /// What the image is made for: an objective such as `channel("fire6", 3)` or `class_score("koala")`, or a function of
    /// the activations.
    objective: &Goal,
    /// A visualization that was interrupted, to go on with; the other arguments must be those it was begun with.
    #[default]
    resume: Option<Image>,
    #[options] options: &AscentOptions,
) -> Result<Image> {
    let resumed = resume.as_ref().map(std::slice::from_ref);
    let images = climb(job, objective, options, 1, resumed)?;
    images.into_iter().next().ok_or_else(|| Error::new(Kind::Internal, "an ascent of no image"))
}

/// The image that makes a function of the activations largest: `visualize` by another name, for functions.
///
/// ```rhai
/// maximize(|a| a["fire2"].slice(5).mean() - 0.1 * a["fire3"].mean(), size=48, steps=8)
/// ```
#[function(source = "Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017; tensorflow/lucid")]
pub fn maximize(
    job: &Job,
    /// The function: it asks its argument for layers by name, and returns a tensor of one number.
    objective: &Goal,
    /// A visualization that was interrupted, to go on with; the other arguments must be those it was begun with.
    #[default]
    resume: Option<Image>,
    #[options] options: &AscentOptions,
) -> Result<Image> {
    visualize(job, objective, resume, options)
}

/// Several images, made together, each of which one objective likes: with `diversity`, as different as they can be.
///
/// ```rhai
/// diverse(channel("fire3", 5), layer="fire3", images=2, size=48, steps=8)
/// ```
#[function(source = "Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017")]
pub fn diverse(
    job: &Job,
    /// What the images are made for.
    objective: &Goal,
    /// The layer in which the images should differ; the network's last that has places, if not given.
    #[default]
    layer: Option<crate::model::LayerName>,
    /// How many images.
    #[default(4)]
    #[range(2..=16)]
    images: usize,
    /// How much differing counts, in times of what the objective gains from its start; larger makes them more different.
    #[default(1.0)]
    #[range(0.0..)]
    diversity: f64,
    #[options] options: &AscentOptions,
) -> Result<Vec<Image>> {
    let model = objective.network(job, options.model.as_ref())?;
    let layer = match layer {
        Some(layer) => layer,
        None => model.default_cam_layer()?.into(),
    };
    let goal = crate::vis::objective::balanced(objective, diversity, layer);
    climb(job, &goal, options, images, None)
}

/// Makes images together; interrupted ones can be gone on with by showing the first of them.
pub(super) fn climb(
    job: &Job,
    goal: &Goal,
    options: &AscentOptions,
    images: usize,
    resume: Option<&[Image]>,
) -> Result<Vec<Image>> {
    // a seed that was drawn is no part of what was asked for
    let asked = format!("{goal} {options:?}");
    finished(job, "visualize", asked, resume.and_then(<[Image]>::first), || options.ascent(job, goal, images))
}
