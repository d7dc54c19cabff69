//! What stands for "nothing there": the images that methods compare with.

use candle_core::Tensor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Kind, Result};
use crate::image::{Color, Image};
use crate::job::Job;
use crate::lang::{Completer, Dynamic, FromValue, Reject};
use crate::tensor::gaussian_blur;
use crate::vis::{Prediction, Question};

/// The standard deviation of a blurred baseline, as a part of the shorter side.
const BLUR: f64 = 0.05;

const NAMES: [&str; 6] = ["mean", "black", "white", "grey", "blur", "noise"];

/// What stands for "nothing there", in pixel space.
#[derive(Clone, Debug)]
pub enum Baseline {
    /// The mean colour of the image.
    Mean,
    /// A colour, 0 to 1.
    Color(Color),
    /// The image, blurred with a Gaussian whose standard deviation is a twentieth of its shorter side.
    Blur,
    /// Pixels drawn evenly from black to white.
    Noise,
    /// Another image, of the size of the explained one, as that was given or as the network sees it.
    Image(Image),
}

impl FromValue for Baseline {
    const COMPLETE: Option<Completer> = Some(|_| NAMES.map(str::to_owned).to_vec());
    const EXPECTED: &'static str = "\"mean\", \"black\", \"white\", \"grey\", \"blur\", \"noise\", a colour [red, green, blue] from 0 to 1, or an image";
    const TYPES: &'static [&'static str] = &["string", "list", "image"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(image) = value.clone().try_cast::<Image>() {
            return Ok(Self::Image(image));
        }
        if value.is_string() {
            return match value.to_string().as_str() {
                "mean" => Ok(Self::Mean),
                "grey" | "gray" => Ok(Self::Color([0.5; 3])),
                "black" => Ok(Self::Color([0.0; 3])),
                "white" => Ok(Self::Color([1.0; 3])),
                "blur" => Ok(Self::Blur),
                "noise" => Ok(Self::Noise),
                other => Err(Reject::Because(format!("must be {}, not {other:?}", Self::EXPECTED), None)),
            };
        }
        match Vec::<f64>::from_value(value)?.as_slice() {
            color if color.len() == 3 && color.iter().any(|part| !(0.0..=1.0).contains(part)) => {
                Err(Reject::Because(format!("is {color:?}; the parts of a colour are from 0 to 1"), None))
            }
            [red, green, blue] => Ok(Self::Color([*red as f32, *green as f32, *blue as f32])),
            numbers => Err(Reject::Because(format!("has {} numbers; a colour has 3", numbers.len()), None)),
        }
    }
}

impl Baseline {
    /// Whether it fits an image, before the network looks at that.
    ///
    /// # Errors
    /// It is an image of another size.
    pub fn check(&self, question: &Question) -> Result<()> {
        self.check_size(question.given, question.size())
    }

    /// An image has the size of the explained one, as that was given or as the network sees it.
    fn check_size(&self, given: [usize; 2], seen: [usize; 2]) -> Result<()> {
        let Self::Image(image) = self else { return Ok(()) };
        let size = [image.width(), image.height()];
        if size == given || size == seen {
            return Ok(());
        }
        let text = |[width, height]: [usize; 2]| format!("{width}×{height}");
        let message = format!("`baseline` is an image of {} pixels, the explained one has {}", text(size), text(given));
        let error = Error::new(Kind::Argument, message).at_argument("baseline");
        Err(error.with_hint(format!("resize({}, {}) brings an image to that size", given[0], given[1])))
    }

    /// It as an input of the network, of the size of the explained one: `[1, C, h, w]`; `seed` is that of noise. An input that is no picture has no
    /// colours: there "black" is zeros, "white" the greatest number of each channel, and the others are made of its own numbers.
    ///
    /// # Errors
    /// It is an image or a colour, and the network's input is no picture.
    pub fn input(&self, job: &Job, prediction: &Prediction, seed: Option<u64>) -> Result<Tensor> {
        let Prediction { model, view, input, .. } = prediction;
        let recipe = model.recipe();
        if recipe.check_picture().is_err() {
            return self.plain_input(job, input, seed);
        }
        let (width, height) = (view.width(), view.height());
        self.check_size(prediction.given, [width, height])?;
        let image = match self {
            Self::Color(color) => Image::filled(width, height, *color)?,
            Self::Mean => Image::filled(width, height, mean_color(view))?,
            Self::Blur => Image::from_tensor(&blurred(&view.tensor()?)?)?,
            Self::Noise => {
                let mut random = ChaCha8Rng::seed_from_u64(job.seed(seed));
                let pixels = (0..3 * width * height).map(|_| random.random::<f32>()).collect();
                Image::from_planes(width, height, pixels, None)?
            }
            Self::Image(image) if (image.width(), image.height()) == (width, height) => image.clone(),
            // as the explained image was brought to the size
            Self::Image(image) if (width, height) == (recipe.width, recipe.height) => model.view(image)?,
            Self::Image(image) => image.resize(width, height)?,
        };
        model.input(&image)
    }

    fn plain_input(&self, job: &Job, input: &Tensor, seed: Option<u64>) -> Result<Tensor> {
        Ok(match self {
            Self::Color([red, green, blue]) if red == green && green == blue && *red == 0.0 => input.zeros_like()?,
            Self::Color([1.0, 1.0, 1.0]) => {
                input.max_keepdim(3)?.max_keepdim(2)?.broadcast_as(input.shape())?.contiguous()?
            }
            Self::Mean => input.mean_keepdim((2, 3))?.broadcast_as(input.shape())?.contiguous()?,
            Self::Blur => blurred(input)?,
            Self::Noise => {
                let mut random = ChaCha8Rng::seed_from_u64(job.seed(seed));
                let values: Vec<f32> = input.flatten_all()?.to_vec1()?;
                let low = values.iter().copied().fold(f32::INFINITY, f32::min);
                let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let noise = values.iter().map(|_| low + (high - low) * random.random::<f32>()).collect();
                Tensor::from_vec(noise, input.shape(), input.device())?
            }
            Self::Color(_) | Self::Image(_) => {
                let message = "the network's input is no picture, so no colour and no image can be its baseline";
                let error = Error::new(Kind::Argument, message).at_argument("baseline");
                return Err(error
                    .with_hint("\"black\" (zeros), \"white\" (the greatest), \"mean\", \"blur\" and \"noise\" can"));
            }
        })
    }
}

fn blurred(x: &Tensor) -> Result<Tensor> {
    let side = x.dim(2)?.min(x.dim(3)?) as f64;
    gaussian_blur(x, (BLUR * side).max(0.5), None)
}

fn mean_color(image: &Image) -> Color {
    image.channels().map(|plane| {
        let sum: f64 = plane.iter().map(|value| f64::from(*value)).sum();
        (sum / plane.len().max(1) as f64) as f32
    })
}

/// One baseline, or several whose results are averaged.
#[derive(Clone, Debug)]
pub struct Baselines(Vec<Baseline>);

impl FromValue for Baselines {
    const COMPLETE: Option<Completer> = Baseline::COMPLETE;
    const EXPECTED: &'static str =
        "\"mean\", \"black\", \"white\", \"grey\", \"blur\", \"noise\", a colour, an image, or a list of these";
    const TYPES: &'static [&'static str] = &["string", "list", "image"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let list = value.read_lock::<rhai::Array>().map(|list| list.clone());
        match list {
            Some(list) if list.is_empty() => Err(Reject::Because("is an empty list".into(), None)),
            Some(list) if !list.iter().all(|item| item.is_float() || item.is_int()) => {
                list.iter().map(Baseline::from_value).collect::<Result<_, _>>().map(Self)
            }
            _ => Baseline::from_value(value).map(|baseline| Self(vec![baseline])),
        }
    }
}

impl Baselines {
    /// As [`Baseline::check`] of each.
    ///
    /// # Errors
    /// One is an image of another size.
    pub fn check(&self, question: &Question) -> Result<()> {
        self.0.iter().try_for_each(|baseline| baseline.check(question))
    }

    /// Each as an input of the network.
    ///
    /// # Errors
    /// As [`Baseline::input`].
    pub fn inputs(&self, job: &Job, prediction: &Prediction, seed: Option<u64>) -> Result<Vec<Tensor>> {
        let numbered = self.0.iter().zip(0u64..);
        numbered
            .map(|(baseline, index)| baseline.input(job, prediction, seed.map(|seed| seed.wrapping_add(index))))
            .collect()
    }
}
