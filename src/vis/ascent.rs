//! Gradient ascent on an image: objective × parametrization × transforms × optimizer.

use candle_core::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::objective::Objective;
use super::optimizer::Optimizer;
use super::param::Param;
use super::transform::{Drawn, Transform};
use crate::error::{Kind, Result};
use crate::image::Image;
use crate::job::{Job, Progress};
use crate::lang::Dynamic;
use crate::model::{Model, Rules};

/// How a run of steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps were taken.
    Finished,
    /// It was interrupted after so many steps; taking the others goes on as if it had not been.
    Interrupted {
        /// Steps taken.
        steps: usize,
    },
}

/// What makes an image climb an objective, with everything it remembers from step to step: an ascent that was interrupted
/// and goes on takes the same steps as one that was not.
pub struct Ascent<'a> {
    model: Model,
    objective: &'a dyn Objective,
    transforms: Vec<Box<dyn Transform>>,
    optimizer: Box<dyn Optimizer>,
    random: ChaCha8Rng,
}

impl<'a> Ascent<'a> {
    /// An ascent whose transforms are drawn from random numbers that start with `seed`.
    pub fn new(
        model: Model,
        objective: &'a dyn Objective,
        transforms: Vec<Box<dyn Transform>>,
        optimizer: Box<dyn Optimizer>,
        seed: u64,
    ) -> Self {
        Self { model, objective, transforms, optimizer, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Passes over the random numbers of `steps` steps that were taken before.
    pub fn skip(&mut self, steps: usize) {
        for _ in 0..steps {
            self.transforms.iter().for_each(|transform| drop(transform.draw(&mut self.random)));
        }
    }

    /// Takes `steps` steps, each reported with a picture of the image so far.
    ///
    /// # Errors
    /// The image is too small for the objective's layers. An interrupt is no error: see [`Ended`].
    pub fn climb(&mut self, job: &Job, progress: &Progress<'_>, param: &mut dyn Param, steps: usize) -> Result<Ended> {
        for done in 0..steps {
            match self.step(job, param) {
                Err(error) if error.kind() == Kind::Interrupted => return Ok(Ended::Interrupted { steps: done }),
                outcome => outcome?,
            }
            let preview = || Ok(Dynamic::from(Image::from_tensor(&param.image()?)?));
            match progress.advance_showing(1, &preview) {
                Err(error) if error.kind() == Kind::Interrupted => return Ok(Ended::Interrupted { steps: done + 1 }),
                outcome => outcome?,
            }
        }
        Ok(Ended::Finished)
    }

    /// One step; if it fails, nothing has changed.
    fn step(&mut self, job: &Job, param: &mut dyn Param) -> Result<()> {
        let mut random = self.random.clone();
        let drawn: Vec<Box<dyn Drawn>> = self.transforms.iter().map(|transform| transform.draw(&mut random)).collect();
        let image = drawn.iter().try_fold(param.image()?, |image, transform| transform.apply(&image))?;
        let gradient = gradient(job, &self.model, self.objective, &image)?;
        let gradient = drawn.iter().rev().try_fold(gradient, |gradient, transform| transform.adjoint(&gradient))?;
        let values = self.optimizer.step(param.values(), &param.gradient(&gradient)?)?;
        param.set(values)?;
        self.random = random;
        Ok(())
    }
}

/// The gradient of an objective for an image `[1, 3, h, w]`, red, green and blue from 0 to 1.
///
/// # Errors
/// The image is too small for the objective's layers, or the run was interrupted.
pub fn gradient(job: &Job, model: &Model, objective: &dyn Objective, image: &Tensor) -> Result<Tensor> {
    let input = model.recipe().to_input(image)?;
    let taps = objective.taps(job, model, &input)?;
    let (activations, pullback) = model.pullback(&input, &taps, &Rules::default(), job.interrupt())?;
    let above = objective.gradients(job, model, &activations)?;
    model.recipe().as_seen(&model.recipe().to_rgb_gradient(&pullback.gradient(&above)?)?)
}
