//! DeepDream: amplifying what a layer detects in an image, over octaves.

use candle_core::{Device, Tensor};

use crate::error::{Error, Kind, Result};
use crate::image::{Filter, Image, WHITE, resample};
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::{Layer, LayerName, Model, resolve_layer};
use crate::vis::ascent::{Ascent, Ended};
use crate::vis::objective::L2;
use crate::vis::optimizer::Normalized;
use crate::vis::param::{Param, Pixels};
use crate::vis::transform::Jitter;

/// How a dream is made.
#[derive(Clone, Debug, Options)]
pub struct DreamOptions {
    /// How many sizes.
    #[default(4)]
    #[range(1..=20)]
    pub octaves: usize,
    /// The layer whose activations are amplified: a layer, which decides the network, or the name of one. Early layers
    /// give textures, late ones parts of things (of the embedded network, `fire5` to `fire7` eyes and swirls, `fire8` and
    /// `fire9` faces). If not given, the network's default.
    #[default]
    #[leading]
    pub layer: Option<LayerName>,
    /// How many steps at each size.
    #[default(10)]
    #[range(1..)]
    pub steps: usize,
    /// How far each step goes: the mean change of a pixel, in units from 0 to 1.
    #[default(0.006)]
    #[range(0.0..)]
    pub step_size: f64,
    /// How far the image is shifted at random before each step, in pixels; it hides the grid of the network.
    #[default(32)]
    #[range(0..=4096)]
    pub jitter: usize,
    /// How much larger each octave is than the one before.
    #[default(1.4)]
    #[range(1.05..=4.0)]
    pub octave_scale: f64,
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
/// so that large forms come first and details settle in them. If it is interrupted, the image so far is returned.
///
/// ```rhai
/// dream(photo("china").resize(160, 107), octaves=2, steps=3)
/// ```
#[function(source = "Mordvintsev, Olah and Tyka, Inceptionism, 2015; the authors' notebook, google/deepdream")]
pub fn dream(
    job: &Job,
    /// Where the dream starts: a photograph, or `noise(w, h)`.
    image: &Image,
    #[options] options: &DreamOptions,
) -> Result<Image> {
    let mut dream = Dream::new(job, image, options)?;
    dream.advance(job)?;
    dream.image()
}

/// A dream under way: interrupted, it can be looked at, and go on as if nothing had happened.
pub struct Dream {
    base: Image,
    objective: L2,
    /// Width and height of each octave, smallest first.
    sizes: Vec<(usize, usize)>,
    options: DreamOptions,
    seed: u64,
    /// The octave that is being made, and the steps taken in it.
    octave: usize,
    steps: usize,
    /// What the network has added to the octave before.
    detail: Option<Tensor>,
    canvas: Option<Pixels>,
}

impl Dream {
    /// Checks everything before any work starts.
    ///
    /// # Errors
    /// There is no such layer, or the smallest octave is too small for it.
    pub fn new(job: &Job, image: &Image, options: &DreamOptions) -> Result<Self> {
        let layer = resolve_layer(job, options.layer.as_ref(), options.model.as_ref(), Model::default_dream_layer)?;
        let sizes = octave_sizes(image, options.octaves, options.octave_scale);
        check_smallest(&layer, &sizes)?;
        Ok(Self {
            // a grey network dreams in grey
            base: layer.model().as_seen(&image.flatten(WHITE))?,
            objective: L2 { layer },
            sizes,
            seed: job.seed(options.seed),
            options: options.clone(),
            octave: 0,
            steps: 0,
            detail: None,
            canvas: None,
        })
    }

    /// Goes on until the dream is finished, or interrupted.
    ///
    /// # Errors
    /// A fault of the network's run. An interrupt is no error.
    pub fn advance(&mut self, job: &Job) -> Result<Ended> {
        let all = self.sizes.len() * self.options.steps;
        let progress = job.progress("dream", all - (self.octave * self.options.steps + self.steps).min(all));
        while let Some(&(width, height)) = self.sizes.get(self.octave) {
            let base = self.base(width, height)?;
            let mut canvas = match (self.canvas.take(), &self.detail) {
                (Some(canvas), _) => canvas,
                (None, Some(detail)) => Pixels::new(&(&base + resize(detail, width, height)?)?)?,
                (None, None) => Pixels::new(&base)?,
            };
            let mut ascent = self.ascent();
            ascent.skip(self.steps);
            let ended = ascent.climb(job, &progress, &mut canvas, self.options.steps - self.steps)?;
            self.detail = Some((canvas.values() - &base)?);
            if let Ended::Interrupted { steps } = ended {
                self.steps += steps;
                self.canvas = Some(canvas);
                return Ok(ended);
            }
            (self.octave, self.steps) = (self.octave + 1, 0);
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
        Image::from_tensor(&(self.base(width, height)? + resize(detail, width, height)?)?)
    }

    /// The image that the dream started from at a size, `[1, 3, h, w]`.
    fn base(&self, width: usize, height: usize) -> Result<Tensor> {
        self.base.resize(width, height)?.tensor()
    }

    /// The ascent of the present octave, whose shifts follow from the seed and the octave.
    fn ascent(&self) -> Ascent<'_> {
        let optimizer = Normalized { step_size: self.options.step_size };
        let seed = self.seed.wrapping_add(self.octave as u64);
        let model = self.objective.layer.model().clone();
        Ascent::new(model, &self.objective, vec![Box::new(Jitter(self.options.jitter))], Box::new(optimizer), seed)
    }
}

/// Width and height of the octaves, smallest first; the last is the image's own size.
fn octave_sizes(image: &Image, octaves: usize, scale: f64) -> Vec<(usize, usize)> {
    let shrink = |length: usize, power: usize| (length as f64 / scale.powi(power as i32)).round() as usize;
    (0..octaves).rev().map(|power| (shrink(image.width(), power), shrink(image.height(), power))).collect()
}

/// An octave that is smaller than the network can take is refused before anything starts.
fn check_smallest(layer: &Layer, sizes: &[(usize, usize)]) -> Result<()> {
    let (least_height, least_width) = layer.model().minimum_size(&[layer.id()])?;
    let fits = |(width, height): &&(usize, usize)| *width >= least_width && *height >= least_height;
    let fitting = sizes.iter().filter(fits).count();
    let Some((width, height)) = sizes.first() else { return Ok(()) };
    if fitting == sizes.len() {
        return Ok(());
    }
    let message = format!(
        "dream: the smallest of {} octaves is {width}×{height} pixels; layer {} takes at least \
         {least_width}×{least_height}",
        sizes.len(),
        layer.name()
    );
    let error = Error::new(Kind::Argument, message);
    Err(if fitting == 0 {
        error.with_hint("start from a larger image").at_argument("image")
    } else {
        error.with_hint(format!("this image has room for octaves={fitting}")).at_argument("octaves")
    })
}

/// A difference of images `[1, 3, h, w]`, of either sign, at another size.
fn resize(detail: &Tensor, width: usize, height: usize) -> Result<Tensor> {
    let (_, _, own_height, own_width) = detail.dims4()?;
    if (width, height) == (own_width, own_height) {
        return Ok(detail.clone());
    }
    let values: Vec<f32> = detail.flatten_all()?.to_vec1()?;
    let mut resized = Vec::with_capacity(3 * width * height);
    for plane in values.chunks(own_width * own_height) {
        resized.extend(resample(plane, (own_width, own_height), (width, height), Filter::Bilinear)?);
    }
    Ok(Tensor::from_vec(resized, (1, 3, height, width), &Device::Cpu)?)
}
