//! DeepDream: amplifying what a layer sees in an image (Mordvintsev, Olah and Tyka, "Inceptionism", 2015; the
//! reference is the authors' notebook, google/deepdream).

use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::objective::Strength;
use super::super::transform::Shift;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::lang::{Context, Dynamic, define};
use crate::model::{LayerName, Model, or_embedded};
use crate::tensor::{mean_abs, zip};

/// An image in which a network has amplified what one of its layers sees, over several sizes.
///
/// The image is shrunk first, and grows by `scale` from octave to octave; what the network added is carried along,
/// so that large forms come first and details settle in them. If it is interrupted, the image so far is returned.
///
/// ```rhai
/// dream(photo("china").resize(160, 107), octaves=2, iterations=3)
/// ```
#[define]
fn dream(
    cx: &Context<'_>,
    /// Where the dream starts: a photograph, or `noise(w, h)`.
    image: Image,
    /// How many sizes.
    #[default(4)]
    #[range(1..=20)]
    octaves: usize,
    /// The layer whose activations are amplified, or its name. Early layers give textures, `fire5` to `fire7` eyes
    /// and swirls, `fire8` and `fire9` faces.
    #[default("fire7")]
    layer: LayerName,
    /// How many steps at each size.
    #[default(10)]
    #[range(1..)]
    iterations: usize,
    /// How far each step goes: the mean change of a pixel, in levels of 255.
    #[default(1.5)]
    #[range(0.0..)]
    step: f64,
    /// How far the image is shifted at random before each step, in pixels; it hides the grid of the network.
    #[default(32)]
    jitter: usize,
    /// How much larger each octave is than the one before.
    #[default(1.4)]
    #[range(1.05..=4.0)]
    scale: f64,
    /// The seed of the shifts; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    /// The network; the embedded one if not given.
    #[default]
    model: Option<Model>,
) -> Result<Image> {
    let model = or_embedded(cx, model.or_else(|| layer.model().cloned()))?;
    let objective = Strength { layer: layer.resolve(&model)? };
    let sizes = sizes(&image, octaves, scale);
    check_smallest(&model, &objective, &sizes, octaves)?;

    // a grey network dreams in grey
    let base = model.as_seen(&image.flatten(crate::image::WHITE))?;
    let mut random = ChaCha8Rng::seed_from_u64(cx.seed(seed));
    let progress = cx.progress("dream", octaves * iterations);
    let mut detail: Option<Detail> = None;
    for (width, height) in sizes {
        let octave_base = base.resize(width, height)?;
        let mut canvas = planes(&octave_base)?;
        if let Some(detail) = &detail {
            canvas = (canvas + detail.resize(width, height)?)?.clamp(0f32, 1f32)?;
        }
        let mut interrupted = false;
        for _ in 0..iterations {
            let shift = Shift::random(jitter, &mut random);
            let stepped = ascend(cx, &model, &objective, &canvas, shift, step).and_then(|stepped| {
                canvas = stepped;
                progress.advance_showing(1, &|| {
                    let values = canvas.flatten_all()?.to_vec1()?;
                    Ok(Dynamic::from(Image::from_planes(width, height, values, None)?))
                })
            });
            match stepped {
                Ok(()) => {}
                Err(error) if error.kind() == Kind::Interrupted => {
                    interrupted = true;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        detail = Some(Detail { change: (canvas - planes(&octave_base)?)?, width, height });
        if interrupted {
            break;
        }
    }
    let Some(detail) = detail else { return Ok(image) };
    let dreamed = (planes(&base)? + detail.resize(base.width(), base.height())?)?;
    Image::from_planes(base.width(), base.height(), dreamed.flatten_all()?.to_vec1()?, None)
}

/// The sizes of the octaves, smallest first; the last is the image's own.
fn sizes(image: &Image, octaves: usize, scale: f64) -> Vec<(usize, usize)> {
    let shrink = |length: usize, power: usize| (length as f64 / scale.powi(power as i32)).round() as usize;
    (0..octaves).rev().map(|power| (shrink(image.width(), power), shrink(image.height(), power))).collect()
}

/// An octave that is smaller than the network can take is refused before anything starts.
fn check_smallest(model: &Model, objective: &Strength, sizes: &[(usize, usize)], octaves: usize) -> Result<()> {
    let (least_height, least_width) = model.minimum_size(&[objective.layer.id()])?;
    let fits = |(width, height): &&(usize, usize)| *width >= least_width && *height >= least_height;
    let fitting = sizes.iter().filter(fits).count();
    let Some((width, height)) = sizes.first() else { return Ok(()) };
    if fitting == octaves {
        return Ok(());
    }
    let layer = objective.layer.name();
    let message = format!(
        "dream: the smallest of {octaves} octaves is {width}×{height} pixels; layer {layer} takes at least \
         {least_width}×{least_height}"
    );
    let error = Error::new(Kind::Argument, message);
    Err(if fitting == 0 {
        error.with_hint("start from a larger image").at_argument("image")
    } else {
        error.with_hint(format!("this image has room for octaves={fitting}")).at_argument("octaves")
    })
}

/// What the network has added to an octave, at that octave's size.
struct Detail {
    /// [1, 3, height, width], of either sign.
    change: Tensor,
    width: usize,
    height: usize,
}

impl Detail {
    fn resize(&self, width: usize, height: usize) -> Result<Tensor> {
        if (width, height) == (self.width, self.height) {
            return Ok(self.change.clone());
        }
        let values: Vec<f32> = self.change.flatten_all()?.to_vec1()?;
        let mut resized = Vec::with_capacity(3 * width * height);
        for plane in values.chunks(self.width * self.height) {
            let filter = crate::image::Filter::Bilinear;
            resized.extend(crate::image::resample(plane, (self.width, self.height), (width, height), filter)?);
        }
        Ok(Tensor::from_vec(resized, (1, 3, height, width), &Device::Cpu)?)
    }
}

/// [1, 3, height, width] in [0, 1].
fn planes(image: &Image) -> Result<Tensor> {
    Ok(Tensor::from_slice(image.planes(), (1, 3, image.height(), image.width()), &Device::Cpu)?)
}

/// One step uphill on a shifted image: `step` levels of 255 in the mean, clipped to colours that exist.
fn ascend(
    cx: &Context<'_>,
    model: &Model,
    objective: &Strength,
    canvas: &Tensor,
    shift: Shift,
    step: f64,
) -> Result<Tensor> {
    let shifted = shift.apply(canvas)?;
    let gradient = objective.gradient(&model.recipe().to_input(&shifted)?, cx.interrupt())?;
    let gradient = model.recipe().as_seen(&model.recipe().to_rgb_gradient(&gradient)?)?;
    let mean = mean_abs(&gradient)?;
    // a layer that answers nothing at all has no direction to climb
    let rate = if mean > 0.0 { (step / 255.0 / mean) as f32 } else { 0.0 };
    shift.undo(&zip(&shifted, &gradient, |v, slope| (v + slope * rate).clamp(0.0, 1.0))?)
}
