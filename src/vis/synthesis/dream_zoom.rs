//! DeepDream's zoom: a dream that goes deeper and deeper into itself, as a film.

use super::dream::{Dream, DreamOptions};
use crate::error::Result;
use crate::image::{Film, Image};
use crate::job::Job;
use crate::lang::{Options, function};
use crate::vis::ascent::Ended;

/// How a dream becomes a film.
#[derive(Clone, Copy, Debug, Options)]
pub struct ZoomOptions {
    /// How many frames.
    #[default(24)]
    #[range(1..=10000)]
    pub frames: usize,
    /// What is cut off from one frame to the next, as a share of each side.
    #[default(0.05)]
    #[range(0.0..=0.5)]
    pub zoom: f64,
    /// Frames per second.
    #[default(12)]
    #[range(0.1..=50.0)]
    pub fps: f64,
    /// How many sizes each frame is dreamt at.
    #[default(2)]
    #[range(1..=20)]
    pub octaves: usize,
    /// How many steps at each size of a frame.
    #[default(5)]
    #[range(1..)]
    pub steps: usize,
}

/// A film that moves into a dream: dream a little, cut off the edge, enlarge the middle, and dream on from there.
///
/// Each frame is shown when it is made. `film.save("zoom.gif")` keeps it. If it is interrupted, the film of the frames so far is
/// returned; `dream_zoom(film.frames[film.len() - 1])` goes on from the last.
///
/// ```rhai
/// dream_zoom(photo("china").resize(90, 60), frames=2, layer="fire3", octaves=1, steps=1)
/// ```
#[function(source = "Mordvintsev, Olah and Tyka, Inceptionism, 2015; the authors' notebook, google/deepdream")]
pub fn dream_zoom(
    job: &Job,
    /// Where the dream starts: a photograph, `clouds(w, h)` or `noise(w, h)`.
    image: &Image,
    #[options] film: &ZoomOptions,
    #[options(without(resume))] options: &DreamOptions,
) -> Result<Film> {
    let ZoomOptions { frames, zoom, fps, octaves, steps } = *film;
    // a film that cannot be is refused before it is made
    Film::new(vec![image.clone(); frames], fps, true)?;
    let seed = job.seed(options.seed);
    let options = DreamOptions { octaves, steps, resume: None, ..options.clone() };
    let dream = |image: &Image, frame: usize| {
        Dream::new(job, image, &DreamOptions { seed: Some(seed.wrapping_add(frame as u64)), ..options.clone() })
    };
    let mut next = dream(image, 0)?;
    let progress = job.progress("dream_zoom", frames * next.left());
    let mut made = Vec::with_capacity(frames);
    loop {
        let ended = next.advance_within(job, &progress)?;
        let frame = next.image()?;
        // half a frame would be a jump, unless there is no other
        if ended == Ended::Finished || made.is_empty() {
            made.push(frame.clone());
        }
        if ended == Ended::Interrupted || made.len() >= frames {
            return Film::new(made, fps, true);
        }
        next = dream(&frame.zoom(1.0 / (1.0 - zoom))?, made.len())?;
    }
}
