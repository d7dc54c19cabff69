//! How an image becomes a network's input, and how it comes back.

use std::fmt;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::tensor::channelwise;

/// The luminance of red, green and blue (Rec. 601), by which Pillow, OpenCV, torchvision and TensorFlow turn colours
/// into greys.
pub const LUMINANCE: [f32; 3] = [0.299, 0.587, 0.114];

/// The mean that torchvision's ImageNet networks subtract.
const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// The standard deviation they divide by.
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What the channels of a network's input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channels {
    /// One channel: the luminance of the image ([`LUMINANCE`]).
    Grey,
    /// Red first.
    Rgb,
    /// Blue first, as networks trained with Caffe.
    Bgr,
    /// So many channels that are not those of a picture. Images are refused; tensors are taken.
    Other(usize),
}

impl Channels {
    /// What an input of so many channels is taken for.
    pub fn of(count: usize) -> Self {
        match count {
            1 => Self::Grey,
            3 => Self::Rgb,
            other => Self::Other(other),
        }
    }

    /// How many of them are those of a picture.
    fn colours(self) -> usize {
        if let Self::Other(_) = self { 0 } else { self.count() }
    }

    /// How many there are.
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb | Self::Bgr => 3,
            Self::Other(count) => count,
        }
    }
}

impl fmt::Display for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grey => f.write_str("grey"),
            Self::Rgb => f.write_str("RGB"),
            Self::Bgr => f.write_str("BGR"),
            Self::Other(count) => write!(f, "{count}-channel"),
        }
    }
}

/// How a picture of any size is brought to the network's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResizeRule {
    /// The picture is resized, keeping its proportions, until it covers the network's rectangle enlarged such that its
    /// shorter side is `shorter` pixels; then the centre is cut out.
    CenterCrop {
        /// Pixels of the shorter side before the cut, at least the network's own.
        shorter: usize,
    },
    /// Height and width become the network's, whatever the proportions were.
    Stretch,
}

/// The type of the numbers that the file of a network takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Numbers {
    /// Floating-point numbers.
    #[default]
    Float,
    /// Whole numbers from 0 to 255 (uint8). Inputs are rounded; gradients pass as if they were not.
    Byte,
}

/// The order of the axes in the network's file. Inside Percept an input is always [N, channels, height, width].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileLayout {
    /// [N, channels, height, width], as PyTorch.
    #[default]
    ChannelsFirst,
    /// [N, height, width, channels], as Keras.
    ChannelsLast,
}

/// What a network expects of its input: input = (pixel · range − mean) / std, channel by channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct InputRecipe {
    /// What the channels are.
    pub channels: Channels,
    /// Height the network was trained on, in pixels.
    pub height: usize,
    /// Width the network was trained on, in pixels.
    pub width: usize,
    /// What white is before the mean is subtracted: 255 or 1.
    pub range: f64,
    /// Mean per channel, in the network's channel order and range; none if the channels are not those of a picture.
    pub mean: Vec<f32>,
    /// Divisor per channel, in the network's channel order.
    pub std: Vec<f32>,
    /// How pictures get the network's size.
    pub resize: ResizeRule,
    /// The type of the file's numbers.
    pub numbers: Numbers,
    /// The order of the file's axes.
    pub layout: FileLayout,
    /// Whether range, mean and std are a guess, because neither the file nor the user said them.
    pub assumed: bool,
}

impl InputRecipe {
    /// Pixels from 0 to 1 as they are; pictures are resized until they cover the rectangle, and the centre is cut out.
    pub fn plain(channels: Channels, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
            range: 1.0,
            mean: vec![0.0; channels.colours()],
            std: vec![1.0; channels.colours()],
            resize: ResizeRule::CenterCrop { shorter: height.min(width) },
            numbers: Numbers::Float,
            layout: FileLayout::ChannelsFirst,
            assumed: false,
        }
    }

    /// The input of most of torchvision's ImageNet weights: 224×224, RGB.
    pub fn torchvision() -> Self {
        Self {
            mean: IMAGENET_MEAN.to_vec(),
            std: IMAGENET_STD.to_vec(),
            resize: ResizeRule::CenterCrop { shorter: 256 },
            ..Self::plain(Channels::Rgb, 224, 224)
        }
    }

    /// The same recipe for pictures of another size; the margin that is cut off stays the same part of the picture.
    #[must_use]
    pub fn resized(self, height: usize, width: usize) -> Self {
        let (old, new) = (self.height.min(self.width).max(1), height.min(width));
        let resize = match self.resize {
            ResizeRule::CenterCrop { shorter } => ResizeRule::CenterCrop { shorter: new.saturating_mul(shorter) / old },
            ResizeRule::Stretch => ResizeRule::Stretch,
        };
        Self { height, width, resize, ..self }
    }

    /// Checks numbers that a user or a file gave.
    pub(super) fn check(&self) -> Result<()> {
        let fault = |name: &str, message: String| Err(Error::new(Kind::Argument, message).at_argument(name));
        for side in [self.height, self.width] {
            if !(1..=4096).contains(&side) {
                return fault("size", format!("`size` is {side}; it must be 1 to 4096 pixels"));
            }
        }
        if !self.range.is_finite() || self.range <= 0.0 {
            return fault("range", format!("`range` is {}; it must be above 0, usually 1 or 255", self.range));
        }
        let count = self.channels.count();
        for (name, numbers) in [("mean", &self.mean), ("std", &self.std)] {
            if numbers.len() != self.channels.colours() {
                let what = if self.channels.colours() == 0 { ", which no image has" } else { "" };
                let message = format!("`{name}` has {} numbers; the network has {count} channels{what}", numbers.len());
                return fault(name, message);
            }
        }
        if self.mean.iter().any(|mean| !mean.is_finite()) {
            return fault("mean", format!("`mean` is {:?}; it must be finite numbers", self.mean));
        }
        if self.std.iter().any(|std| !std.is_finite() || *std == 0.0) {
            return fault("std", format!("`std` is {:?}; it must be numbers other than 0", self.std));
        }
        let side = self.height.min(self.width);
        match self.resize {
            ResizeRule::CenterCrop { shorter } if !(side..=4 * side).contains(&shorter) => {
                fault("size", format!("images are first brought to {shorter} pixels, then cut to {side}"))
            }
            _ => Ok(()),
        }
    }

    /// An error for a network whose input is no picture.
    ///
    /// # Errors
    /// The network has neither one channel nor three.
    pub fn check_picture(&self) -> Result<()> {
        match self.channels {
            Channels::Other(count) => {
                let message =
                    format!("the network takes {count} channels; an image has 3 (colour), or 1 as a grey one");
                Err(Error::new(Kind::Tensor, message).with_hint(format!(
                    "give it a tensor [N, {count}, {}, {}] in its own input space",
                    self.height, self.width
                )))
            }
            _ => Ok(()),
        }
    }

    /// RGB images `[N, 3, H, W]` in [0, 1] as network input `[N, channels, H, W]`. Gradients pass.
    ///
    /// # Errors
    /// `rgb` is not `[N, 3, H, W]`, or the network's input is no picture.
    pub fn to_input(&self, rgb: &Tensor) -> Result<Tensor> {
        let order = self.order(rgb, 3)?;
        let (range, byte) = (self.range as f32, self.numbers == Numbers::Byte);
        let level = move |v: f32| if byte { (v * range).round().clamp(0.0, 255.0) } else { v * range };
        if self.channels == Channels::Grey {
            let (mean, std) = (first(&self.mean, 0.0), first(&self.std, 1.0));
            return channelwise(&luminance(rgb)?, [0], |_, v| (level(v) - mean) / std, move |_| range / std);
        }
        let (mean, std) = (three(&self.mean, 0.0), three(&self.std, 1.0));
        channelwise(rgb, order, |c, v| (level(v) - mean[c]) / std[c], move |c| range / std[c])
    }

    /// The inverse: network input `[N, channels, H, W]` as RGB images `[N, 3, H, W]`, not clipped to [0, 1]; the three
    /// channels of a grey one are equal. Gradients pass.
    ///
    /// # Errors
    /// `input` has another number of channels, or the network's input is no picture.
    pub fn from_input(&self, input: &Tensor) -> Result<Tensor> {
        let order = self.order(input, self.channels.count())?;
        let range = self.range as f32;
        if self.channels == Channels::Grey {
            let (mean, std) = (first(&self.mean, 0.0), first(&self.std, 1.0));
            let grey = channelwise(input, [0], |_, v| (v * std + mean) / range, move |_| std / range)?;
            return Ok(Tensor::cat(&[&grey, &grey, &grey], 1)?);
        }
        let (mean, std) = (three(&self.mean, 0.0), three(&self.std, 1.0));
        // mean and deviation are those of the network's channels
        let value = |c: usize, v: f32| (v * std[order[c]] + mean[order[c]]) / range;
        channelwise(input, order, value, move |c| std[order[c]] / range)
    }

    /// The gradient for RGB images `[N, 3, H, W]`, given that for the network input they became.
    ///
    /// # Errors
    /// `gradient` has another number of channels than the network's input, or that is no picture.
    pub fn to_rgb_gradient(&self, gradient: &Tensor) -> Result<Tensor> {
        let order = self.order(gradient, self.channels.count())?;
        let range = self.range as f32;
        if self.channels == Channels::Grey {
            let std = first(&self.std, 1.0);
            let parts = LUMINANCE.map(|share| (gradient * f64::from(share * range / std)).map_err(Error::from));
            return Ok(Tensor::cat(&parts.into_iter().collect::<Result<Vec<_>>>()?, 1)?);
        }
        let std = three(&self.std, 1.0);
        channelwise(gradient, order, |c, g| g * range / std[order[c]], move |c| range / std[c])
    }

    /// RGB images `[N, 3, H, W]` with what the network sees of their colours: for a grey network all three channels are
    /// the luminance. Linear, so it also turns a gradient of [`to_rgb_gradient`](Self::to_rgb_gradient) into one that
    /// keeps a grey image grey. Gradients pass.
    ///
    /// # Errors
    /// `rgb` is not `[N, 3, H, W]`.
    pub fn as_seen(&self, rgb: &Tensor) -> Result<Tensor> {
        if self.channels != Channels::Grey {
            return Ok(rgb.clone());
        }
        self.order(rgb, 3)?;
        let grey = luminance(rgb)?;
        Ok(Tensor::cat(&[&grey, &grey, &grey], 1)?)
    }

    /// Where each colour channel comes from; the same both ways, since turning round twice changes nothing.
    fn order(&self, x: &Tensor, channels: usize) -> Result<[usize; 3]> {
        self.check_picture()?;
        match x.dims() {
            [_, c, _, _] if *c == channels => Ok(if self.channels == Channels::Bgr { [2, 1, 0] } else { [0, 1, 2] }),
            dims => Err(Error::new(Kind::Tensor, format!("a tensor of shape {dims:?} is no stack of images"))
                .with_hint(format!("it takes [N, {channels}, height, width]"))),
        }
    }
}

/// [N, 3, H, W] to [N, 1, H, W].
fn luminance(rgb: &Tensor) -> Result<Tensor> {
    let [red, green, blue] = LUMINANCE.map(f64::from);
    let part = |channel: usize, share: f64| rgb.narrow(1, channel, 1)? * share;
    Ok(((part(0, red)? + part(1, green)?)? + part(2, blue)?)?)
}

fn first(numbers: &[f32], missing: f32) -> f32 {
    numbers.first().copied().unwrap_or(missing)
}

fn three(numbers: &[f32], missing: f32) -> [f32; 3] {
    std::array::from_fn(|channel| numbers.get(channel).copied().unwrap_or(missing))
}

impl fmt::Display for InputRecipe {
    /// `RGB, 224×224 pixels (width×height); pixels 0 to 1, minus mean […], divided by std […]; …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { channels, width, height, range, .. } = self;
        write!(f, "{channels}, {width}×{height} pixels (width×height)")?;
        if self.check_picture().is_err() {
            return f.write_str("; only tensors can be given");
        }
        let whole = if self.numbers == Numbers::Byte { " in whole numbers" } else { "" };
        write!(f, "; pixels 0 to {range}{whole}")?;
        if self.mean.iter().any(|mean| *mean != 0.0) {
            write!(f, ", minus mean {}", list(&self.mean))?;
        }
        if self.std.iter().any(|std| *std != 1.0) {
            write!(f, ", divided by std {}", list(&self.std))?;
        }
        match self.resize {
            ResizeRule::Stretch => f.write_str("; images are stretched")?,
            ResizeRule::CenterCrop { shorter } if shorter == *height.min(width) => {
                f.write_str("; of images the centre is cut out")?;
            }
            ResizeRule::CenterCrop { shorter } => {
                write!(f, "; of images, with {shorter} pixels on the shorter side, the centre is cut out")?;
            }
        }
        if self.layout == FileLayout::ChannelsLast {
            f.write_str("; the file's own layout is channels last, here it is [N, channels, height, width]")?;
        }
        if self.assumed {
            f.write_str(
                " (range, mean and std are assumed: give `range`, `mean` and `std` if it was trained otherwise)",
            )?;
        }
        Ok(())
    }
}

/// `[0.5, 0.25]`, or one number that holds for all channels.
fn list(numbers: &[f32]) -> String {
    match numbers {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => first.to_string(),
        numbers => format!("{numbers:?}"),
    }
}

/// A recipe as files hold it. Version 1 had one `size` and the `order` of three channels.
#[derive(Deserialize)]
struct Stored {
    #[serde(alias = "order")]
    channels: Channels,
    size: Option<usize>,
    height: Option<usize>,
    width: Option<usize>,
    range: f64,
    mean: Vec<f32>,
    std: Vec<f32>,
    resize: ResizeRule,
    #[serde(default)]
    numbers: Numbers,
    #[serde(default)]
    layout: FileLayout,
    #[serde(default)]
    assumed: bool,
}

impl From<Stored> for InputRecipe {
    fn from(stored: Stored) -> Self {
        let side = |given: Option<usize>| given.or(stored.size).unwrap_or(0);
        Self {
            height: side(stored.height),
            width: side(stored.width),
            channels: stored.channels,
            range: stored.range,
            mean: stored.mean,
            std: stored.std,
            resize: stored.resize,
            numbers: stored.numbers,
            layout: stored.layout,
            assumed: stored.assumed,
        }
    }
}

#[cfg(test)]
mod tests;
