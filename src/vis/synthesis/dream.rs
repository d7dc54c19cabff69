//! DeepDream: amplifying what a layer detects in an image, over octaves.

use std::rc::Rc;

use candle_core::Tensor;

use super::octaves::{OctaveOrder, check_smallest, enlarged, octave_sizes};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::{Job, Progress};
use crate::lang::{Options, choices, function};
use crate::model::{LayerName, Model, resolve_layer};
use crate::tensor::zip;
use crate::vis::ascent::{Ascent, Ended, Plan};
use crate::vis::laplacian::{BAND_WEIGHTS, CHROMA};
use crate::vis::objective::{Goal, L2};
use crate::vis::optimizer::{Bands, Normalized};
use crate::vis::param::{Pixels, Soft, moved};
use crate::vis::transform::Jitter;

/// A larger image than this, in pixels, is looked at in squares, unless `tile` says otherwise.
const WHOLE: usize = 1400 * 1400;

/// The side of these squares.
const TILE: usize = 1024;

/// How the gradient of a dream becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// Each band of a Laplacian pyramid by itself.
    Bands,
    /// The whole by its mean magnitude, as the authors' notebook has it.
    Mean,
}

choices!(Normalization { "bands" => Bands, "mean" => Mean });

/// How a dream is made.
#[derive(Clone, Debug, Options)]
pub struct DreamOptions {
    /// How many sizes.
    #[default(4)]
    #[range(1..=20)]
    pub octaves: usize,
    /// The layer whose activations are amplified: a layer, which decides the network, or the name of one. Early layers
    /// give textures, late ones parts of things (of the embedded network, `fire5` eyes and swirls, `fire7` to `fire9`
    /// faces). If not given, the network's default.
    #[default]
    #[leading]
    pub layer: Option<LayerName>,
    /// What is amplified instead of a whole layer: any objective, such as `channel("fire8", 12)`, `class_score("koala")`,
    /// `guided("fire7", other)`, `l2("fire5") + 0.5 * l2("fire8")`, or a function of the activations.
    #[default]
    pub target: Option<Goal>,
    /// How many steps at each size.
    #[default(16)]
    #[range(1..)]
    pub steps: usize,
    /// How far the first step of each size goes, in units from 0 to 1: with bands the standard deviation of the change in
    /// each, otherwise the mean change of a pixel.
    #[default(0.006)]
    #[range(0.0..=1.0)]
    pub step_size: f64,
    /// What the last step of each size is multiplied by; steps shrink evenly.
    #[default(0.5)]
    #[range(0.0..=1.0)]
    pub last_step: f64,
    /// How far the image is shifted at random before each step, in pixels; it hides the grid of the network.
    #[default(32)]
    #[range(0..=4096)]
    pub jitter: usize,
    /// How much larger each octave is than the one before.
    #[default(1.4)]
    #[range(1.05..=4.0)]
    pub octave_scale: f64,
    /// Whether sizes grow ("up"), shrink ("down"), or grow and shrink again ("up-down").
    #[default("up")]
    pub octave_order: OctaveOrder,
    /// How a gradient becomes a step: "bands" normalizes each band of a Laplacian pyramid, so that whole forms grow as
    /// fast as lines, and nears black and white more and more slowly; "mean" divides the whole by its mean, and clips.
    #[default("bands")]
    pub normalization: Normalization,
    /// How much each band counts, from the finest details to the coarsest forms.
    #[default]
    pub bands: Option<Vec<f64>>,
    /// How much colours count beside brightness: 0 keeps the image's own hues, 1 gives the network's.
    #[default]
    #[range(0.0..=4.0)]
    pub chroma: Option<f64>,
    /// Where the image may change: bright where it may, black where it stays as it is. It is resized to the image.
    #[default]
    pub mask: Option<Image>,
    /// The side of the squares in which a large image is looked at, in pixels; if not given, images of more than about
    /// 1400×1400 pixels are looked at in squares of 1024.
    #[default]
    #[range(128..)]
    pub tile: Option<usize>,
    /// A dream that was interrupted, to go on with: the result is the same as if it had not been. The other arguments
    /// must be those it was begun with.
    #[default]
    pub resume: Option<Image>,
    /// The seed of the shifts; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

/// An image in which a network has amplified what one of its layers detects, over several sizes.
///
/// The image is shrunk first, and grows by `octave_scale` from octave to octave; what the network added is carried along,
/// so that large forms come first and details settle in them. If it is interrupted, the image so far is returned, and
/// `resume=` goes on from it.
///
/// ```rhai
/// dream(photo("china").resize(160, 107), octaves=2, steps=3)
/// ```
#[function(source = "Mordvintsev, Olah and Tyka, Inceptionism, 2015; the authors' notebook, google/deepdream")]
pub fn dream(
    job: &Job,
    /// Where the dream starts: a photograph, `clouds(w, h)` or `noise(w, h)`.
    image: &Image,
    #[options] options: &DreamOptions,
) -> Result<Image> {
    let mut dream = match &options.resume {
        None => Dream::new(job, image, options)?,
        Some(begun) => Dream::unfinished(job, begun, image, options)?,
    };
    let ended = dream.advance(job)?;
    let image = dream.image()?;
    if ended == Ended::Interrupted {
        job.keep_unfinished((image.clone(), dream));
    }
    Ok(image)
}

/// A dream under way: interrupted, it can be looked at, and go on as if nothing had happened.
#[derive(Clone, Debug)]
pub struct Dream {
    base: Image,
    model: Model,
    goal: Goal,
    /// Width and height of each octave, first to last.
    sizes: Vec<(usize, usize)>,
    options: DreamOptions,
    seed: u64,
    /// The octave that is being made.
    octave: usize,
    /// What the network has added to the octave before.
    detail: Option<Tensor>,
    ascent: Option<Ascent>,
}

impl Dream {
    /// Checks everything before any work starts.
    ///
    /// # Errors
    /// There is no such layer, `layer` and `target` are both given, bands are no weights, or the smallest octave is too
    /// small for the network.
    pub fn new(job: &Job, image: &Image, options: &DreamOptions) -> Result<Self> {
        let (model, goal) = climbed(job, options)?;
        let weights = options.bands.as_deref().unwrap_or(&[1.0]);
        if weights.is_empty() || weights.iter().any(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            let message = "bands are weights from 0 up, one for each band from the finest to the coarsest";
            return Err(Error::new(Kind::Argument, format!("dream: {message}")).at_argument("bands"));
        }
        let sizes = octave_sizes([image.width(), image.height()], options.octaves, options.octave_scale);
        let base = model.as_seen(&image.flatten(WHITE))?;
        check_smallest(job, &model, &goal, &base, &sizes)?;
        Ok(Self {
            base,
            model,
            goal,
            sizes: options.octave_order.of(sizes),
            seed: job.seed(options.seed),
            options: options.clone(),
            octave: 0,
            detail: None,
            ascent: None,
        })
    }

    /// The dream that was interrupted with an image.
    fn unfinished(job: &Job, begun: &Image, image: &Image, options: &DreamOptions) -> Result<Self> {
        let wrong = |message: &str, hint: &str| {
            Error::new(Kind::Argument, format!("dream: {message}")).with_hint(hint).at_argument("resume")
        };
        let found = job.unfinished(|(left, _): &(Image, Self)| left.same(begun));
        let Some((_, dream)) = found else {
            return Err(wrong(
                "this image is no dream that was interrupted in this session",
                "only the latest few are remembered; one that is finished can be dreamt on as the image itself",
            ));
        };
        // a seed that was drawn need not be given
        let is_its_seed = options.seed.is_none_or(|seed| seed == dream.seed);
        let seed = if is_its_seed { dream.options.seed } else { options.seed };
        let asked = DreamOptions { resume: None, seed, ..options.clone() };
        let same_start = dream.model.as_seen(&image.flatten(WHITE))? == dream.base;
        if !same_start || format!("{asked:?}") != format!("{:?}", dream.options) {
            return Err(wrong(
                "it was begun with other arguments",
                "call it as before, with the same image, and resume= added",
            ));
        }
        job.seed(Some(dream.seed));
        Ok(dream)
    }

    /// Goes on until the dream is finished, or interrupted.
    ///
    /// # Errors
    /// A fault of the network's run. An interrupt is no error.
    pub fn advance(&mut self, job: &Job) -> Result<Ended> {
        let progress = job.progress("dream", self.left());
        self.advance_within(job, &progress)
    }

    /// How many steps are left.
    pub fn left(&self) -> usize {
        let taken = self.ascent.as_ref().map_or(0, Ascent::taken);
        (self.sizes.len() * self.options.steps).saturating_sub(self.octave * self.options.steps + taken)
    }

    /// As [`advance`](Self::advance), as part of a longer work, to whose progress its steps are reported.
    ///
    /// # Errors
    /// A fault of the network's run. An interrupt is no error.
    pub fn advance_within(&mut self, job: &Job, progress: &Progress<'_>) -> Result<Ended> {
        while let Some(&(width, height)) = self.sizes.get(self.octave) {
            let mut ascent = match self.ascent.take() {
                Some(ascent) => ascent,
                None => self.ascent(width, height)?,
            };
            let ended = ascent.climb(job, progress)?;
            let base = self.base(width, height)?;
            self.detail = Some(zip(&ascent.image()?, &base, |dreamt, base| dreamt - base)?);
            if ended == Ended::Interrupted {
                self.ascent = Some(ascent);
                return Ok(ended);
            }
            self.octave += 1;
        }
        Ok(Ended::Finished)
    }

    /// The image so far, at full size.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn image(&self) -> Result<Image> {
        let Some(detail) = &self.detail else { return Ok(self.base.clone()) };
        let (width, height) = (self.base.width(), self.base.height());
        Image::from_tensor(&self.with_detail(&self.base(width, height)?, detail)?)
    }

    /// The image that the dream started from at a size, `[1, 3, h, w]`.
    fn base(&self, width: usize, height: usize) -> Result<Tensor> {
        self.base.resize(width, height)?.tensor()
    }

    /// What the network has added, put on the image at another size.
    fn with_detail(&self, base: &Tensor, detail: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = base.dims4()?;
        if detail.dims() == base.dims() {
            return Ok((base + detail)?);
        }
        let detail = enlarged(detail, width, height)?;
        match self.options.normalization {
            Normalization::Bands => moved(base, &detail),
            Normalization::Mean => Ok((base + detail)?),
        }
    }

    /// The ascent of the present octave, whose shifts follow from the seed and the octave.
    fn ascent(&mut self, width: usize, height: usize) -> Result<Ascent> {
        let base = self.base(width, height)?;
        // what is in the ascent need not be kept beside it
        let start = match self.detail.take() {
            Some(detail) => self.with_detail(&base, &detail)?,
            None => base,
        };
        let options = &self.options;
        let plan = match options.normalization {
            Normalization::Mean => Plan::new(Normalized { step_size: options.step_size }, options.steps),
            Normalization::Bands => {
                let weights = options.bands.as_ref().map(|bands| bands.iter().map(|band| *band as f32).collect());
                let bands = Bands {
                    step_size: options.step_size,
                    weights: weights.unwrap_or_else(|| BAND_WEIGHTS.to_vec()),
                    chroma: options.chroma.map_or(CHROMA, |chroma| chroma as f32),
                };
                Plan::new(bands, options.steps)
            }
        };
        let mask =
            options.mask.as_ref().map(|mask| Ok::<_, Error>(mask.resize(width, height)?.tensor()?.mean_keepdim(1)?));
        let plan = Plan {
            transforms: Rc::new([Box::new(Jitter(options.jitter))]),
            last_step: options.last_step,
            mask: mask.transpose()?,
            tile: options.tile.or_else(|| (width * height > WHOLE).then_some(TILE)),
            redirected: options.steps,
            ..plan
        };
        let seed = self.seed.wrapping_add(self.octave as u64);
        let (model, goal) = (self.model.clone(), self.goal.clone());
        Ok(match options.normalization {
            Normalization::Bands => Ascent::new(model, goal, Box::new(Soft::new(&start)?), plan, seed),
            Normalization::Mean => Ascent::new(model, goal, Box::new(Pixels::new(&start)?), plan, seed),
        })
    }
}

/// The network and what a dream in it climbs.
fn climbed(job: &Job, options: &DreamOptions) -> Result<(Model, Goal)> {
    match (&options.target, &options.layer) {
        (Some(_), Some(_)) => Err(Error::new(Kind::Argument, "dream: `layer` and `target` both say what is amplified")
            .with_hint("give one of them; l2(\"fire5\") is a layer as a target")
            .at_argument("target")),
        (Some(goal), None) => Ok((goal.network(job, options.model.as_ref())?, goal.clone())),
        (None, layer) => {
            let layer = resolve_layer(job, layer.as_ref(), options.model.as_ref(), Model::default_dream_layer)?;
            Ok((layer.model().clone(), Goal::new(L2 { layer: layer.into() })))
        }
    }
}
