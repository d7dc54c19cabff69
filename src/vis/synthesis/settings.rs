//! The options of methods that make an image by gradient ascent, and the ascent that they mean.

use super::transforms::Transforms;
use crate::error::{Error, Kind, Result};
pub use crate::image::Size;
use crate::image::{Image, WHITE};
use crate::job::Job;
use crate::lang::{Options, choices};
use crate::model::{Model, NodeId};
use crate::vis::ascent::{Ascent, Plan};
use crate::vis::objective::Goal;
use crate::vis::optimizer::{Adam, Momentum, Nadam, Normalized, Optimizer};
use crate::vis::param::{Cppn, Fourier, Laplacian, Param, Phase, Pixels, Shared, photo_magnitudes};
use crate::vis::transform::{Fit, Transform};

/// How the image is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parametrization {
    /// Its waves, in decorrelated colours.
    Fourier,
    /// Its pixels.
    Pixels,
    /// A Laplacian pyramid, in decorrelated colours.
    Laplacian,
    /// The phases of its waves, whose magnitudes are those of photographs.
    Phase,
    /// A small network from places to colours.
    Cppn,
    /// Its waves, to which those that all images of a series have in common are added; only for series.
    Shared,
}

choices!(Parametrization {
    "fourier" => Fourier, "pixels" => Pixels, "laplacian" => Laplacian, "phase" => Phase, "cppn" => Cppn,
});

/// How an ascent steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stepping {
    /// Adam.
    Adam,
    /// Nadam.
    Nadam,
    /// Gradient ascent with momentum.
    Momentum,
    /// Steps of one mean size.
    Normalized,
}

choices!(Stepping { "adam" => Adam, "nadam" => Nadam, "momentum" => Momentum, "normalized" => Normalized });

/// How an image is made by gradient ascent.
#[derive(Clone, Debug, Options)]
pub struct AscentOptions {
    /// The size of the image: its side or [width, height], in pixels. If not given, what suits the network, or the size of
    /// `start`.
    #[default]
    pub size: Option<Size>,
    /// How many steps; if not given, as many as suit the network.
    #[default]
    #[range(1..=100000)]
    pub steps: Option<usize>,
    /// How the image is held: "fourier" (its waves in decorrelated colours, so that all scales grow alike), "laplacian" (a
    /// pyramid), "pixels", "phase" (only the phases of its waves; their magnitudes are those of photographs), or "cppn" (a
    /// small network from places to colours).
    #[default("fourier")]
    pub param: Parametrization,
    /// What is done to the image at random before each look: "standard", "crops", "maco", "none", or a list of maps.
    #[default("standard")]
    pub transforms: Transforms,
    /// How it steps: "adam", "nadam", "momentum" or "normalized".
    #[default("adam")]
    pub optimizer: Stepping,
    /// How far a step goes, in units of the parametrization; if not given, what suits it and the optimizer.
    #[default]
    #[range(0.0..)]
    pub step_size: Option<f64>,
    /// The image to start from; noise, if not given.
    #[default]
    pub start: Option<Image>,
    /// The seed of the noise and the transforms; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

/// A network that takes images larger by so many pixels takes any size above its least.
const OTHER: usize = 71;

/// Bands of a Laplacian parametrization.
const BANDS: usize = 5;

/// For so many steps a rectifier that blocks the gradient everywhere lets it pass (Lucid's number).
const REDIRECTED: usize = 16;

impl AscentOptions {
    /// The ascent of so many images that they mean.
    ///
    /// # Errors
    /// The objective does not fit the network, or the image is too small for it.
    pub fn ascent(&self, job: &Job, goal: &Goal, images: usize) -> Result<Ascent> {
        self.ascent_of(job, goal, |model, size, seed| self.param(model, size, images, seed))
    }

    /// The ascent of images that `make` holds, given the network, their size and the seed.
    ///
    /// # Errors
    /// As [`ascent`](Self::ascent), and `make` fails.
    pub(super) fn ascent_of(
        &self,
        job: &Job,
        goal: &Goal,
        make: impl FnOnce(&Model, Size, u64) -> Result<Box<dyn Param>>,
    ) -> Result<Ascent> {
        let model = goal.network(job, self.model.as_ref())?;
        model.recipe().check_picture()?;
        let usual = model.visualization();
        let size = self.size(&model, goal, job)?;
        let seed = job.seed(self.seed);
        let param = make(&model, size, seed)?;
        let rate = self.step_size.unwrap_or(match (self.param, self.optimizer) {
            (Parametrization::Phase, _) => 1.0,
            (Parametrization::Pixels, Stepping::Normalized) => 0.01,
            (Parametrization::Pixels, _) => 0.02,
            (Parametrization::Cppn, _) => 0.002,
            _ => usual.step_size,
        });
        let optimizer: Box<dyn Optimizer> = match self.optimizer {
            Stepping::Adam => Box::new(Adam::new(rate)),
            Stepping::Nadam => Box::new(Nadam::new(rate)),
            Stepping::Momentum => Box::new(Momentum::new(rate, 0.9)),
            Stepping::Normalized => Box::new(Normalized { step_size: rate }),
        };
        let taps = goal.taps(job, &model, &model.recipe().to_input(&param.image()?)?)?;
        let transforms = self.transforms.make(size.width.min(size.height));
        let transforms = fitting(transforms, &model, &taps, size)?;
        let plan = Plan {
            transforms: transforms.into(),
            optimizer,
            steps: self.steps.unwrap_or(usual.steps),
            last_step: 1.0,
            redirected: REDIRECTED,
            mask: None,
            tile: None,
        };
        Ok(Ascent::new(model, goal.clone(), param, plan, seed))
    }

    /// How many versions of an image the transforms show at once.
    pub fn versions(&self) -> usize {
        self.transforms.versions()
    }

    /// The size of the image: the one asked for, that of the start, or the network's usual one if the objective's layers
    /// can look at that.
    ///
    /// # Errors
    /// The objective does not fit the network.
    pub(super) fn size(&self, model: &Model, goal: &Goal, job: &Job) -> Result<Size> {
        if let Some(size) = self.size {
            size.check()?;
            return Ok(size);
        }
        if let Some(start) = &self.start {
            return Ok(Size { width: start.width(), height: start.height() });
        }
        let side = model.visualization().size;
        let (height, width) = (model.recipe().height, model.recipe().width);
        let input = model.recipe().to_input(&Image::filled(width, height, [0.5; 3])?.tensor()?)?;
        let taps = goal.taps(job, model, &input)?;
        let (least_height, least_width) = model.minimum_size(&taps)?;
        Ok(Size { width: side.max(least_width), height: side.max(least_height) })
    }

    /// So many images, noise or the start, as they are held.
    ///
    /// # Errors
    /// The start cannot be held so.
    pub(super) fn param(&self, model: &Model, size: Size, images: usize, seed: u64) -> Result<Box<dyn Param>> {
        let Size { width, height } = size;
        if let Some(start) = &self.start {
            let start = model.as_seen(&start.flatten(WHITE).resize(width, height)?)?.tensor()?;
            let start = start.repeat((images, 1, 1, 1))?;
            return Ok(match self.param {
                Parametrization::Fourier => Box::new(Fourier::from_image(&start)?),
                Parametrization::Pixels => Box::new(Pixels::new(&start)?),
                Parametrization::Laplacian => Box::new(Laplacian::from_image(&start, BANDS)?),
                Parametrization::Phase => Box::new(Phase::from_image(&start)?),
                Parametrization::Cppn | Parametrization::Shared => {
                    let message = "param=\"cppn\" cannot start from an image";
                    return Err(Error::new(Kind::Argument, message)
                        .with_hint("a small network knows no photo; leave out `start`")
                        .at_argument("start"));
                }
            });
        }
        Ok(match self.param {
            Parametrization::Fourier => Box::new(Fourier::noise(images, width, height, seed)?),
            Parametrization::Laplacian => Box::new(Laplacian::noise(images, width, height, BANDS, seed)?),
            Parametrization::Pixels => Box::new(Pixels::noise(images, width, height, seed)?),
            Parametrization::Phase => {
                Box::new(Phase::noise(images, width, height, &photo_magnitudes(width, height)?, seed)?)
            }
            Parametrization::Cppn => Box::new(Cppn::new(images, width, height, seed)?),
            Parametrization::Shared => Box::new(Shared::noise(images, width, height, seed)?),
        })
    }
}

/// Transforms of images of a size, after which the layers of an objective can look at what comes out: where they take one
/// size only, it is brought to that.
///
/// # Errors
/// The size is too small for the layers.
pub(super) fn fitting(
    mut transforms: Vec<Box<dyn Transform>>,
    model: &Model,
    taps: &[NodeId],
    size: Size,
) -> Result<Vec<Box<dyn Transform>>> {
    let (height, width) = (model.recipe().height, model.recipe().width);
    let is_fixed = model.check_size(taps, height + OTHER, width + OTHER).is_err();
    if is_fixed {
        transforms.push(Box::new(Fit { height, width }));
    } else {
        model.check_size(taps, size.height, size.width).map_err(|error| error.at_argument("size"))?;
    }
    Ok(transforms)
}
