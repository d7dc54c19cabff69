//! One image for each of several objectives, made together as far as the memory allows.

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{Model, budget};
use crate::vis::ascent::Ended;
use crate::vis::objective::{Goal, PerImage};

use super::settings::{AscentOptions, Size, fitting};

/// So many images are made at once at most: more would hardly be faster, and the first would be seen later.
const MOST_AT_ONCE: usize = 32;

/// What transforms make an image larger by, at most, in pixels along a side.
const MARGIN: usize = 24;

/// Images that were made, one for each of the first objectives.
#[derive(Debug)]
pub(super) struct Made {
    /// In the order of the objectives. If the work was interrupted, the last ones are unfinished, or missing.
    pub images: Vec<Image>,
    /// How it ended.
    pub ended: Ended,
}

impl Made {
    /// What to say of images that are not finished.
    pub fn note(&self, wanted: usize) -> Option<String> {
        (self.ended == Ended::Interrupted)
            .then(|| format!("Interrupted: {} of {wanted} images, the last of them unfinished.", self.images.len()))
    }
}

/// Makes an image for each objective, some of them at a time. Everything is checked before any work starts.
///
/// # Errors
/// There is no objective, one does not fit the network, the size is too small for one, or no change of an image changes one. An
/// interrupt is no error.
pub(super) fn one_for_each(job: &Job, label: &str, goals: &[Goal], options: &AscentOptions) -> Result<Made> {
    let Some(first) = goals.first() else { return Err(Error::new(Kind::Internal, "images for no objectives")) };
    let model = first.network(job, options.model.as_ref())?;
    model.recipe().check_picture()?;
    let seed = job.seed(options.seed);
    let all = Goal::new(PerImage::new(goals.to_vec()));
    let size = options.size(&model, &all, job)?;
    let at_once = at_once(job, &model, &all, size, options.versions())?;
    let options = AscentOptions { size: Some(size), model: Some(model), ..options.clone() };
    let parts = goals.chunks(at_once).enumerate().map(|(part, goals)| {
        let options = AscentOptions { seed: Some(seed.wrapping_add(part as u64)), ..options.clone() };
        (Goal::new(PerImage::new(goals.to_vec())), goals.len(), options)
    });
    let mut parts = parts.peekable();
    let steps = match parts.peek() {
        Some((goal, count, options)) => options.ascent(job, goal, *count)?.left(),
        None => 0,
    };
    let progress = job.progress(label, steps * goals.len().div_ceil(at_once));
    let mut images = Vec::new();
    for (goal, count, options) in parts {
        let mut ascent = options.ascent(job, &goal, count)?;
        let ended = ascent.climb(job, &progress)?;
        let made = ascent.image()?;
        for index in 0..count {
            images.push(Image::from_tensor(&made.narrow(0, index, 1)?)?);
        }
        if ended == Ended::Interrupted {
            return Ok(Made { images, ended });
        }
    }
    Ok(Made { images, ended: Ended::Finished })
}

/// How many images of a size may be made at once, where transforms show so many versions of each: what a run keeps until its
/// backward pass must fit half of the memory limit.
fn at_once(job: &Job, model: &Model, goal: &Goal, size: Size, versions: usize) -> Result<usize> {
    let Size { width, height } = size;
    let input = model.recipe().to_input(&Image::filled(width, height, [0.5; 3])?.tensor()?)?;
    let taps = goal.taps(job, model, &input)?;
    let takes_any_size = fitting(Vec::new(), model, &taps, size)?.is_empty();
    let (height, width) = match takes_any_size {
        true => (height + MARGIN, width + MARGIN),
        false => (model.recipe().height, model.recipe().width),
    };
    let Some(last) = taps.iter().max() else { return Ok(1) };
    let shapes = model.graph().shapes([model.graph().input_channels(), height, width], *last)?;
    let numbers: usize = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum();
    let bytes = 4 * numbers.max(1) * versions.max(1);
    Ok((budget::memory() / 2 / bytes).clamp(1, MOST_AT_ONCE))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::vis::objective::Channel;

    fn channel(channel: usize) -> Goal {
        Goal::new(Channel { layer: "fire2".into(), channel })
    }

    fn options() -> AscentOptions {
        let size = Some(Size { width: 48, height: 40 });
        AscentOptions { size, steps: Some(2), seed: Some(1), ..AscentOptions::default() }
    }

    #[test]
    fn there_is_an_image_for_each_objective() {
        let job = Job::detached();
        let goals: Vec<Goal> = (0..MOST_AT_ONCE + 2).map(channel).collect();
        let made = one_for_each(&job, "sheet", &goals, &options()).unwrap();
        assert_eq!((made.images.len(), made.ended), (goals.len(), Ended::Finished));
        assert!(made.images.iter().all(|image| (image.width(), image.height()) == (48, 40)));
        assert!(made.note(goals.len()).is_none());
        let again = one_for_each(&job, "sheet", &goals, &options()).unwrap();
        assert_eq!(made.images, again.images);
        assert!(made.images.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn what_was_made_is_kept_when_it_is_interrupted() {
        let job = Job::detached();
        job.interrupt().raise();
        let made = one_for_each(&job, "sheet", &[channel(0), channel(1)], &options()).unwrap();
        assert_eq!((made.images.len(), made.ended), (2, Ended::Interrupted));
        assert!(made.note(2).unwrap().contains("2 of 2"));
    }

    #[test]
    fn large_images_are_made_one_by_one() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let goal = Goal::new(PerImage::new(vec![Goal::new(Channel { layer: "fire9".into(), channel: 1 })]));
        let at = |side: usize, versions: usize| {
            at_once(&job, &model, &goal, Size { width: side, height: side }, versions).unwrap()
        };
        assert!(at(64, 1) > 4 && at(64, 1) >= at(227, 1) && at(227, 1) >= at(227, 16));
        assert_eq!(at(2000, 1), 1);
    }

    #[test]
    fn an_objective_that_does_not_fit_is_refused_at_once() {
        let job = Job::detached();
        let goals: Vec<Goal> = (0..MOST_AT_ONCE).map(channel).chain([channel(128)]).collect();
        assert!(one_for_each(&job, "sheet", &goals, &options()).unwrap_err().message().contains("no 128"));
        let tiny = AscentOptions { size: Some(Size { width: 2, height: 2 }), ..options() };
        assert_eq!(one_for_each(&job, "sheet", &[channel(0)], &tiny).unwrap_err().argument(), Some("size"));
    }
}
