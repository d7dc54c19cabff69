//! A spectrum of one unit: from what it dislikes most to what it likes most.

use super::each::one_for_each;
use super::natural::{Natural, Place};
use super::settings::AscentOptions;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::{Interrupt, Job};
use crate::lang::function;
use crate::model::{Model, Rules};
use crate::vis::objective::{Goal, Sum, Toward};
use crate::vis::panels::{Panel, Panels};

/// What one unit makes of images from one end of its values to the other: an image that makes it as small as possible, one
/// that makes it as large as possible, and between them images made to reach parts of these two values.
///
/// A unit behind a rectifier is never negative, and most of what it does not like looks the same to it; so the value before
/// the rectifier is taken, where there is one. Beneath each image stands its value; with `patches`, the parts of those
/// photographs whose values go from the lowest to the highest in the same way stand beneath the images. People predict a unit
/// better from natural examples than from synthetic ones (Borowski et al., 2021), so give it some.
///
/// ```rhai
/// spectrum(channel("fire3", 5), images=3, patches=[photo("chelsea")], size=48, steps=8)
/// ```
#[function(
    source = "Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017; Borowski et al., Exemplary Natural \
              Images Explain CNN Activations Better than State-of-the-Art Feature Visualization, 2021, arXiv:2010.12606"
)]
pub fn spectrum(
    job: &Job,
    /// The unit, such as `channel("fire6", 3)`; any objective whose values have two sides will do.
    objective: &Goal,
    /// How many images, the two ends included.
    #[default(5)]
    #[range(2..=15)]
    images: usize,
    /// Photographs, of which the parts that the unit answers to in the same way are shown too.
    #[default]
    patches: Option<Vec<Image>>,
    #[options] options: &AscentOptions,
) -> Result<Panels> {
    let model = objective.network(job, options.model.as_ref())?;
    let name = objective.description(&model);
    let unrectified = objective.unrectified(&model)?;
    let goal = unrectified.clone().unwrap_or_else(|| objective.clone());
    let natural = match &patches {
        Some(photos) => Some(Natural::new(&model, &goal, photos)?),
        None => None,
    };
    let options = AscentOptions { model: Some(model.clone()), seed: Some(job.seed(options.seed)), ..options.clone() };

    // the two ends first
    let down = Goal::new(Sum::new(vec![(-1.0, goal.clone())]));
    let ends = one_for_each(job, "spectrum: both ends", &[down, goal.clone()], &options)?;
    let mut notes: Vec<String> = ends.note(images).into_iter().collect();
    let [low, high] = match ends.images.as_slice() {
        [low, high] => [low, high],
        _ => return Err(Error::new(Kind::Internal, "a spectrum without its two ends")),
    };
    let span = [value_of(job, &model, &goal, low)?, value_of(job, &model, &goal, high)?];
    let mut all = vec![low.clone(), high.clone()];
    let between: Vec<f64> = (1..images - 1).map(|index| share(index, images)).collect();
    if notes.is_empty() && !between.is_empty() {
        let scale = (span[1] - span[0]).abs().max(f64::MIN_POSITIVE);
        let toward = |share: &f64| Goal::new(Toward { goal: goal.clone(), target: target(span, *share), scale });
        let goals: Vec<Goal> = between.iter().map(toward).collect();
        let made = one_for_each(job, "spectrum: between them", &goals, &options)?;
        notes.extend(made.note(goals.len()));
        all.splice(1..1, made.images);
    }

    let values = all.iter().map(|image| value_of(job, &model, &goal, image)).collect::<Result<Vec<_>>>()?;
    let mut panels: Vec<Panel> =
        all.iter().zip(&values).map(|(image, value)| Panel::new(image.clone(), short(*value))).collect();
    let columns = panels.len();
    let mut caption = match &unrectified {
        Some(goal) => format!("Numbers are values of {}, before the rectifier.", goal.description(&model)),
        None => format!("Numbers are values of {name}."),
    };
    if let Some(natural) = natural {
        match natural.places(job) {
            Ok(places) => {
                panels.extend(beneath(&places, columns)?);
                caption += &format!(
                    " Beneath: parts of {} photographs with values from the lowest to the highest there.",
                    natural.count()
                );
            }
            Err(error) if error.kind() == Kind::Interrupted => {
                notes.push("Interrupted before the photographs.".to_owned())
            }
            Err(error) => return Err(error),
        }
    }
    let caption = notes.into_iter().fold(caption, |caption, note| format!("{caption} {note}"));
    let title = format!("{name}: from most negative to most positive");
    Ok(Panels { caption: Some(caption), columns: Some(columns), ..Panels::new(title, panels) })
}

/// Where an image stands between the ends, from −1 to 1.
fn share(index: usize, images: usize) -> f64 {
    2.0 * index as f64 / (images.saturating_sub(1)).max(1) as f64 - 1.0
}

/// The value at a share from −1 to 1 between a lowest and a highest one: parts of the one below 0 and of the other above it,
/// or, where both have one sign, evenly between them.
fn target([low, high]: [f64; 2], share: f64) -> f64 {
    if low < 0.0 && high > 0.0 {
        return if share < 0.0 { -share * low } else { share * high };
    }
    low + (high - low) * (share + 1.0) / 2.0
}

/// The number of an image, as it is.
fn value_of(job: &Job, model: &Model, goal: &Goal, image: &Image) -> Result<f64> {
    let mut input = model.input(image)?;
    let fits = goal.taps(job, model, &input).and_then(|taps| model.check_size(&taps, image.height(), image.width()));
    if fits.is_err() {
        input = model.input(&model.view(image)?)?;
    }
    let taps = goal.taps(job, model, &input)?;
    // what was made is measured, also of a job that was interrupted
    let activations = model.run(&input, &taps, &Rules::default(), &Interrupt::never())?;
    let value: Vec<f32> = goal.values(job, model, &activations)?.to_vec1()?;
    Ok(value.first().map_or(0.0, |value| f64::from(*value)))
}

/// A place of the photographs for each image, whose values go from the lowest to the highest as those of the images.
fn beneath(places: &[Place], images: usize) -> Result<Vec<Panel>> {
    let values = places.iter().map(|place| place.value);
    let span = [values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max)];
    let nearest = |index: usize| {
        let target = target(span, share(index, images));
        let away = |place: &&Place| (place.value - target).abs();
        places.iter().min_by(|a, b| away(a).total_cmp(&away(b)))
    };
    let panels = (0..images).filter_map(nearest).map(|place| Ok(Panel::new(place.patch()?, short(place.value))));
    panels.collect()
}

/// A value with a few digits and its sign.
pub(super) fn short(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:+.digits$}").replace('-', "−")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn targets_go_from_end_to_end() {
        let targets =
            |span, images| -> Vec<f64> { (0..images).map(|index| target(span, share(index, images))).collect() };
        assert_eq!(targets([-8.0, 2.0], 5), [-8.0, -4.0, 0.0, 1.0, 2.0]);
        assert_eq!(targets([-8.0, 2.0], 2), [-8.0, 2.0]);
        assert_eq!(targets([1.0, 5.0], 5), [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(targets([-5.0, -1.0], 3), [-5.0, -3.0, -1.0]);
    }

    #[test]
    fn values_have_a_sign_and_few_digits() {
        assert_eq!([-123.4, 12.34, 1.234, -0.1234].map(short), ["−123", "+12.3", "+1.23", "−0.123"]);
    }
}
