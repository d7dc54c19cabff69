//! Multi-scale growth: amplify a small image, enlarge it, amplify again.

use super::dream::{Dream, DreamOptions};
use super::octaves::OctaveOrder;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, function};
use crate::vis::ascent::Ended;
use crate::vis::{Panel, Panels};

/// The sizes that an image grows through.
#[derive(Clone, Copy, Debug, Options)]
pub struct GrowthOptions {
    /// The longer side of the first size, in pixels.
    #[default(64)]
    #[range(1..=8192)]
    pub from: usize,
    /// The longer side of the last size, in pixels.
    #[default(512)]
    #[range(1..=8192)]
    pub to: usize,
    /// How much larger each size is than the one before, at most: sizes grow evenly, so that the last is exactly `to`.
    #[default(1.5)]
    #[range(1.05..=4.0)]
    pub factor: f64,
}

impl GrowthOptions {
    /// Width and height of an image of [width, height] at each size, from the smallest on.
    ///
    /// # Errors
    /// The last size is smaller than the first.
    pub fn sizes(&self, [width, height]: [usize; 2]) -> Result<Vec<[usize; 2]>> {
        let Self { from, to, factor } = *self;
        if to < from {
            let message = format!("grow: `to` is {to}, less than `from`, {from}");
            let error = Error::new(Kind::Argument, message).at_argument("to");
            return Err(error.with_hint("an image grows from the smaller size to the larger one"));
        }
        let (longer, whole) = (width.max(height) as f64, (to as f64 / from as f64).ln());
        let times = (whole / factor.ln() - 1e-9).ceil().max(0.0) as usize;
        let side = |own: usize, scale: f64| ((own as f64 / longer * scale).round() as usize).max(1);
        let at = |step: usize| from as f64 * (whole * step as f64 / times.max(1) as f64).exp();
        Ok((0..=times).map(|step| [side(width, at(step)), side(height, at(step))]).collect())
    }
}

/// An image that grows from small to large: amplified at each size by what one of the network's layers detects, as in a
/// dream, then enlarged for the next. What appears at a small size becomes the large forms, whose details follow.
///
/// Unlike in the octaves of a dream, nothing of the original comes back at larger sizes. Each size is kept: `images` are the
/// images, and `frames` the same enlarged to the last size, for a film. If it is interrupted, it has those made so far.
///
/// ```rhai
/// grow(noise(48, 32, seed=1), from=48, to=64, layer="fire3", steps=2)
/// ```
#[function(source = "Mordvintsev, Olah and Tyka, Inceptionism, 2015")]
pub fn grow(
    job: &Job,
    /// What it grows from, shrunk to the first size: a photograph, `clouds(w, h)` or `noise(w, h)`.
    image: &Image,
    #[options] growth: &GrowthOptions,
    #[options(without(octaves, octave_scale, octave_order, resume))] options: &DreamOptions,
) -> Result<Panels> {
    let sizes = growth.sizes([image.width(), image.height()])?;
    let seed = job.seed(options.seed);
    let dream = |image: &Image, place: usize| {
        let once = DreamOptions {
            octaves: 1,
            octave_order: OctaveOrder::Up,
            resume: None,
            seed: Some(seed.wrapping_add(place as u64)),
            ..options.clone()
        };
        Dream::new(job, image, &once)
    };
    let progress = job.progress("grow", sizes.len() * options.steps);
    let (mut grown, mut panels) = (image.clone(), Vec::new());
    for (place, [width, height]) in sizes.iter().copied().enumerate() {
        let too_small =
            |error: Error| if error.argument() == Some("image") { error.at_argument("from") } else { error };
        let mut dream = dream(&grown.resize(width, height)?, place).map_err(too_small)?;
        let ended = dream.advance_within(job, &progress)?;
        grown = dream.image()?;
        panels.push(Panel::new(grown.clone(), format!("{width}×{height}")));
        if ended == Ended::Interrupted {
            break;
        }
    }
    let ends = [panels.first(), panels.last()].map(|panel| panel.map_or("", |panel| &*panel.label));
    Ok(Panels::new(format!("Grown from {} to {} pixels", ends[0], ends[1]), panels))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_grow_evenly_to_the_last() {
        let sizes = |from, to, factor, own| GrowthOptions { from, to, factor }.sizes(own).unwrap();
        assert_eq!(sizes(64, 128, 1.5, [400, 300]), [[64, 48], [91, 68], [128, 96]]);
        assert_eq!(sizes(64, 128, 2.0, [30, 60]), [[32, 64], [64, 128]]);
        assert_eq!(sizes(64, 64, 1.5, [10, 10]), [[64, 64]]);
        assert_eq!(sizes(10, 10, 1.5, [1000, 1]), [[10, 1]]);
        for (from, to, factor) in [(64, 512, 1.5), (50, 1000, 1.05), (7, 8, 4.0), (33, 333, 1.4)] {
            let all = sizes(from, to, factor, [90, 90]);
            assert_eq!((all.first().unwrap()[0], all.last().unwrap()[0]), (from, to));
            for (before, after) in all.iter().zip(all.iter().skip(1)) {
                assert!(before[0] <= after[0] && after[0] as f64 <= factor * before[0] as f64 + 2.0);
            }
        }
        let error = GrowthOptions { from: 65, to: 64, factor: 1.5 }.sizes([1, 1]).unwrap_err();
        assert_eq!(error.argument(), Some("to"));
    }
}
