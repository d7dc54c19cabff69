//! Where the thing is known: does the map point there, and how much of it lies there?

use super::measure::{Better, Measure, named};
use super::order::{descending, relevance_of};
use crate::error::{Error, Kind, Result};
use crate::image::{Filter, Image, resample};
use crate::lang::{Dynamic, FromValue, Reject, function};
use crate::tensor::TensorValue;
use crate::vis::Prediction;
use crate::vis::attribution::Attribution;

/// Where something is in an image: numbers above one half say where.
#[derive(Clone, Debug)]
pub struct Mask {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl Mask {
    /// A mask of numbers row by row.
    ///
    /// # Errors
    /// They do not fill the rectangle.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        if values.len() == width * height && !values.is_empty() {
            return Ok(Self { width, height, values });
        }
        Err(Error::new(Kind::Argument, format!("{} numbers do not make a mask of {width}×{height}", values.len())))
    }
}

impl FromValue for Mask {
    const EXPECTED: &'static str = "a mask: a tensor [height, width] with numbers above 0.5 where the thing is, a cut-out, or a black and white image";
    const TYPES: &'static [&'static str] = &["tensor", "image"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(image) = value.clone().try_cast::<Image>() {
            let [red, green, blue] = image.channels();
            let grey = || red.iter().zip(green).zip(blue).map(|((r, g), b)| (r + g + b) / 3.0).collect();
            let values = image.alpha().map_or_else(grey, <[f32]>::to_vec);
            return Ok(Self { width: image.width(), height: image.height(), values });
        }
        let tensor = value.clone().try_cast::<TensorValue>().ok_or(Reject::Type)?;
        let because = |why: String| Reject::Because(why, Some("it is [height, width]".into()));
        let (height, width) = match *tensor.inner().dims() {
            [height, width] | [1, height, width] if height * width > 0 => (height, width),
            ref dims => return Err(because(format!("has the shape {dims:?}"))),
        };
        let values = tensor.values().map_err(|error| because(error.message().to_owned()))?;
        Ok(Self { width, height, values })
    }
}

impl Mask {
    /// Where the thing is in the image as the network sees it. A mask of another size is brought to it as an image is: it
    /// covers what the image covered.
    fn seen(&self, prediction: &Prediction) -> Result<Vec<bool>> {
        let (width, height) = (prediction.view.width(), prediction.view.height());
        let values = if (self.width, self.height) == (width, height) {
            self.values.clone()
        } else if prediction.model.recipe().check_picture().is_ok() {
            let grey: Vec<f32> = self.values.iter().map(|value| value.clamp(0.0, 1.0)).collect();
            let planes = [grey.as_slice(); 3].concat();
            let view = prediction.model.view(&Image::from_planes(self.width, self.height, planes, None)?)?;
            view.channels()[0].to_vec()
        } else {
            resample(&self.values, (self.width, self.height), (width, height), Filter::Bilinear)?
        };
        let inside: Vec<bool> = values.iter().map(|value| *value > 0.5).collect();
        if inside.iter().any(|inside| *inside) {
            return Ok(inside);
        }
        let error = Error::new(Kind::Argument, "the mask is empty: no number of it is above 0.5").at_argument("mask");
        Err(error.with_hint("it is 1 where the thing is, and 0 elsewhere"))
    }
}

/// Whether the greatest value of the map lies in the mask, or at most `tolerance` pixels away: 1 if it does, else 0.
///
/// ```rhai
/// let koala = compose(plain(227, 227), gallery("mammal/koala"));
/// pointing_game(grad_cam(koala, class="koala"), plain(227, 227, color=[1, 1, 1]))
/// ```
#[function(source = "Zhang et al., Top-down Neural Attention by Excitation Backprop, 2016, arXiv:1608.00507")]
pub fn pointing_game(
    /// The attribution.
    attribution: &Attribution,
    /// Where the thing is: a tensor [height, width] with numbers above 0.5 there, a cut-out, or a black and white image.
    mask: &Mask,
    /// How many pixels beside the mask still count.
    #[default(15)]
    #[range(0..=10000)]
    tolerance: usize,
) -> Result<Measure> {
    let inside = mask.seen(&attribution.prediction)?;
    let width = attribution.prediction.view.width();
    let map = super::order::map_of(attribution)?;
    let greatest = descending(&map).first().copied().unwrap_or(0);
    let (row, column) = (greatest / width, greatest % width);
    let near = |place: usize| {
        let (down, right) = ((place / width).abs_diff(row), (place % width).abs_diff(column));
        down * down + right * right <= tolerance * tolerance
    };
    let hit = inside.iter().enumerate().any(|(place, inside)| *inside && near(place));
    let meaning = "1 if the greatest value is at the thing";
    Ok(Measure::new("pointing game", named(attribution), f64::from(u8::from(hit)), Better::Higher, meaning)
        .noted(format!("The greatest value is at row {row}, column {column}")))
}

/// The share of the map's sum that lies in the mask; of a signed map, of what speaks for the class.
///
/// ```rhai
/// let koala = compose(plain(227, 227), gallery("mammal/koala"));
/// relevance_mass(grad_cam(koala, class="koala"), plain(227, 227, color=[1, 1, 1]))
/// ```
#[function(source = "Arras, Osman and Samek, CLEVR-XAI, 2022, arXiv:2003.07258")]
pub fn relevance_mass(
    /// The attribution.
    attribution: &Attribution,
    /// Where the thing is: a tensor [height, width] with numbers above 0.5 there, a cut-out, or a black and white image.
    mask: &Mask,
) -> Result<Measure> {
    let inside = mask.seen(&attribution.prediction)?;
    let relevance = relevance_of(attribution)?;
    let all: f64 = relevance.iter().map(|value| f64::from(*value)).sum();
    let within: f64 =
        relevance.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(value, _)| f64::from(*value)).sum();
    let value = if all > 0.0 { within / all } else { 0.0 };
    let measure =
        Measure::new("relevance mass", named(attribution), value, Better::Higher, "share of the map in the mask");
    Ok(measure.noted(chance(&inside)))
}

/// The share of the k greatest places that lie in the mask, where k is how many places the mask has.
///
/// ```rhai
/// let koala = compose(plain(227, 227), gallery("mammal/koala"));
/// relevance_rank(grad_cam(koala, class="koala"), plain(227, 227, color=[1, 1, 1]))
/// ```
#[function(source = "Arras, Osman and Samek, CLEVR-XAI, 2022, arXiv:2003.07258")]
pub fn relevance_rank(
    /// The attribution.
    attribution: &Attribution,
    /// Where the thing is: a tensor [height, width] with numbers above 0.5 there, a cut-out, or a black and white image.
    mask: &Mask,
) -> Result<Measure> {
    let inside = mask.seen(&attribution.prediction)?;
    let count = inside.iter().filter(|inside| **inside).count();
    let order = descending(&super::order::map_of(attribution)?);
    let hits = order.iter().take(count).filter(|place| inside.get(**place).copied().unwrap_or(false)).count();
    let value = hits as f64 / count.max(1) as f64;
    let measure = Measure::new(
        "relevance rank",
        named(attribution),
        value,
        Better::Higher,
        "share of the greatest places in the mask",
    );
    Ok(measure.noted(chance(&inside)))
}

/// What an even map would have.
fn chance(inside: &[bool]) -> String {
    let count = inside.iter().filter(|inside| **inside).count();
    format!("The mask is {:.3} of the image, which is what an even map gets", count as f64 / inside.len().max(1) as f64)
}
