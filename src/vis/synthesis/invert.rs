//! Inversion: an image that a layer cannot tell from another one.

use super::resume::finished;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, choices, function};
use crate::model::{Layer, LayerName, Model, resolve_layer};
use crate::tensor::mean_abs;
use crate::vis::ascent::{Ascent, Plan};
use crate::vis::objective::{Goal, Preimage};
use crate::vis::optimizer::Adam;
use crate::vis::param::{Param, PixelPyramid, Pixels};

/// The weight of total variation for a layer whose units lie one pixel apart; it grows as the square of that distance, as the
/// room does that a layer leaves for noise.
const SMOOTH: f64 = 0.2;
/// Units that lie farther apart leave no more room.
const FARTHEST: usize = 32;
/// The weight of pixels at the ends of the range beside that of total variation.
const BOUND: f64 = 0.05;
/// How far the first step moves a pixel, or a band of the pyramid, at most.
const STEP_SIZE: f64 = 0.05;
/// What the last step is multiplied by.
const LAST_STEP: f64 = 0.01;

/// What an inversion starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InversionStart {
    /// Grey with noise of standard deviation 0.05.
    Noise,
    /// Plain middle grey.
    Grey,
}

choices!(InversionStart { "noise" => Noise, "grey" => Grey });

/// How an image is found that a layer cannot tell from another one.
#[derive(Clone, Debug, Options)]
pub struct InversionOptions {
    /// What it starts from: "noise" (grey with a little noise) or "grey".
    #[default("noise")]
    pub start: InversionStart,
    /// How much smoothness counts: the weight of total variation, the mean over pixels of their squared differences to the
    /// right and below. If not given, 0.2 × the square of the distance of the layer's units in pixels: 0.8 for a first
    /// convolution with stride 2, 51 where units lie 16 pixels apart.
    #[default]
    #[range(0.0..)]
    pub tv: Option<f64>,
    /// How much it counts that pixels keep away from black and white: the weight of the mean sixth power of how far they are from
    /// grey, which is 1 at black. If not given, a twentieth of `tv`.
    #[default]
    #[range(0.0..)]
    pub l6: Option<f64>,
    /// How many steps.
    #[default(300)]
    #[range(1..=100000)]
    pub steps: usize,
    /// The seed of the noise; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

impl InversionOptions {
    /// The ascent that makes an image, of the size at which the network sees one, into one that a layer cannot tell from
    /// `view`.
    ///
    /// # Errors
    /// The layer answers nothing to the image, or the run was interrupted.
    pub(super) fn ascent(&self, job: &Job, view: &Image, layer: &Layer, seed: u64) -> Result<Ascent> {
        let model = layer.model();
        let jump = layer.receptive_field().jump.min(FARTHEST) as f64;
        let tv = self.tv.unwrap_or(SMOOTH * jump * jump);
        let goal = Goal::new(Preimage::new(view.clone(), layer.clone().into(), tv, self.l6.unwrap_or(BOUND * tv)));
        let (width, height) = (view.width(), view.height());
        let seen = layer.activations(&model.input(view)?, job.interrupt())?;
        if mean_abs(&seen)? == 0.0 {
            let message = format!("layer {} is 0 everywhere for this image: nothing is left to invert", layer.name());
            return Err(Error::new(Kind::Argument, message).at_argument("image"));
        }
        let start = match self.start {
            InversionStart::Noise => Pixels::noise(1, width, height, seed)?.image()?,
            InversionStart::Grey => Image::filled(width, height, [0.5; 3])?.tensor()?,
        };
        let start = PixelPyramid::from_image(&model.recipe().as_seen(&start)?)?;
        let plan = Plan { last_step: LAST_STEP, ..Plan::new(Adam::new(STEP_SIZE), self.steps) };
        Ok(Ascent::new(model.clone(), goal, Box::new(start), plan, seed))
    }
}

/// An image that a layer cannot tell from the one given, made from noise: what the layer still knows of it. What differs
/// between both is what the layer has forgotten.
///
/// The distance of the layer's activations is made small, relative to those of the image, and with them the total variation and
/// what lies near black and white, so that of all images that the layer cannot tell apart a natural one is found. It has the
/// size at which the network sees images: `unprepare(prepare(img))` is the original to compare it with. If it is interrupted,
/// the image so far is returned, and `resume=` goes on from it.
///
/// ```rhai
/// invert(photo("chelsea"), layer="conv1", steps=20)
/// ```
#[function(source = "Mahendran and Vedaldi, 2015, arXiv:1412.0035; aravindhm/deep-goggle")]
pub fn invert(
    job: &Job,
    /// The image, brought to the network's size.
    image: &Image,
    /// The layer: a layer, which decides the network, or the name of one. If not given, the one that dreams amplify.
    #[default]
    #[leading]
    layer: Option<LayerName>,
    /// An inversion that was interrupted, to go on with; the other arguments must be those it was begun with.
    #[default]
    resume: Option<Image>,
    #[options] options: &InversionOptions,
) -> Result<Image> {
    let layer = resolve_layer(job, layer.as_ref(), options.model.as_ref(), Model::default_dream_layer)?;
    let view = layer.model().view(image)?;
    let asked = (view.clone(), format!("invert {layer} {options:?}"));
    let begin = || options.ascent(job, &view, &layer, job.seed(options.seed));
    let images = finished(job, "invert", asked, resume.as_ref(), begin)?;
    images.into_iter().next().ok_or_else(|| Error::new(Kind::Internal, "an ascent of no image"))
}
