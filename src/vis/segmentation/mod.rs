//! From explanation to segmentation: which pixels are the thing's, starting from where a network looked.

mod by;
mod grab_cut;
mod max_flow;
mod mixture;
mod otsu;
mod values;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

pub use by::By;
pub use grab_cut::{Seed, grab_cut};
pub use otsu::otsu;

use super::attribution::Attribution;
use super::{Explain, Prediction};
use crate::error::{Error, Kind, Result};
use crate::image::{Color, Filter, Image, resample};
use crate::job::Job;
use crate::lang::{Options, Provenance, choices, function, value_type};
use crate::model::{Input, Model};
use crate::tensor::gaussian_blur;

/// What marks the foreground.
const FRONT: Color = [0.9, 0.1, 0.1];
/// What marks the background.
const BEHIND: Color = [0.1, 0.3, 0.9];
/// The line around what was found.
const LINE: Color = [1.0, 0.9, 0.0];

/// How the foreground is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// By colours and edges, from the highest and the lowest places of the map.
    GrabCut,
    /// Where the map is above a threshold.
    Threshold,
}
choices!(Cut { "grab_cut" => GrabCut, "threshold" => Threshold });

/// How a map becomes a mask.
#[derive(Clone, Debug, Options)]
pub struct SegmentOptions {
    /// "grab_cut": by colours and edges, from seeds where the map is highest and lowest; "threshold": by Otsu's threshold of
    /// the map alone.
    #[default("grab_cut")]
    pub cut: Cut,
    /// How often colours are learnt and the image is cut anew, at most.
    #[default(5)]
    #[range(1..=100)]
    pub rounds: usize,
    /// The part of the image that is surely foreground: where the map is highest.
    #[default(0.02)]
    #[range(0.0001..=0.9)]
    pub foreground: f64,
    /// The part that starts as foreground, the sure one included; it may leave it.
    #[default(0.2)]
    #[range(0.0001..=0.99)]
    pub perhaps: f64,
    /// The part of the image that is surely background: where the map is lowest.
    #[default(0.3)]
    #[range(0.0001..=0.99)]
    pub background: f64,
    /// The map is first blurred with a Gaussian of so many pixels, so that single pixels of a fine map are no seeds.
    #[default(8)]
    #[range(0..=100)]
    pub blur: f64,
}

impl SegmentOptions {
    fn check(&self) -> Result<()> {
        let error = |message: String, argument: &str| Err(Error::new(Kind::Argument, message).at_argument(argument));
        if self.perhaps < self.foreground {
            let message = format!("segment: `perhaps` ({}) holds `foreground` ({})", self.perhaps, self.foreground);
            return error(message, "perhaps");
        }
        if self.perhaps + self.background > 1.0 {
            let message =
                format!("segment: `perhaps` ({}) and `background` ({}) overlap", self.perhaps, self.background);
            return error(message, "background");
        }
        Ok(())
    }
}

/// The pixels that a segmentation found, and what it started from.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// The image as the network saw it.
    pub image: Image,
    /// What was looked for, for a title, as [`Prediction::target`] says it.
    pub target: String,
    /// The method whose map gave the seeds.
    pub method: Rc<str>,
    /// How the mask was cut.
    pub cut: Cut,
    seeds: Arc<Vec<Seed>>,
    mask: Arc<Vec<bool>>,
    /// The network, which knows what part of an image it sees.
    model: Model,
    /// Width and height of the image that was given.
    given: (usize, usize),
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    Segmentation,
    "segmentation",
    "a segmentation",
    "Which pixels of an image are the thing's, as found from an attribution.",
    provenance
);

impl fmt::Display for Segmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, method, .. } = self;
        write!(f, "segmentation of {target} by {method}: {:.1} % of the image", 100.0 * self.share())
    }
}

/// Which pixels are the thing's: the image is cut along its edges, between where an attribution of the class is highest and
/// where it is lowest.
///
/// GrabCut learns the colours of both sides as mixtures of five Gaussians, and finds the cheapest cut along edges; then it
/// learns the colours anew, and so on. It is no trained segmentation: it knows of the thing only where the network looked,
/// and of its borders only that colours change there. Measure it with `iou` where the mask is known (`scenes`).
///
/// ```rhai
/// segment(gallery("mammal/koala"), class="koala", by="saliency")
/// ```
#[function(
    source = "Rother, Kolmogorov and Blake, GrabCut, 2004; seeds from a map: Simonyan, Vedaldi and Zisserman, 2013, \
arXiv:1312.6034; Otsu, 1979"
)]
pub fn segment(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// Where the seeds are from: the name of an attribution method, as "grad_cam", "rise" or "lime", with its defaults; an
    /// attribution of the image; or a function that makes one of it, as |img| rise(img, samples=500).
    #[default("occlusion")]
    by: By,
    #[options] options: &SegmentOptions,
    #[options] explain: &Explain,
) -> Result<Segmentation> {
    options.check()?;
    let attribution = by.attribution(job, image, explain)?;
    segment_by(job, image, &attribution, options)
}

/// The same, from an attribution.
///
/// # Errors
/// The attribution is of another image, or blank, so that it gives no seeds; or the job was interrupted.
pub fn segment_by(
    job: &Job,
    image: &Input,
    attribution: &Attribution,
    options: &SegmentOptions,
) -> Result<Segmentation> {
    options.check()?;
    let view = attribution.prediction.view.clone();
    check_image(image, &attribution.prediction)?;
    let map = smooth(attribution, options.blur)?;
    let blank = || {
        let message = format!("segment: the map of {} is blank and gives no seeds", attribution.method);
        Error::new(Kind::Argument, message).with_hint("take another method or class").at_argument("by")
    };
    let (seeds, mask) = match options.cut {
        Cut::GrabCut => {
            let seeds = seeds(&map, options).ok_or_else(blank)?;
            let mask = grab_cut(job, &view, &seeds, options.rounds)?;
            (seeds, mask)
        }
        Cut::Threshold => {
            let threshold = otsu(&map).ok_or_else(blank)?;
            let mask: Vec<bool> = map.iter().map(|value| *value >= threshold).collect();
            let seed = |inside: &bool| if *inside { Seed::Foreground } else { Seed::PerhapsBackground };
            (mask.iter().map(seed).collect(), mask)
        }
    };
    Ok(Segmentation {
        target: attribution.prediction.target(),
        method: attribution.method.clone(),
        cut: options.cut,
        seeds: Arc::new(seeds),
        mask: Arc::new(mask),
        model: attribution.prediction.model.clone(),
        given: match image {
            Input::Image(image) => (image.width(), image.height()),
            Input::Tensor(_) => (view.width(), view.height()),
        },
        image: view,
        provenance: None,
    })
}

/// Refuses an attribution of another image than the one that is cut.
fn check_image(image: &Input, prediction: &Prediction) -> Result<()> {
    let seen = image.tensor(&prediction.model)?;
    let same = seen.elem_count() == prediction.input.elem_count()
        && (seen.reshape(prediction.input.shape())? - &prediction.input)?.abs()?.max_all()?.to_scalar::<f32>()? == 0.0;
    if same {
        return Ok(());
    }
    let error = Error::new(Kind::Argument, "segment: the attribution is of another image").at_argument("by");
    Err(error.with_hint("make it of the image that is segmented"))
}

/// The map at the size of the image, blurred.
fn smooth(attribution: &Attribution, sigma: f64) -> Result<Vec<f32>> {
    let view = &attribution.prediction.view;
    let (width, height) = (view.width(), view.height());
    let map = attribution.map()?;
    let (rows, columns) = map.dims2()?;
    // a coarse map is as smooth as it is when it is enlarged; what a blur mirrors has to fit
    let most = (rows.min(columns).saturating_sub(1) / 3) as f64;
    let finer = (columns as f64 / width as f64).min(rows as f64 / height as f64);
    let sigma = (sigma * finer).min(most);
    let map = if sigma >= 0.5 { gaussian_blur(&map, sigma, None)? } else { map };
    resample(&map.flatten_all()?.to_vec1::<f32>()?, (columns, rows), (width, height), Filter::Bilinear)
}

/// Seeds by rank: so many of the highest and of the lowest pixels. Pixels of the same value get the same seed, the less sure
/// one. Nothing if no pixel is surely foreground, or none background.
fn seeds(map: &[f32], options: &SegmentOptions) -> Option<Vec<Seed>> {
    let mut sorted = map.to_vec();
    sorted.sort_by(f32::total_cmp);
    let above = |share: f64| sorted.get(((1.0 - share) * sorted.len() as f64) as usize).copied();
    let below = sorted.get((options.background * sorted.len() as f64) as usize).copied()?;
    let (sure, perhaps) = (above(options.foreground)?, above(options.perhaps)?);
    let least = sorted.first().copied()?;
    // where many pixels have the least value, as after a rectifier, they are all background
    let is_behind = |value: f32| value < below || value == least;
    let seeds: Vec<Seed> = map
        .iter()
        .map(|value| match *value {
            value if is_behind(value) => Seed::Background,
            value if value >= sure => Seed::Foreground,
            value if value >= perhaps => Seed::PerhapsForeground,
            _ => Seed::PerhapsBackground,
        })
        .collect();
    (seeds.contains(&Seed::Foreground) && seeds.contains(&Seed::Background)).then_some(seeds)
}

impl Segmentation {
    /// Which pixels of [`image`](Self::image) are the thing's, row by row.
    pub fn mask(&self) -> &[bool] {
        &self.mask
    }

    /// What was known of each pixel before.
    pub fn seeds(&self) -> &[Seed] {
        &self.seeds
    }

    /// The share of the image that was found, 0 to 1.
    pub fn share(&self) -> f64 {
        self.mask.iter().filter(|inside| **inside).count() as f64 / self.mask.len().max(1) as f64
    }

    /// Intersection over union with another mask of the same size, 0 to 1; 1 if both are empty.
    ///
    /// # Errors
    /// The other mask has another size.
    pub fn iou(&self, mask: &[bool]) -> Result<f64> {
        if mask.len() != self.mask.len() {
            let message = format!("a mask of {} pixels, the segmentation has {}", mask.len(), self.mask.len());
            return Err(Error::new(Kind::Argument, message).at_argument("mask"));
        }
        let count = |both: fn(bool, bool) -> bool| {
            self.mask.iter().zip(mask).filter(|(one, other)| both(**one, **other)).count() as f64
        };
        let union = count(|one, other| one || other);
        Ok(if union == 0.0 { 1.0 } else { count(|one, other| one && other) / union })
    }

    /// The image with the seeds: sure foreground red, sure background blue.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn start(&self) -> Result<Image> {
        let are = |seed: Seed| self.seeds.iter().map(|other| *other == seed).collect::<Vec<bool>>();
        self.image.painted(&are(Seed::Background), BEHIND, 0.35)?.painted(&are(Seed::Foreground), FRONT, 0.6)
    }

    /// The image with a line around what was found.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn outline(&self) -> Result<Image> {
        self.image.painted(&self.border(), LINE, 1.0)
    }

    /// The image, pale and grey where nothing was found, with a line around what was.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn overlay(&self) -> Result<Image> {
        let outside: Vec<bool> = self.mask.iter().map(|inside| !inside).collect();
        self.image.painted(&outside, [1.0; 3], 0.65)?.painted(&self.border(), LINE, 1.0)
    }

    /// What was found, as a cut-out.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn cutout(&self) -> Result<Image> {
        let alpha = self.mask.iter().map(|inside| f32::from(u8::from(*inside))).collect();
        Image::from_planes(self.image.width(), self.image.height(), self.image.planes().to_vec(), Some(alpha))
    }

    /// The pixels outside that touch what was found.
    fn border(&self) -> Vec<bool> {
        let width = self.image.width();
        (0..self.mask.len())
            .map(|place| {
                let beside = [
                    (place % width > 0).then(|| place - 1),
                    ((place + 1) % width > 0).then_some(place + 1),
                    place.checked_sub(width),
                    Some(place + width),
                ];
                let inside = |place: usize| self.mask.get(place).copied().unwrap_or(false);
                !inside(place) && beside.into_iter().flatten().any(inside)
            })
            .collect()
    }
}
