//! Textures that have the Gram matrices of a sample.

use std::rc::Rc;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::colors::{is_grey, with_histogram_of};
use super::loss::{Eye, Style, StyleLoss, Wanted};
use super::options::{Descending, Pooling, StyleLayers, check_size};
use super::places::Edges;
use super::stages::{Stages, at_octave, usual_octaves};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, Size, WHITE};
use crate::job::Job;
use crate::lang::{Options, function};
use crate::vis::ascent::Ended;
use crate::vis::descent::check_lbfgs_memory;

/// The shorter side, in pixels, below which no coarser size begins.
const LEAST_SIDE: usize = 64;

/// Sizes of a texture at most, unless `octaves` says otherwise.
const MOST_OCTAVES: usize = 4;

/// How a texture is made.
#[derive(Clone, Debug, Options)]
pub struct TextureOptions {
    /// The size of the texture in pixels: a side, or [width, height]; the sample's if not given.
    #[default]
    pub size: Option<Size>,
    /// How many steps at each size.
    #[default(100)]
    #[range(1..=100000)]
    pub steps: usize,
    /// How many sizes, each half as large as the next: forms that are larger than what the layers see come from the smaller
    /// ones. If not given, as many as leave sample and texture 64 pixels, at most 4.
    #[default]
    #[range(1..=8)]
    pub octaves: Option<usize>,
    /// Whether the texture goes on at its edges, so that copies of it can be laid side by side without a seam.
    #[default(true)]
    pub seamless: bool,
    /// Whether the colours get the sample's histogram in the end.
    #[default(true)]
    pub match_colors: bool,
    /// "lbfgs" (with pixels from 0 to 1), or "adam", which needs less memory.
    #[default("lbfgs")]
    pub optimizer: Descending,
    /// About how far a step of Adam moves a pixel, in units from 0 to 1.
    #[default(0.02)]
    #[range(0.0..=1.0)]
    pub step_size: f64,
    /// The side of the squares in which a large image is looked at, in pixels; if not given, images that do not fit the
    /// memory limit are looked at in squares that do. The result is the same.
    #[default]
    #[range(32..)]
    pub tile: Option<usize>,
    /// A texture that was interrupted, to go on with: the result is the same as if it had not been. The other arguments
    /// must be those it was begun with.
    #[default]
    pub resume: Option<Image>,
    /// The seed of the noise it starts from; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// A new image that has the texture of a sample: the same Gram matrices, which say how often two channels of a layer are active
/// together, and not where.
///
/// It starts from noise in the sample's colours and is changed until the sum of ‖G − G₀‖² / ‖G₀‖² over the layers is small,
/// from coarse to fine; see `texture_distance`. If it is interrupted, the image so far is returned, and `resume=` goes on
/// from it.
///
/// ```rhai
/// texture(photo("gravel").resize(64, 64), steps=4, octaves=1)
/// ```
#[function(source = "Gatys, Ecker and Bethge, Texture Synthesis Using Convolutional Neural Networks, 2015; \
                     coarse to fine as in Snelgrove, High-Resolution Multi-Scale Neural Texture Synthesis, 2017")]
pub fn texture(
    job: &Job,
    /// The sample; a cut-out is put on white.
    sample: &Image,
    #[options] layers: &StyleLayers,
    #[options] options: &TextureOptions,
) -> Result<Image> {
    let mut texture = match &options.resume {
        None => Texture::new(job, sample, layers, options)?,
        Some(begun) => Texture::unfinished(job, begun, sample, layers, options)?,
    };
    let ended = texture.advance(job)?;
    let image = texture.image()?;
    if ended == Ended::Interrupted {
        job.keep_unfinished((image.clone(), texture));
    }
    Ok(image)
}

/// How far the texture of an image is from that of a sample: the mean of ‖G − G₀‖² / ‖G₀‖² over the layers, for the Gram matrices
/// G of the image and G₀ of the sample. It is 0 for the sample itself, and 1 for an image in which nothing is active.
///
/// ```rhai
/// texture_distance(photo("grass"), photo("gravel"))
/// ```
#[function(source = "Gatys, Ecker and Bethge, Texture Synthesis Using Convolutional Neural Networks, 2015")]
pub fn texture_distance(
    job: &Job,
    /// The image.
    image: &Image,
    /// The sample.
    sample: &Image,
    #[options] layers: &StyleLayers,
) -> Result<f64> {
    let eye = layers.eye(job, Pooling::Average)?;
    let seen = |image: &Image, what: &str, argument: &str| -> Result<Tensor> {
        check_size(&eye, &eye.layers, (image.width(), image.height()), what, argument)?;
        image.flatten(WHITE).tensor()
    };
    let (image, sample) = (seen(image, "the image", "image")?, seen(sample, "the sample", "sample")?);
    let (_, _, height, width) = image.dims4()?;
    let style = Style { grams: eye.grams(job, &sample, None, Edges::Padded)?, weight: 1.0, mask: None };
    StyleLoss::new(job, &eye, wanted(style, false), [height, width], None, Edges::Padded)?.value(job, &image)
}

fn wanted(style: Style, is_grey: bool) -> Wanted {
    Wanted { styles: vec![style], strength: 1.0, content: None, smoothness: 0.0, is_grey }
}

/// A texture under way: interrupted, it can be looked at, and go on as if nothing had happened.
#[derive(Clone, Debug)]
pub struct Texture {
    sample: Image,
    eye: Eye,
    options: TextureOptions,
    /// What was asked for, to compare.
    asked: String,
    seed: u64,
    stages: Stages,
}

impl Texture {
    /// Checks everything before any work starts.
    ///
    /// # Errors
    /// There is no such layer, sample or texture are too small for the layers or too large for the memory, or squares are too
    /// small.
    pub fn new(job: &Job, sample: &Image, layers: &StyleLayers, options: &TextureOptions) -> Result<Self> {
        let eye = layers.eye(job, Pooling::Average)?;
        let sample = eye.model.as_seen(&sample.flatten(WHITE))?;
        let own = Size { width: sample.width(), height: sample.height() };
        let size = options.size.unwrap_or(own);
        size.check()?;
        if options.optimizer == Descending::Lbfgs {
            check_lbfgs_memory(size.width, size.height)?;
        }
        let shorter = [own.width, own.height, size.width, size.height].into_iter().min().unwrap_or(0);
        let octaves = options.octaves.unwrap_or_else(|| usual_octaves(shorter, LEAST_SIDE, MOST_OCTAVES));
        let stages = Stages::new([size.width, size.height], octaves, options.steps);
        let argument = |alone| if octaves > 1 { "octaves" } else { alone };
        let smallest = at_octave(&sample, octaves, 0)?;
        let smallest = (smallest.width(), smallest.height());
        check_size(&eye, &eye.layers, smallest, "at its smallest the sample", argument("sample"))?;
        if let Some(first) = stages.sizes().first() {
            check_size(&eye, &eye.layers, *first, "at its smallest the texture", argument("size"))?;
        }
        eye.tiling(&eye.layers, [size.height, size.width], options.tile, edges(options))
            .map_err(|error| at_edges(error, options))?;
        let asked = asked(layers, options);
        Ok(Self { sample, eye, options: options.clone(), asked, seed: job.seed(options.seed), stages })
    }

    /// The texture that was interrupted with an image.
    fn unfinished(
        job: &Job,
        begun: &Image,
        sample: &Image,
        layers: &StyleLayers,
        options: &TextureOptions,
    ) -> Result<Self> {
        let wrong =
            |message: &str, hint: &str| Error::new(Kind::Argument, message).with_hint(hint).at_argument("resume");
        let found = job.unfinished(|(left, _): &(Image, Self)| left.same(begun));
        let Some((_, texture)) = found else {
            let hint = "only the latest few are remembered; without resume= it begins anew";
            return Err(wrong("texture: this image was not interrupted in this session", hint));
        };
        let same = texture.eye.model.as_seen(&sample.flatten(WHITE))? == texture.sample;
        let same_seed = options.seed.is_none_or(|seed| seed == texture.seed);
        if !same || !same_seed || texture.asked != asked(layers, options) {
            let hint = "call it as before, with the same sample, and resume= added";
            return Err(wrong("texture: it was begun with other arguments", hint));
        }
        job.seed(Some(texture.seed));
        Ok(texture)
    }

    /// Goes on until the texture is finished, or interrupted.
    ///
    /// # Errors
    /// A fault of the network's run. An interrupt is no error.
    pub fn advance(&mut self, job: &Job) -> Result<Ended> {
        let Self { sample, eye, options, seed, stages, .. } = self;
        let sizes = stages.sizes().to_vec();
        stages.advance(job, "texture", &|stage, start| {
            let (width, height) = sizes.get(stage).copied().unwrap_or((1, 1));
            let sample = at_octave(sample, sizes.len(), stage)?;
            let edges = edges(options);
            let seen = if options.seamless { Edges::Inside } else { Edges::Padded };
            let style =
                Style { grams: eye.grams(job, &sample.tensor()?, options.tile, seen)?, weight: 1.0, mask: None };
            let wanted = wanted(style, is_grey(&sample));
            let loss = StyleLoss::new(job, eye, wanted, [height, width], options.tile, edges)?;
            let start = match start {
                Some(start) => start,
                None => drawn(&sample, width, height, *seed)?,
            };
            options.optimizer.descent(Rc::new(loss), &start, options.steps, options.step_size)
        })
    }

    /// The image so far, at full size.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn image(&self) -> Result<Image> {
        let (width, height) = self.stages.sizes().last().copied().unwrap_or((1, 1));
        let image = match self.stages.image()? {
            Some(image) => image,
            None => drawn(&self.sample, width, height, self.seed)?,
        };
        Image::from_tensor(&if self.options.match_colors { with_histogram_of(&image, &self.sample)? } else { image })
    }
}

fn edges(options: &TextureOptions) -> Edges {
    if options.seamless { Edges::Wrapped } else { Edges::Padded }
}

/// A layer that sees the whole image has no endless one.
fn at_edges(error: Error, options: &TextureOptions) -> Error {
    match error.argument() {
        Some("layers") if options.seamless && options.tile.is_none() => {
            Error::new(error.kind(), error.message().to_owned())
                .with_hint("seamless=false takes such layers; or choose earlier ones")
                .at_argument("layers")
        }
        _ => error,
    }
}

/// Pixels of the sample, each drawn by itself: `[1, 3, height, width]`.
fn drawn(sample: &Image, width: usize, height: usize, seed: u64) -> Result<Tensor> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let [red, green, blue] = sample.channels();
    let places: Vec<usize> = (0..width * height).map(|_| random.random_range(0..red.len())).collect();
    let planes = [red, green, blue].into_iter();
    let values: Vec<f32> =
        planes.flat_map(|plane| places.iter().map(|place| plane.get(*place).copied().unwrap_or(0.5))).collect();
    Ok(Tensor::from_vec(values, (1, 3, height, width), &Device::Cpu)?)
}

/// What was asked for, to compare; a seed that was drawn does not count.
fn asked(layers: &StyleLayers, options: &TextureOptions) -> String {
    format!("{layers:?} {:?}", TextureOptions { resume: None, seed: None, ..options.clone() })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;

    fn layers(names: &[&str]) -> StyleLayers {
        let names = names.iter().map(|name| (*name).into()).collect();
        StyleLayers { layers: Some(names), ..StyleLayers::default() }
    }

    #[test]
    fn the_loss_falls_a_hundredfold() {
        let job = Job::detached();
        let sample = photo("gravel").unwrap().resize(64, 64).unwrap();
        let layers = layers(&["relu_conv1", "fire2"]);
        let options = TextureOptions { steps: 60, octaves: Some(1), seed: Some(1), ..TextureOptions::default() };
        let begun = Texture::new(&job, &sample, &layers, &options).unwrap().image().unwrap();
        let made = texture(&job, &sample, &layers, &options).unwrap();
        let distance = |image: &Image| texture_distance(&job, image, &sample, &layers).unwrap();
        let (before, after) = (distance(&begun), distance(&made));
        assert!(after * 100.0 < before, "{before} became {after}");
        assert!(distance(&sample) < 1e-9);
        // a grey sample makes a grey texture
        assert!(made.channels()[0].iter().zip(made.channels()[2]).all(|(r, b)| (r - b).abs() < 1e-5));
    }

    /// Moved round its edges, a seamless texture is as near to the sample.
    #[test]
    fn a_seamless_texture_has_no_edges() {
        let job = Job::detached();
        let sample = photo("brick").unwrap().resize(96, 96).unwrap();
        let layers = layers(&["relu_conv1", "fire2"]);
        let seam = |seamless: bool| {
            let options =
                TextureOptions { steps: 25, octaves: Some(1), seed: Some(2), seamless, ..TextureOptions::default() };
            let made = texture(&job, &sample, &layers, &options).unwrap();
            let moved = crate::tensor::roll(&made.tensor().unwrap(), [48, 48]).unwrap();
            let moved = Image::from_tensor(&moved).unwrap();
            texture_distance(&job, &moved, &sample, &layers).unwrap()
                / texture_distance(&job, &made, &sample, &layers).unwrap()
        };
        let (with, without) = (seam(true), seam(false));
        assert!(with < 1.5 && without > with, "{with} {without}");
    }
}
