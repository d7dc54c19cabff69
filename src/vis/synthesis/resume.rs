//! Ascents that may be interrupted, looked at, and gone on with.

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::vis::ascent::{Ascent, Ended};

/// An ascent that was interrupted, its images so far, and what it was asked for.
#[derive(Clone)]
struct Unfinished<A> {
    images: Vec<Image>,
    ascent: Ascent,
    asked: A,
}

/// The images that an ascent ends with: one that `begin` makes, or the one that was interrupted with the image `resume`, if it
/// was asked for the same. If it is interrupted, the images so far, of which each can be gone on with.
///
/// # Errors
/// No such image was interrupted, or with something else asked for; `begin` or the ascent fails.
pub(super) fn finished<A: Clone + PartialEq + 'static>(
    job: &Job,
    label: &str,
    asked: A,
    resume: Option<&Image>,
    begin: impl FnOnce() -> Result<Ascent>,
) -> Result<Vec<Image>> {
    let mut ascent = match resume {
        None => begin()?,
        Some(begun) => resumed(job, &asked, begun)?,
    };
    let progress = job.progress(label, ascent.left());
    let ended = ascent.climb(job, &progress)?;
    let images = images(&ascent)?;
    if ended == Ended::Interrupted {
        job.keep_unfinished(Unfinished { images: images.clone(), ascent, asked });
    }
    Ok(images)
}

/// The images of an ascent so far.
///
/// # Errors
/// They cannot be computed.
pub(super) fn images(ascent: &Ascent) -> Result<Vec<Image>> {
    let made = ascent.image()?;
    (0..made.dim(0)?).map(|index| Image::from_tensor(&made.narrow(0, index, 1)?)).collect()
}

/// The ascent that was interrupted with an image.
fn resumed<A: Clone + PartialEq + 'static>(job: &Job, asked: &A, begun: &Image) -> Result<Ascent> {
    let wrong =
        |message: &str, hint: &str| Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("resume"));
    let found = job.unfinished(|work: &Unfinished<A>| work.images.iter().any(|image| image.same(begun)));
    let Some(work) = found else {
        return wrong(
            "this image was not interrupted in this session",
            "only the latest few are remembered; start= begins anew from any image",
        );
    };
    if work.asked != *asked {
        return wrong("it was begun with other arguments", "call it as before, with resume= added");
    }
    Ok(work.ascent)
}
