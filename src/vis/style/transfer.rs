//! Style transfer: the content of one image in the style of others.

use std::rc::Rc;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::colors::{grey, grey_as, is_grey, with_colors_of, with_luminance_of};
use super::loss::{Content, Eye, Style, StyleLoss, Wanted};
use super::options::{Descending, Pooling, StyleLayers, check_size, weights};
use super::places::Edges;
use super::stages::{Stages, at_octave, usual_octaves};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Options, Reject, choices, choose, function};
use crate::model::{Layer, LayerName};
use crate::vis::ascent::Ended;
use crate::vis::descent::check_lbfgs_memory;

/// What a strength of 1 multiplies the styles' loss by: where the loss of the content is about as large, and neither is lost.
const STRENGTH: f64 = 10.0;

/// The shorter side, in pixels, below which no coarser size begins.
const LEAST_SIDE: usize = 80;

/// Sizes at most, unless `octaves` says otherwise.
const MOST_OCTAVES: usize = 6;

/// A mask whose brightest pixel is below this covers nothing.
const LEAST_MASK: f32 = 1e-3;

/// One image, or a list of them.
#[derive(Clone, Debug)]
pub struct Images(pub Vec<Image>);

impl FromValue for Images {
    const EXPECTED: &'static str = "an image or a list of images";
    const TYPES: &'static [&'static str] = &["image", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_array() { Vec::from_value(value).map(Self) } else { Image::from_value(value).map(|one| Self(vec![one])) }
    }
}

/// Whose colours the result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreserveColor {
    /// The styles'.
    None,
    /// The content's: brightness alone is transferred.
    Luminance,
    /// The content's on the whole: the styles are given its colours first.
    Match,
}

impl FromValue for PreserveColor {
    const EXPECTED: &'static str = "\"none\", \"luminance\", \"match\", true or false";
    const TYPES: &'static [&'static str] = &["string", "boolean"];
    const CHOICES: &'static [&'static str] = &["none", "luminance", "match"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match value.as_bool() {
            Ok(true) => Ok(Self::Luminance),
            Ok(false) => Ok(Self::None),
            Err(_) => choose(value, Self::CHOICES, &[Self::None, Self::Luminance, Self::Match], Self::EXPECTED),
        }
    }
}

/// Where a transfer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// The content itself.
    Content,
    /// Noise.
    Noise,
}

choices!(StartFrom { "content" => Content, "noise" => Noise });

/// How a style is transferred.
#[derive(Clone, Debug, Options)]
pub struct TransferOptions {
    /// How much the styles count beside the content, whose weight is 1: at 0.1 the content hardly changes, at 10 little of
    /// it is left.
    #[default(1.0)]
    #[range(0.0..=1000000.0)]
    pub strength: f64,
    /// How much each of several styles counts; all alike, if not given.
    #[default]
    pub weights: Option<Vec<f64>>,
    /// Where each style counts: an image, or a list of one for each style, bright where it does and black where it does
    /// not; resized to the result. Without masks, several styles are mixed everywhere.
    #[default]
    pub mask: Option<Images>,
    /// The layer whose activations are the content; if not given, what suits the network: `fire5` of the embedded one,
    /// `relu4_2` of VGG. Earlier ones keep more of the content.
    #[default]
    pub content_layer: Option<LayerName>,
    /// Whose colours the result has: "none" (the styles'), "luminance" or true (exactly the content's: brightness alone is
    /// transferred), "match" (the content's on the whole: the styles are given its colours first).
    #[default("none")]
    pub preserve_color: PreserveColor,
    /// The longer side of the style images, as a share of the result's: larger makes larger strokes.
    #[default(1.0)]
    #[range(0.05..=8.0)]
    pub style_scale: f64,
    /// The longer side of the result, in pixels, whose proportions are the content's; the content's own if not given.
    #[default]
    #[range(16..=16384)]
    pub size: Option<usize>,
    /// How many steps at each size.
    #[default(60)]
    #[range(1..=100000)]
    pub steps: usize,
    /// How many sizes, each half as large as the next: coarse ones bring large strokes, and cost little. If not given, as
    /// many as leave the shorter side 80 pixels, at most 6.
    #[default]
    #[range(1..=8)]
    pub octaves: Option<usize>,
    /// "adam" (on the bands of a Laplacian pyramid), or "lbfgs" (with pixels from 0 to 1).
    #[default("adam")]
    pub optimizer: Descending,
    /// About how far a step of Adam moves a pixel, in units from 0 to 1.
    #[default(0.02)]
    #[range(0.0..=1.0)]
    pub step_size: f64,
    /// How much the total variation of the result counts; more makes it smoother.
    #[default(0.5)]
    #[range(0.0..=1000000.0)]
    pub tv: f64,
    /// Where it starts: from the "content", or from "noise".
    #[default("content")]
    pub start: StartFrom,
    /// The side of the squares in which a large image is looked at, in pixels; if not given, images that do not fit the
    /// memory limit are looked at in squares that do. The result is the same.
    #[default]
    #[range(32..)]
    pub tile: Option<usize>,
    /// A transfer that was interrupted, to go on with: the result is the same as if it had not been. The other arguments
    /// must be those it was begun with.
    #[default]
    pub resume: Option<Image>,
    /// The seed of the noise, where it starts from that; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// The content of one image in the style of another: the activations of a layer stay near those of the content, and the Gram
/// matrices of several layers come near those of the style.
///
/// All terms are relative to the size of what is compared, so that one strength suits all layers and networks:
/// ‖Φ − Φ₀‖² / ‖Φ₀‖² + 10 · strength · Σ w ‖G − G₀‖² / ‖G₀‖² + tv · total variation is made small, from coarse to fine. Images
/// that do not fit the memory limit are looked at in squares, whose Gram matrices are added up: the result is that of the whole.
/// If it is interrupted, the image so far is returned, and `resume=` goes on from it.
///
/// ```rhai
/// style_transfer(photo("china").resize(96, 64), photo("gravel"), steps=4)
/// ```
#[function(source = "Gatys, Ecker and Bethge, Image Style Transfer Using Convolutional Neural Networks, 2016; colours and \
                     masks: Gatys et al., Controlling Perceptual Factors in Neural Style Transfer, 2017")]
pub fn style_transfer(
    job: &Job,
    /// The image whose content is kept; a cut-out is put on white.
    content: &Image,
    /// The image whose style is taken, or a list of several.
    style: &Images,
    #[options] layers: &StyleLayers,
    #[options] options: &TransferOptions,
) -> Result<Image> {
    let mut transfer = match &options.resume {
        None => Transfer::new(job, content, style, layers, options)?,
        Some(begun) => Transfer::unfinished(job, begun, content, style, layers, options)?,
    };
    let ended = transfer.advance(job)?;
    let image = transfer.image()?;
    if ended == Ended::Interrupted {
        job.keep_unfinished((image.clone(), transfer));
    }
    Ok(image)
}

/// A transfer under way: interrupted, it can be looked at, and go on as if nothing had happened.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// What was given, to compare.
    given: Given,
    eye: Eye,
    /// The content at full size, and what of it the network looks at.
    content: Image,
    looked_at: Image,
    /// The styles at full size, with their weights.
    styles: Vec<(Image, f64)>,
    masks: Vec<Mask>,
    content_layer: Layer,
    is_grey: bool,
    options: TransferOptions,
    seed: u64,
    stages: Stages,
}

/// Where a style counts: values from 0 to 1, with their height and width.
type Mask = (Vec<f32>, [usize; 2]);

/// What a transfer was asked for.
#[derive(Clone, Debug, PartialEq)]
struct Given {
    images: Vec<Image>,
    options: String,
}

impl Given {
    fn new(content: &Image, style: &Images, layers: &StyleLayers, options: &TransferOptions) -> Self {
        let masks = options.mask.iter().flat_map(|masks| &masks.0);
        let images = std::iter::once(content).chain(&style.0).chain(masks).cloned().collect();
        // a seed that was drawn does not count
        let plain = TransferOptions { resume: None, seed: None, ..options.clone() };
        Self { images, options: format!("{} {layers:?} {plain:?}", style.0.len()) }
    }
}

impl Transfer {
    /// Checks everything before any work starts.
    ///
    /// # Errors
    /// There is no such layer, there are other numbers of masks or weights than of styles, a mask is black, images are too small
    /// for the layers or too large for the memory, or squares are too small.
    pub fn new(
        job: &Job,
        content: &Image,
        style: &Images,
        layers: &StyleLayers,
        options: &TransferOptions,
    ) -> Result<Self> {
        let given = Given::new(content, style, layers, options);
        let eye = layers.eye(job, Pooling::Max)?;
        let content_layer = content_layer(&eye, options)?;
        if style.0.is_empty() {
            return Err(Error::new(Kind::Argument, "style_transfer: no style is given").at_argument("style"));
        }
        let weights = weights(options.weights.as_deref(), style.0.len(), "weights", "styles")?;
        let masks = masks(options, style.0.len())?;
        let content = eye.model.as_seen(&content.flatten(WHITE))?;
        let (width, height) = fitting(&content, options.size.unwrap_or(content.width().max(content.height())));
        if options.optimizer == Descending::Lbfgs {
            check_lbfgs_memory(width, height)?;
        }
        let octaves = options.octaves.unwrap_or_else(|| usual_octaves(width.min(height), LEAST_SIDE, MOST_OCTAVES));
        let stages = Stages::new([width, height], octaves, options.steps);
        let all = [eye.layers.as_slice(), std::slice::from_ref(&content_layer)].concat();
        let argument = |alone| if octaves > 1 { "octaves" } else { alone };
        if let Some(first) = stages.sizes().first() {
            let side = if options.size.is_some() { "size" } else { "content" };
            check_size(&eye, &all, *first, "at its smallest the result", argument(side))?;
        }
        eye.tiling(&all, [height, width], options.tile, Edges::Padded)?;
        let content = content.resize(width, height)?;
        let longer = (width.max(height) as f64 * options.style_scale).round() as usize;
        let mut styles = Vec::with_capacity(style.0.len());
        for (image, weight) in style.0.iter().zip(weights) {
            let (width, height) = fitting(image, longer.max(1));
            let image = eye.model.as_seen(&image.flatten(WHITE))?.resize(width, height)?;
            let smallest = at_octave(&image, octaves, 0)?;
            let smallest = (smallest.width(), smallest.height());
            check_size(&eye, &eye.layers, smallest, "at its smallest the style", argument("style"))?;
            let image = match options.preserve_color {
                PreserveColor::None => image,
                PreserveColor::Luminance => grey_as(&image, &content)?,
                PreserveColor::Match => with_colors_of(&image, &content)?,
            };
            styles.push((image, weight));
        }
        let looked_at = match options.preserve_color {
            PreserveColor::Luminance => grey(&content)?,
            _ => content.clone(),
        };
        let is_grey = is_grey(&looked_at) && styles.iter().all(|(style, _)| is_grey(style));
        let (options, seed) = (options.clone(), job.seed(options.seed));
        Ok(Self { given, eye, content, looked_at, styles, masks, content_layer, is_grey, options, seed, stages })
    }

    /// The transfer that was interrupted with an image.
    fn unfinished(
        job: &Job,
        begun: &Image,
        content: &Image,
        style: &Images,
        layers: &StyleLayers,
        options: &TransferOptions,
    ) -> Result<Self> {
        let wrong = |message: &str, hint: &str| {
            Error::new(Kind::Argument, format!("style_transfer: {message}")).with_hint(hint).at_argument("resume")
        };
        let found = job.unfinished(|(left, _): &(Image, Self)| left.same(begun));
        let Some((_, transfer)) = found else {
            let hint = "only the latest few are remembered; without resume= it begins anew";
            return Err(wrong("this image was not interrupted in this session", hint));
        };
        let same_seed = options.seed.is_none_or(|seed| seed == transfer.seed);
        if !same_seed || transfer.given != Given::new(content, style, layers, options) {
            let hint = "call it as before, with the same images, and resume= added";
            return Err(wrong("it was begun with other arguments", hint));
        }
        job.seed(Some(transfer.seed));
        Ok(transfer)
    }

    /// Goes on until the transfer is finished, or interrupted.
    ///
    /// # Errors
    /// A fault of the network's run. An interrupt is no error.
    pub fn advance(&mut self, job: &Job) -> Result<Ended> {
        let Self { eye, looked_at, styles, masks, content_layer, is_grey, options, seed, stages, .. } = self;
        let sizes = stages.sizes().to_vec();
        stages.advance(job, "style", &|stage, start| {
            let (width, height) = sizes.get(stage).copied().unwrap_or((1, 1));
            let content = looked_at.resize(width, height)?.tensor()?;
            let mut wanted = Vec::with_capacity(styles.len());
            for (at, (image, weight)) in styles.iter().enumerate() {
                let image = at_octave(image, sizes.len(), stage)?.tensor()?;
                let grams = eye.grams(job, &image, options.tile, Edges::Padded)?;
                wanted.push(Style { grams, weight: *weight, mask: masks.get(at).cloned() });
            }
            let start = match (start, options.start) {
                (Some(start), _) => start,
                (None, StartFrom::Content) => content.clone(),
                (None, StartFrom::Noise) => noise(width, height, *seed, *is_grey)?,
            };
            let wanted = Wanted {
                styles: wanted,
                strength: STRENGTH * options.strength,
                content: Some(Content { image: content, layer: content_layer.clone() }),
                smoothness: options.tv,
                is_grey: *is_grey,
            };
            let loss = StyleLoss::new(job, eye, wanted, [height, width], options.tile, Edges::Padded)?;
            options.optimizer.descent(Rc::new(loss), &start, options.steps, options.step_size)
        })
    }

    /// The image so far, at full size.
    ///
    /// # Errors
    /// The image cannot be made.
    pub fn image(&self) -> Result<Image> {
        let made = match self.stages.image()? {
            Some(image) => Image::from_tensor(&image)?,
            None => self.looked_at.clone(),
        };
        match self.options.preserve_color {
            PreserveColor::Luminance => with_luminance_of(&self.content, &made),
            _ => Ok(made),
        }
    }
}

/// The layer whose activations are the content, of the network that looks.
fn content_layer(eye: &Eye, options: &TransferOptions) -> Result<Layer> {
    let model = eye.layers.first().map_or(&eye.model, Layer::model);
    let layer = match &options.content_layer {
        None => model.default_content_layer()?,
        // a handle is of the network as it was given, which may have been pooled otherwise
        Some(name) => {
            let name = name.handle().map_or_else(|| name.clone(), |layer| LayerName::from(layer.name()));
            name.find(model).map_err(|error| error.at_argument("content_layer"))?
        }
    };
    if layer.shape().len() != 3 {
        let message = format!("layer {} has no height and width: it knows no places of a content", layer.name());
        return Err(Error::new(Kind::Argument, message).at_argument("content_layer"));
    }
    Ok(layer)
}

/// The masks of the styles, none if there are none.
fn masks(options: &TransferOptions, styles: usize) -> Result<Vec<Mask>> {
    let Some(Images(images)) = &options.mask else { return Ok(Vec::new()) };
    let wrong = |message: String| Err(Error::new(Kind::Argument, message).at_argument("mask"));
    if images.len() != styles {
        let (masks, of) = (images.len(), if styles == 1 { "1 style" } else { &format!("{styles} styles") });
        return wrong(format!("style_transfer: `mask` has {masks} for {of}; each style has one"));
    }
    let mut masks = Vec::with_capacity(styles);
    for (at, image) in images.iter().enumerate() {
        let image = image.flatten([0.0; 3]);
        let [red, green, blue] = image.channels();
        let values: Vec<f32> = red.iter().zip(green).zip(blue).map(|((r, g), b)| (r + g + b) / 3.0).collect();
        if values.iter().all(|value| *value < LEAST_MASK) {
            return wrong(format!("style_transfer: mask {at} is black everywhere, so its style counts nowhere"));
        }
        masks.push((values, [image.height(), image.width()]));
    }
    Ok(masks)
}

/// Width and height of an image whose longer side becomes `longer` pixels.
fn fitting(image: &Image, longer: usize) -> (usize, usize) {
    let factor = longer as f64 / image.width().max(image.height()) as f64;
    let side = |length: usize| ((length as f64 * factor).round() as usize).max(1);
    (side(image.width()), side(image.height()))
}

/// Even noise from 0 to 1, `[1, 3, height, width]`.
fn noise(width: usize, height: usize, seed: u64, is_grey: bool) -> Result<Tensor> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut plane = || -> Vec<f32> { (0..width * height).map(|_| random.random()).collect() };
    let values = if is_grey { plane().repeat(3) } else { [plane(), plane(), plane()].concat() };
    Ok(Tensor::from_vec(values, (1, 3, height, width), &Device::Cpu)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;

    fn picture(name: &str, width: usize, height: usize) -> Image {
        photo(name).unwrap().resize(width, height).unwrap()
    }

    fn options() -> TransferOptions {
        TransferOptions { steps: 6, octaves: Some(1), seed: Some(1), ..TransferOptions::default() }
    }

    fn layers() -> StyleLayers {
        StyleLayers { layers: Some(vec!["relu_conv1".into(), "fire2".into()]), ..StyleLayers::default() }
    }

    fn transfer(options: &TransferOptions) -> Image {
        let style = Images(vec![picture("coffee", 60, 60)]);
        style_transfer(&Job::detached(), &picture("chelsea", 72, 48), &style, &layers(), options).unwrap()
    }

    #[test]
    fn squares_make_the_picture_of_the_whole() {
        let options = TransferOptions { size: Some(150), steps: 2, octaves: Some(2), ..options() };
        let whole = transfer(&options);
        let squares = transfer(&TransferOptions { tile: Some(96), ..options.clone() });
        assert_eq!((whole.width(), whole.height()), (150, 100));
        let apart = whole.planes().iter().zip(squares.planes()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let start = picture("chelsea", 72, 48).resize(150, 100).unwrap();
        let moved = whole.planes().iter().zip(start.planes()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 0.1 * moved, "{apart} of {moved}");
    }

    #[test]
    fn luminance_alone_keeps_the_chroma_of_the_content() {
        let content = picture("chelsea", 72, 48);
        let made = transfer(&TransferOptions { preserve_color: PreserveColor::Luminance, ..options() });
        assert_ne!(made, content);
        let mut whole = 0;
        for at in 0..72 * 48 {
            let pixel = |image: &Image| image.channels().map(|plane| plane[at]);
            let (ours, own) = (pixel(&made), pixel(&content));
            if ours.iter().all(|value| *value > 0.0 && *value < 1.0) {
                whole += 1;
                assert!(((ours[0] - ours[1]) - (own[0] - own[1])).abs() < 1e-5);
                assert!(((ours[2] - ours[1]) - (own[2] - own[1])).abs() < 1e-5);
            }
        }
        assert!(whole > 2000, "{whole}");
    }

    #[test]
    fn without_strength_and_smoothness_the_content_stays() {
        let content = picture("chelsea", 72, 48);
        let still = transfer(&TransferOptions { strength: 0.0, tv: 0.0, ..options() });
        let apart = still.planes().iter().zip(content.planes()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-6, "{apart}");
    }

    #[test]
    fn several_styles_are_one_where_one_counts() {
        let content = picture("chelsea", 72, 48);
        let [coffee, brick] = [picture("coffee", 60, 60), picture("brick", 60, 60)];
        let of = |styles: Vec<Image>, weights: Option<Vec<f64>>| {
            let options = TransferOptions { weights, ..options() };
            style_transfer(&Job::detached(), &content, &Images(styles), &layers(), &options).unwrap()
        };
        assert_eq!(of(vec![coffee.clone(), brick.clone()], Some(vec![2.0, 0.0])), of(vec![coffee.clone()], None));
        let half = of(vec![coffee.clone(), brick.clone()], None);
        assert!(half != of(vec![coffee], None) && half != of(vec![brick], None));
    }
}
