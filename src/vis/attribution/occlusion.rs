//! Occlusion: how much the score falls when a window of the image is covered (Zeiler and Fergus, "Visualizing and
//! Understanding Convolutional Networks", 2013).

use candle_core::Tensor;

use super::{Attribution, Question, Sign};
use crate::error::{Error, Kind, Result};
use crate::image::{Color, Image};
use crate::lang::{Completer, Context, Dynamic, FromValue, Reject, define};
use crate::model::{ClassName, Model, budget, or_embedded};

/// What a window is covered with, in pixel space.
#[derive(Clone, Debug)]
enum Fill {
    /// The mean colour of this image.
    Mean,
    /// A grey level or a colour, 0 to 1.
    Color(Color),
}

impl FromValue for Fill {
    const COMPLETE: Option<Completer> = Some(|_| ["mean", "grey", "black", "white"].map(str::to_owned).to_vec());
    const EXPECTED: &'static str = "\"mean\", \"grey\", \"black\", \"white\", or a colour [red, green, blue]";
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_string() {
            return match value.to_string().as_str() {
                "mean" => Ok(Self::Mean),
                "grey" | "gray" => Ok(Self::Color([0.5; 3])),
                "black" => Ok(Self::Color([0.0; 3])),
                "white" => Ok(Self::Color([1.0; 3])),
                other => Err(Reject::Because(format!("must be {}, not {other:?}", Self::EXPECTED), None)),
            };
        }
        match Vec::<f64>::from_value(value)?.as_slice() {
            [red, green, blue] => Ok(Self::Color([*red as f32, *green as f32, *blue as f32])),
            numbers => Err(Reject::Because(format!("has {} numbers; a colour has 3", numbers.len()), None)),
        }
    }
}

impl From<&str> for Fill {
    fn from(_: &str) -> Self {
        Self::Mean
    }
}

impl Fill {
    fn color(&self, image: &Image) -> Color {
        match self {
            Self::Color(color) => *color,
            Self::Mean => image.channels().map(|plane| {
                let sum: f64 = plane.iter().map(|value| f64::from(*value)).sum();
                (sum / plane.len().max(1) as f64) as f32
            }),
        }
    }
}

/// Covered images that are made and shown to the network at once, if the memory allows.
const TOGETHER: usize = 25;

/// Where a network looks: how much the score of a class falls when a window slides over the image and covers it.
///
/// Each pixel gets the mean fall of the windows that covered it: positive where the network found what speaks for
/// the class, negative where covering helped.
///
/// ```rhai
/// occlusion(gallery("mammal/koala"), class="koala", window=64, stride=32)
/// ```
#[define]
fn occlusion(
    cx: &Context<'_>,
    /// The image.
    image: Image,
    /// The class, by name or number; the most probable one if not given.
    #[default]
    class: Option<ClassName>,
    /// Side of the window in pixels of the network's input.
    #[default(32)]
    #[range(1..)]
    window: usize,
    /// How far the window moves, in pixels.
    #[default(8)]
    #[range(1..)]
    stride: usize,
    /// What covers the image: "mean" (its mean colour), "grey", "black", "white" or [red, green, blue].
    #[default("mean")]
    fill: Fill,
    /// The network; the embedded one if not given.
    #[default]
    model: Option<Model>,
) -> Result<Attribution> {
    let question = Question::new(cx, or_embedded(cx, model)?, &image, class.as_ref())?;
    let (width, height) = (question.view.width(), question.view.height());
    if window > width || window > height {
        let message = format!("occlusion: `window` is {window} pixels, the network sees {width}×{height}");
        return Err(Error::new(Kind::Argument, message).at_argument("window"));
    }
    if stride > window {
        let message = format!("occlusion: `stride` ({stride}) must not exceed `window` ({window})");
        let error = Error::new(Kind::Argument, message).with_hint("otherwise some pixels are never covered");
        return Err(error.at_argument("stride"));
    }
    let cover = question.model.input(&Image::filled(1, 1, fill.color(&question.view))?)?;
    let places: Vec<(usize, usize)> = starts(height, window, stride)
        .into_iter()
        .flat_map(|top| starts(width, window, stride).into_iter().map(move |left| (top, left)))
        .collect();

    let falls = falls(cx, &question, &cover, &places, window)?;
    let values = spread(&falls, &places, window, width, height);
    let measures = format!("fall of the {}", question.score_name());
    Ok(question.answer("occlusion", values, Sign::Signed, measures))
}

/// Where windows start along one side; the last one ends at the edge, so that every pixel is covered.
fn starts(length: usize, window: usize, stride: usize) -> Vec<usize> {
    let last = length - window;
    let mut starts: Vec<usize> = (0..=last).step_by(stride).collect();
    if starts.last() != Some(&last) {
        starts.push(last);
    }
    starts
}

/// How much the score falls for each place, in batches that fit the memory.
fn falls(
    cx: &Context<'_>,
    question: &Question,
    cover: &Tensor,
    places: &[(usize, usize)],
    window: usize,
) -> Result<Vec<f32>> {
    let progress = cx.progress("occlusion", places.len());
    let (width, height) = (question.view.width(), question.view.height());
    let pixels: Vec<f32> = question.input.flatten_all()?.to_vec1()?;
    let cover: Vec<f32> = cover.flatten_all()?.to_vec1()?;
    // the network cuts its own buffers to the limit; a batch is there twice, as it is made and as a tensor
    let batch = (budget::memory() / 4 / (2 * 4 * pixels.len())).clamp(1, TOGETHER);
    let mut falls = Vec::with_capacity(places.len());
    for chunk in places.chunks(batch) {
        let mut covered = Vec::with_capacity(chunk.len() * pixels.len());
        for (top, left) in chunk {
            let start = covered.len();
            covered.extend_from_slice(&pixels);
            for (channel, value) in cover.iter().enumerate() {
                for row in *top..top + window {
                    let at = start + (channel * height + row) * width + left;
                    covered[at..at + window].fill(*value);
                }
            }
        }
        let input = Tensor::from_vec(covered, (chunk.len(), cover.len(), height, width), question.input.device())?;
        let logits = question.model.forward(&input, cx.interrupt())?;
        let scores: Vec<f32> = question.scores(&logits)?.to_vec1()?;
        falls.extend(scores.iter().map(|score| question.score - score));
        progress.advance(chunk.len())?;
    }
    Ok(falls)
}

/// The mean fall of the windows over each pixel.
fn spread(falls: &[f32], places: &[(usize, usize)], window: usize, width: usize, height: usize) -> Vec<f32> {
    let mut sums = vec![0f64; width * height];
    let mut counts = vec![0u32; width * height];
    for (fall, (top, left)) in falls.iter().zip(places) {
        for row in *top..top + window {
            let line = row * width + left..row * width + left + window;
            for (sum, count) in sums[line.clone()].iter_mut().zip(&mut counts[line]) {
                *sum += f64::from(*fall);
                *count += 1;
            }
        }
    }
    sums.iter().zip(&counts).map(|(sum, count)| (sum / f64::from((*count).max(1))) as f32).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn windows_reach_both_edges() {
        assert_eq!(starts(227, 32, 8).last(), Some(&195));
        assert_eq!(starts(227, 32, 8).len(), 26);
        assert_eq!(starts(10, 10, 3), [0]);
        assert_eq!(starts(10, 4, 3), [0, 3, 6]);
    }

    #[test]
    fn overlapping_windows_are_averaged() {
        let values = spread(&[1.0, 3.0], &[(0, 0), (0, 1)], 2, 3, 2);
        assert_eq!(values, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }
}
