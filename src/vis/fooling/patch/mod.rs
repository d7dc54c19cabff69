//! An adversarial patch: a round picture that, put anywhere on an image, makes a network see something else.

mod placement;

use std::fmt;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::placement::Placement;
use super::ball::eight_bits;
use super::crowd::{Crowd, judge, or_interrupted};
use super::fooled::Fooled;
use super::victim::{Aim, Aimed, Victim};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, Options, Provenance, function, value_type};
use crate::model::Model;
use crate::tensor::TensorValue;

/// What the results are called.
const METHOD: &str = "Adversarial patch";
/// The largest patch, in pixels along a side.
const LARGEST: usize = 1024;

/// How a patch is made.
#[derive(Clone, Debug, Options)]
pub struct PatchOptions {
    /// How many steps.
    #[default(500)]
    #[range(1..=1000000)]
    pub steps: usize,
    /// The learning rate of Adam, in units of pixels from 0 to 1.
    #[default(5.0 / 255.0)]
    #[range(0.0001..=1.0)]
    pub step_size: f64,
    /// Images of one step, each with the patch at a place of its own.
    #[default(8)]
    #[range(1..=1000)]
    pub batch: usize,
    /// The smallest and the largest diameter of the patch, as parts of the image's shorter side.
    #[default([0.1, 1.0])]
    pub scale: Vec<f64>,
    /// By how many degrees it is turned at most, either way.
    #[default(22.5)]
    #[range(0.0..=180.0)]
    pub rotation: f64,
    /// The side of the patch, in pixels; the shorter side of the network's input if not given.
    #[default]
    #[range(4..=1024)]
    pub size: Option<usize>,
    /// The seed of the places; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// Where a patch is put on an image.
#[derive(Clone, Debug, Options)]
pub struct PatchPlace {
    /// Where its centre is, as a part of the image's width.
    #[default(0.75)]
    #[range(0.0..=1.0)]
    pub x: f64,
    /// The same for the height.
    #[default(0.75)]
    #[range(0.0..=1.0)]
    pub y: f64,
    /// Its diameter, as a part of the image's shorter side.
    #[default(0.4)]
    #[range(0.02..=2.0)]
    pub scale: f64,
    /// By how many degrees it is turned, clockwise.
    #[default(0.0)]
    #[range(-360.0..=360.0)]
    pub angle: f64,
}

/// A patch that was made for a network.
#[derive(Clone, Debug)]
pub struct Patch {
    /// The network.
    pub model: Model,
    /// The class that the network is to see; any other than the image's own if not given.
    pub target: Option<usize>,
    /// The patch, a cut-out.
    pub image: Image,
    /// The share of images that fooled the network, at each step.
    pub rates: Arc<[f64]>,
    /// What becomes of the images with the patch at its usual place; none if it was interrupted.
    pub results: Arc<[Fooled]>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    Patch,
    "adversarial patch",
    "an adversarial patch",
    "A round picture that makes a network see something else wherever it lies; `apply` puts it on an image.",
    provenance
);

/// A round patch that makes a network take whatever it lies on for the target, or without one for anything else. It is
/// optimized over the images, each time at other places, scales and angles; nothing bounds its colours. `.apply(img)`
/// puts it on other images, `.image` is the patch as a cut-out.
///
/// A step takes about as long as the network takes for a batch, forward and back; the default 500 steps of 8 images
/// take minutes. Interrupted, it is the patch so far, and what it does to the images is not measured.
///
/// ```rhai
/// let images = [photo("chelsea"), photo("coffee")];
/// adversarial_patch(images, target="toaster", steps=2, size=64, seed=1).apply(photo("rocket"))
/// ```
#[function(source = "Brown et al., Adversarial Patch, 2017, arXiv:1712.09665; defaults of the Adversarial Robustness \
              Toolbox, with Adam and batches of 8")]
pub fn adversarial_patch(
    job: &Job,
    /// The images, a list.
    images: Vec<Image>,
    #[options] options: &PatchOptions,
    #[options] aim: &Aim,
) -> Result<Patch> {
    let aimed = aim.check(job)?;
    let scales = scales(&options.scale)?;
    let side = options.size.unwrap_or_else(|| aimed.model.recipe().width.min(aimed.model.recipe().height)).min(LARGEST);
    let seed = job.seed(options.seed);
    let crowd = Crowd::new(job, aimed, &images)?;
    // mid grey, as the reference begins
    let mut making =
        Making { crowd: &crowd, options, scales, side, seed, patch: vec![0.5; 3 * side * side], rates: Vec::new() };
    let results = making.run(job);
    let image = cut_out(&making.patch, side)?;
    let results = results.and_then(|()| {
        let place = PatchPlace::default();
        crowd.judge(job, METHOD, |victim| Ok(with_patch(victim, &image, &place)))
    });
    Ok(Patch {
        model: crowd.lens.model.clone(),
        target: crowd.aimed.target,
        rates: making.rates.into(),
        results: or_interrupted(results)?.into(),
        image,
        provenance: None,
    })
}

/// A patch under way.
struct Making<'a> {
    crowd: &'a Crowd,
    options: &'a PatchOptions,
    scales: (f64, f64),
    side: usize,
    seed: u64,
    patch: Vec<f32>,
    rates: Vec<f64>,
}

impl Making<'_> {
    fn run(&mut self, job: &Job) -> Result<()> {
        let (side, size) = (self.side, (self.crowd.lens.width, self.crowd.lens.height));
        let variable = Var::from_tensor(&Tensor::from_slice(&self.patch, self.patch.len(), &Device::Cpu)?)?;
        let parameters = ParamsAdamW { lr: self.options.step_size, weight_decay: 0.0, ..ParamsAdamW::default() };
        let mut adam = AdamW::new(vec![variable.clone()], parameters)?;
        let progress = job.progress("adversarial patch", self.options.steps);
        for step in 0..self.options.steps {
            let mut random = ChaCha8Rng::seed_from_u64(self.seed);
            random.set_stream(step as u64);
            let chosen: Vec<usize> =
                (0..self.options.batch).map(|_| random.random_range(0..self.crowd.victims.len())).collect();
            let places: Vec<Placement> = chosen.iter().map(|_| self.place(&mut random)).collect();
            let mut pixels = Vec::with_capacity(chosen.len() * self.crowd.lens.length());
            for (index, place) in chosen.iter().zip(&places) {
                let Some(victim) = self.crowd.victims.get(*index) else { continue };
                let mut image = victim.pixels().to_vec();
                place.put(&self.patch, side, &mut image, size);
                pixels.extend(eight_bits(&image));
            }
            let looked = self.crowd.look(job.interrupt(), &chosen, pixels)?;
            self.rates.push(looked.rate);
            let mut gradient = vec![0f32; self.patch.len()];
            for (place, slopes) in places.iter().zip(looked.gradients.chunks_exact(self.crowd.lens.length())) {
                place.adjoint(slopes, size, &mut gradient, side);
            }
            let gradient = Tensor::from_vec(gradient, self.patch.len(), &Device::Cpu)?;
            // what falls has that gradient
            adam.backward_step(&(variable.as_tensor() * gradient)?.sum_all()?.neg()?)?;
            let clamped = variable.as_tensor().detach().clamp(0f32, 1f32)?;
            variable.set(&clamped)?;
            self.patch = clamped.to_vec1()?;
            progress.advance_showing(1, &|| Ok(Dynamic::from(cut_out(&self.patch, side)?)))?;
        }
        Ok(())
    }

    /// A random place at which the whole patch is on the image.
    fn place(&self, random: &mut ChaCha8Rng) -> Placement {
        let (width, height) = (self.crowd.lens.width as f64, self.crowd.lens.height as f64);
        let (least, most) = self.scales;
        let diameter = width.min(height) * (least + (most - least) * random.random::<f64>());
        let mut centre = |length: f64| 0.5 * diameter + (length - diameter).max(0.0) * random.random::<f64>();
        let (x, y) = (centre(width), centre(height));
        let angle = self.options.rotation * (2.0 * random.random::<f64>() - 1.0);
        Placement { x: x as f32, y: y as f32, diameter: diameter as f32, angle: angle as f32 }
    }
}

/// The smallest and the largest diameter.
fn scales(scale: &[f64]) -> Result<(f64, f64)> {
    match scale {
        [least, most] if *least > 0.0 && least <= most && *most <= 1.0 => Ok((*least, *most)),
        other => {
            let message = format!(
                "`scale` is {other:?}; it must be a smaller and a larger part of the image, above 0 and up to 1"
            );
            Err(Error::new(Kind::Argument, message).with_hint("for example [0.1, 1.0]").at_argument("scale"))
        }
    }
}

/// A patch as a round cut-out.
fn cut_out(patch: &[f32], side: usize) -> Result<Image> {
    let middle = 0.5 * side as f32;
    let inside = |place: usize| {
        let (right, down) = ((place % side) as f32 + 0.5 - middle, (place / side) as f32 + 0.5 - middle);
        f32::from(u8::from(right * right + down * down <= middle * middle))
    };
    Image::from_planes(side, side, eight_bits(patch), Some((0..side * side).map(inside).collect()))
}

/// An image with a patch on it, of 8 bits.
fn with_patch(victim: &Victim, patch: &Image, place: &PatchPlace) -> Vec<f32> {
    let (width, height) = (victim.lens.width, victim.lens.height);
    let placement = Placement {
        x: (place.x * width as f64) as f32,
        y: (place.y * height as f64) as f32,
        diameter: (place.scale * width.min(height) as f64) as f32,
        angle: place.angle as f32,
    };
    let mut image = victim.pixels().to_vec();
    placement.put(patch.planes(), patch.width(), &mut image, (width, height));
    eight_bits(&image)
}

impl Patch {
    /// What it does to an image that it lies on.
    ///
    /// # Errors
    /// The image cannot be brought to the network's size, or the run was interrupted.
    pub fn apply(&self, job: &Job, image: &Image, place: &PatchPlace) -> Result<Fooled> {
        let aimed = Aimed { model: self.model.clone(), target: self.target };
        let victim = Victim::new(job.interrupt(), &aimed, image)?;
        judge(&victim, METHOD, &with_patch(&victim, &self.image, place))
    }

    /// The share of its images that fooled the network over the last tenth of the steps.
    pub fn rate(&self) -> f64 {
        let last = self.rates.len().div_ceil(10);
        let rates = self.rates.iter().rev().take(last);
        rates.sum::<f64>() / last.max(1) as f64
    }
}

impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aim = self.target.map_or_else(|| "another class".to_owned(), |class| self.model.classes().name(class));
        let (side, steps) = (self.image.width(), self.rates.len());
        let percent = 100.0 * self.rate();
        write!(
            f,
            "adversarial patch of {side}×{side} pixels: {percent:.0} % of the images become {aim}, after {steps} steps"
        )
    }
}

/// Puts an adversarial patch on an image, and says what the network makes of it.
///
/// ```rhai
/// let patch = adversarial_patch([photo("coffee")], steps=1, size=64, seed=1);
/// patch.apply(photo("chelsea"), x=0.3, y=0.3, scale=0.5)
/// ```
#[function(source = "as for `adversarial_patch`")]
fn apply(
    job: &Job,
    /// The patch.
    patch: &Patch,
    /// The image.
    #[each]
    image: &Image,
    #[options] place: &PatchPlace,
) -> Result<Fooled> {
    patch.apply(job, image, place)
}

/// An adversarial patch as a picture, a round cut-out.
///
/// ```rhai
/// adversarial_patch([photo("coffee")], steps=1, size=64, seed=1).image
/// ```
#[function(property)]
fn image(
    /// The patch.
    patch: &Patch,
) -> Result<Image> {
    Ok(patch.image.clone())
}

/// The share of images by which the network was fooled at each step, a tensor [steps].
///
/// ```rhai
/// adversarial_patch([photo("coffee")], steps=2, size=64, seed=1).rates
/// ```
#[function(property)]
fn rates(
    /// The patch.
    patch: &Patch,
) -> Result<TensorValue> {
    let rates: Vec<f32> = patch.rates.iter().map(|rate| *rate as f32).collect();
    let steps = rates.len();
    TensorValue::from_values(rates, &[steps])
}

/// What becomes of each image that an adversarial patch was made for, with the patch at its usual place.
///
/// ```rhai
/// adversarial_patch([photo("coffee")], steps=1, size=64, seed=1).results[0]
/// ```
#[function(property)]
fn results(
    /// The patch.
    patch: &Patch,
) -> Result<Vec<Fooled>> {
    Ok(patch.results.to_vec())
}
