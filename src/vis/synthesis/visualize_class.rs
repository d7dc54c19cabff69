//! The image that a class likes most, in the styles of four papers, and what regularizers are for.

use std::fmt;

use candle_core::{DType, Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::importance::cut_out;
use super::settings::{Size, fitting};
use super::transforms::Transforms;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::{Interrupt, Job};
use crate::lang::{Dynamic, IntoValue, Options, choices, function};
use crate::model::{AnswerKind, ClassName, Model, Network};
use crate::tensor::normal;
use crate::vis::ascent::{Ascent, Ended, Plan};
use crate::vis::objective::{ClassScore, Goal, Measure, SquaredNorm, Sum, total_variation};
use crate::vis::optimizer::{Adam, Nadam, Normalized, Optimizer, Regularized};
use crate::vis::panels::{Panel, Panels};
use crate::vis::param::{Fourier, Param, Phase, Pixels, photo_magnitudes};
use crate::vis::transform::{Jitter, Transform};

/// For so many steps a rectifier that blocks the gradient everywhere lets it pass.
const REDIRECTED: usize = 16;

/// The deviation of the noise that pixels start with.
const NOISE: f32 = 0.01;

/// How an image is kept from being noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Simonyan, Vedaldi and Zisserman: pixels, of which the squared norm is subtracted.
    Simonyan,
    /// Yosinski et al.: pixels that decay, are blurred, and clipped where they hardly count.
    Yosinski,
    /// Olah, Mordvintsev and Schubert: waves in decorrelated colours, looked at through random transforms.
    Fourier,
    /// Fel et al., MaCo: the phases of waves whose magnitudes are those of photographs, looked at through boxes.
    Maco,
}

choices!(Style { "simonyan" => Simonyan, "yosinski" => Yosinski, "fourier" => Fourier, "maco" => Maco });

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simonyan => "simonyan",
            Self::Yosinski => "yosinski",
            Self::Fourier => "fourier",
            Self::Maco => "maco",
        })
    }
}

impl Style {
    /// What keeps the image from being noise, in words.
    fn words(self) -> &'static str {
        match self {
            Self::Simonyan => "with an L2 penalty",
            Self::Yosinski => "with decay, blur and clipping",
            Self::Fourier => "as waves, through random transforms",
            Self::Maco => "as phases of photographs' waves, through boxes",
        }
    }
}

/// How the image of a class is made. What is not given is as the style's paper has it, or as suits it.
#[derive(Clone, Debug, Options)]
pub struct ClassImageOptions {
    /// How the image is kept from being noise: "simonyan" (pixels, with an L2 penalty), "yosinski" (pixels, with decay, blur and
    /// clipping), "fourier" (waves in decorrelated colours, looked at through random transforms), or "maco" (only the phases of
    /// waves whose magnitudes are those of photographs, looked at through boxes; a cut-out of what mattered).
    #[default("fourier")]
    pub style: Style,
    /// Whether the image is shown beside one of the same number of steps with nothing that keeps it from being noise.
    #[default(false)]
    pub compare: bool,
    /// The size of the image: its side or [width, height], in pixels. If not given, that of the network's input.
    #[default]
    pub size: Option<Size>,
    /// How many steps; if not given, as many as suit the style.
    #[default]
    #[range(1..=100000)]
    pub steps: Option<usize>,
    /// How far a step goes: of pixels their mean change, from 0 to 1; of waves and phases in their own units.
    #[default]
    #[range(0.0..)]
    pub step_size: Option<f64>,
    /// Of "simonyan": the weight of the squared norm, the sum over all pixels and colours of (pixel − mean)², pixels from 0
    /// to 1.
    #[default]
    #[range(0.0..)]
    pub l2: Option<f64>,
    /// Of "yosinski": what part of its difference from the mean colour a pixel loses in each step.
    #[default]
    #[range(0.0..=1.0)]
    pub decay: Option<f64>,
    /// Of "yosinski": the standard deviation of the blur, in pixels.
    #[default]
    #[range(0.0..=100.0)]
    pub blur: Option<f64>,
    /// Of "yosinski": every how many steps the image is blurred; 0 for never.
    #[default]
    #[range(0..)]
    pub blur_every: Option<usize>,
    /// Of "yosinski": the share of pixels that become the mean colour because they differ least from it.
    #[default]
    #[range(0.0..=1.0)]
    pub small_norm: Option<f64>,
    /// Of "yosinski": the share of pixels that become the mean colour because they contribute least to the score.
    #[default]
    #[range(0.0..=1.0)]
    pub small_contribution: Option<f64>,
    /// Of "yosinski": how far the image is shifted at random before each step, in pixels.
    #[default]
    #[range(0..=4096)]
    pub jitter: Option<usize>,
    /// Of "fourier" and "maco": what is done to the image at random before each look, as for `visualize`.
    #[default]
    pub transforms: Option<Transforms>,
    /// Whether the result is a cut-out that shows what mattered to the class; if not given, of "maco".
    #[default]
    pub mask: Option<bool>,
    /// The seed of the noise and the transforms; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

/// The image that a class likes most, and what the network says of it.
#[derive(Clone, Debug)]
pub struct ClassImage {
    /// The image.
    pub image: Image,
    /// The probability that the network gives the class for the image: as it would be saved, in 8 bits, and brought to the
    /// network's size.
    pub probability: f64,
    /// The mean over pixels and colours of √(Δx² + Δy²), the differences to the pixels to the right and below.
    pub total_variation: f64,
    /// How it was made.
    pub words: String,
    /// Whether all steps were taken.
    pub ended: Ended,
}

/// The image that a class likes most, made from grey: what the network takes for the class.
///
/// Regularizers keep it from being noise, in one of four styles; with `compare`, the image stands beside one that was made
/// without, each with the probability that the network gives the class and its total variation. What is climbed is the class's
/// logit; where a rectifier stands behind it, as in SqueezeNet, what goes into that, so that a class whose logit is 0 has a way
/// up. If it is interrupted, the image so far is returned.
///
/// ```rhai
/// visualize_class("koala", style="yosinski", steps=4)
/// ```
///
/// ```rhai
/// visualize_class("koala", compare=true, size=64, steps=4)
/// ```
#[function(
    source = "Simonyan, Vedaldi and Zisserman, 2013, arXiv:1312.6034; Yosinski et al., 2015, arXiv:1506.06579; Olah, \
              Mordvintsev and Schubert, Distill 2017; Fel et al., MaCo, 2023, arXiv:2306.06805"
)]
pub fn visualize_class(
    job: &Job,
    /// The class, by name or number.
    class: &ClassName,
    #[options] options: &ClassImageOptions,
) -> Result<Dynamic> {
    let work = Work::new(job, class, options)?;
    if !options.compare {
        return Ok(work.made(job, true)?.image.into_value());
    }
    let regular = work.made(job, true)?;
    let mut images = vec![regular];
    if images.iter().all(|image| image.ended == Ended::Finished) {
        images.push(work.made(job, false)?);
    }
    Ok(work.panels(&images).into_value())
}

/// The image that a class likes most, with what the network says of it.
///
/// # Errors
/// There is no such class, an option is not of the style, the size is too small for the network, or the network's answers are
/// no classes. An interrupt is no error.
pub fn class_image(job: &Job, class: &ClassName, options: &ClassImageOptions) -> Result<ClassImage> {
    Work::new(job, class, options)?.made(job, true)
}

/// What is made, checked.
struct Work<'a> {
    options: &'a ClassImageOptions,
    model: Model,
    class: usize,
    goal: Goal,
    size: Size,
    /// The network's mean colour.
    mean: [f32; 3],
    steps: usize,
    seed: u64,
}

impl<'a> Work<'a> {
    fn new(job: &Job, class: &ClassName, options: &'a ClassImageOptions) -> Result<Self> {
        check_style(options)?;
        let model = Network { model: options.model.clone() }.get(job)?;
        model.recipe().check_picture()?;
        if model.answer().kind() == AnswerKind::Regression {
            let message = "visualize_class: the network is a regression, which has values and no classes";
            return Err(Error::new(Kind::Argument, message)
                .with_hint("visualize(class_score(0)) makes an image with a large first value")
                .at_argument("model"));
        }
        let number = class.resolve(&model)?;
        let score = ClassScore { class: class.clone(), measure: Measure::Score, model: Some(model.clone()) };
        let score = Goal::new(score);
        let goal = score.unrectified(&model)?.unwrap_or(score);
        let recipe = model.recipe();
        let size = options.size.unwrap_or(Size { width: recipe.width, height: recipe.height });
        let steps = options.steps.unwrap_or(match options.style {
            Style::Simonyan => 100,
            Style::Yosinski => 200,
            Style::Fourier | Style::Maco => 256,
        });
        let work = Self {
            options,
            class: number,
            goal,
            size,
            mean: mean_color(&model)?,
            steps,
            seed: job.seed(options.seed),
            model,
        };
        // what is too small is refused before anything is made
        work.plan(job, false)?;
        Ok(work)
    }

    /// Makes the image, with what keeps it from being noise or without.
    fn made(&self, job: &Job, regular: bool) -> Result<ClassImage> {
        let (plan, goal) = self.plan(job, regular)?;
        let ascent = Ascent::new(self.model.clone(), goal, self.param(regular)?, plan, self.seed);
        let masked = regular && self.options.mask.unwrap_or(self.options.style == Style::Maco);
        let mut ascent = if masked { ascent.with_importance()? } else { ascent };
        let progress = job.progress("visualize_class", ascent.left());
        let ended = ascent.climb(job, &progress)?;
        let image = Image::from_tensor(&ascent.image()?)?;
        let image = match ascent.importance() {
            Some(importance) => cut_out(&image, importance)?,
            None => image,
        };
        let words = if regular { self.options.style.words() } else { "with no regularizer" }.to_owned();
        let (probability, total_variation) = (self.probability(&image)?, variation(&image)?);
        Ok(ClassImage { image, probability, total_variation, words, ended })
    }

    fn param(&self, regular: bool) -> Result<Box<dyn Param>> {
        let Size { width, height } = self.size;
        Ok(match self.options.style {
            Style::Fourier if regular => Box::new(Fourier::noise(1, width, height, self.seed)?),
            Style::Maco if regular => {
                Box::new(Phase::noise(1, width, height, &photo_magnitudes(width, height)?, self.seed)?)
            }
            _ => {
                let mut random = ChaCha8Rng::seed_from_u64(self.seed);
                let noise: Vec<f32> = normal(&mut random).take(3 * width * height).map(|value| NOISE * value).collect();
                let noise = Tensor::from_vec(noise, (1, 3, height, width), &Device::Cpu)?;
                let mean = Tensor::from_slice(&self.mean, (1, 3, 1, 1), &Device::Cpu)?;
                Box::new(Pixels::new(&self.model.recipe().as_seen(&noise.broadcast_add(&mean)?)?)?)
            }
        })
    }

    fn plan(&self, job: &Job, regular: bool) -> Result<(Plan, Goal)> {
        let options = self.options;
        let mut goal = self.goal.clone();
        // an image without regularizers is made of pixels, whatever the style
        let pixels =
            || options.step_size.filter(|_| matches!(options.style, Style::Simonyan | Style::Yosinski)).unwrap_or(0.01);
        let mut transforms: Vec<Box<dyn Transform>> = Vec::new();
        let side = self.model.recipe().width.min(self.model.recipe().height);
        let optimizer: Box<dyn Optimizer> = match options.style {
            _ if !regular => Box::new(Normalized { step_size: pixels() }),
            Style::Simonyan => {
                let penalty = Goal::new(SquaredNorm { around: self.mean });
                goal = Goal::new(Sum::new(vec![(1.0, goal), (-options.l2.unwrap_or(0.02), penalty)]));
                Box::new(Normalized { step_size: pixels() })
            }
            Style::Yosinski => {
                transforms.push(Box::new(Jitter(options.jitter.unwrap_or(16))));
                Box::new(Regularized {
                    step_size: pixels(),
                    around: self.mean,
                    decay: options.decay.unwrap_or(0.01),
                    blur: options.blur.unwrap_or(0.6),
                    blur_every: options.blur_every.unwrap_or(4),
                    small_norm: options.small_norm.unwrap_or(0.2),
                    small_contribution: options.small_contribution.unwrap_or(0.0),
                    taken: 0,
                })
            }
            Style::Fourier => {
                transforms = options.transforms.as_ref().unwrap_or(&Transforms::Standard).make(side);
                let usual = self.model.visualization().step_size;
                Box::new(Adam::new(options.step_size.unwrap_or(usual)))
            }
            Style::Maco => {
                transforms = options.transforms.as_ref().unwrap_or(&Transforms::Maco).make(side);
                Box::new(Nadam::new(options.step_size.unwrap_or(1.0)))
            }
        };
        let Size { width, height } = self.size;
        let input = Image::filled(width, height, self.mean)?.tensor()?;
        let taps = goal.taps(job, &self.model, &self.model.recipe().to_input(&input)?)?;
        let transforms = fitting(transforms, &self.model, &taps, self.size)?;
        let plan = Plan {
            transforms: transforms.into(),
            optimizer,
            redirected: REDIRECTED,
            ..Plan::new(Normalized { step_size: 0.0 }, self.steps)
        };
        Ok((plan, goal))
    }

    /// The probability of the class for an image as it would be saved.
    fn probability(&self, image: &Image) -> Result<f64> {
        let input = self.model.input(&self.model.view(&saved(image)?)?)?;
        // what was made is measured, also of a job that was interrupted
        let output = self.model.forward(&input, &Interrupt::never())?;
        let all: Vec<f32> = self.model.answer().probabilities(&output)?.squeeze(0)?.to_vec1()?;
        Ok(all.get(self.class).map_or(0.0, |probability| f64::from(*probability)))
    }

    fn panels(&self, images: &[ClassImage]) -> Panels {
        let name = self.model.classes().name(self.class);
        let label = |made: &ClassImage| {
            let percent = percent(made.probability);
            format!("{}\n\"{name}\" {percent}, total variation {:.3}", capitalized(&made.words), made.total_variation)
        };
        let panels = images.iter().map(|made| Panel::new(made.image.clone(), label(made))).collect();
        let recipe = self.model.recipe();
        let mut caption = format!(
            "Percent: the probability that {} gives the class for the image as it would be saved, in 8 bits, at {}×{} pixels. Total \
             variation: the mean of √(Δx² + Δy²) over pixels and colours.",
            self.model.name(),
            recipe.width,
            recipe.height
        );
        if images.iter().any(|image| image.ended == Ended::Interrupted) {
            caption += " Interrupted: the last image is unfinished.";
        }
        Panels { caption: Some(caption), ..Panels::new(format!("The image that is most \"{name}\""), panels) }
    }
}

/// Refuses options of other styles.
fn check_style(options: &ClassImageOptions) -> Result<()> {
    let ClassImageOptions {
        style,
        l2,
        decay,
        blur,
        blur_every,
        small_norm,
        small_contribution,
        jitter,
        transforms,
        ..
    } = options;
    let given = [
        ("l2", l2.is_some(), &[Style::Simonyan][..]),
        ("decay", decay.is_some(), &[Style::Yosinski]),
        ("blur", blur.is_some(), &[Style::Yosinski]),
        ("blur_every", blur_every.is_some(), &[Style::Yosinski]),
        ("small_norm", small_norm.is_some(), &[Style::Yosinski]),
        ("small_contribution", small_contribution.is_some(), &[Style::Yosinski]),
        ("jitter", jitter.is_some(), &[Style::Yosinski]),
        ("transforms", transforms.is_some(), &[Style::Fourier, Style::Maco]),
    ];
    match given.into_iter().find(|(_, given, styles)| *given && !styles.contains(style)) {
        None => Ok(()),
        Some((name, _, styles)) => {
            let styles = styles.iter().map(|style| format!("style=\"{style}\"")).collect::<Vec<_>>().join(" and ");
            let message = format!("visualize_class: `{name}` is of {styles}, and the style is \"{style}\"");
            Err(Error::new(Kind::Argument, message).at_argument(name))
        }
    }
}

/// What a network's input of zeros is as a colour; middle grey if that is black.
fn mean_color(model: &Model) -> Result<[f32; 3]> {
    let zeros = Tensor::zeros((1, model.graph().input_channels(), 1, 1), DType::F32, &Device::Cpu)?;
    let color: Vec<f32> = model.recipe().from_input(&zeros)?.flatten_all()?.to_vec1()?;
    let color: [f32; 3] = std::array::from_fn(|channel| color.get(channel).copied().unwrap_or(0.0).clamp(0.0, 1.0));
    Ok(if color == [0.0; 3] { [0.5; 3] } else { color })
}

/// An image as it would be saved: in 8 bits, a cut-out on white.
fn saved(image: &Image) -> Result<Image> {
    let bytes = image.to_rgb8();
    let channel = |channel: usize| bytes.iter().skip(channel).step_by(3).map(|byte| f32::from(*byte) / 255.0);
    Image::from_planes(image.width(), image.height(), (0..3).flat_map(channel).collect(), None)
}

/// The total variation of an image, a cut-out on white.
fn variation(image: &Image) -> Result<f64> {
    let value: Vec<f32> = total_variation(&image.flatten(WHITE).tensor()?)?.to_vec1()?;
    Ok(value.first().map_or(0.0, |value| f64::from(*value)))
}

/// A probability in percent, which says 100 % only of what is that.
fn percent(probability: f64) -> String {
    match probability {
        0.9999.. => "over 99.99 %".to_owned(),
        0.99.. => format!("{:.2} %", (probability * 1e4).floor() / 100.0),
        _ => format!("{:.1} %", probability * 100.0),
    }
}

fn capitalized(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
