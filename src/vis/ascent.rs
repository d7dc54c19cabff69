//! Gradient ascent on images: objective × parametrization × transforms × optimizer.

use std::collections::BTreeSet;
use std::rc::Rc;

use candle_core::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::objective::{Goal, Objective};
use super::optimizer::Optimizer;
use super::param::Param;
use super::tiles::tiled;
use super::transform::{Drawn, Transform};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::{Job, Progress};
use crate::lang::Dynamic;
use crate::model::{Model, NodeId, Rule, Rules};
use crate::tensor::{mean_abs, zip};

/// So many steps without any gradient end an ascent that has had none before.
const PATIENCE: usize = 32;

/// How a run of steps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All steps were taken.
    Finished,
    /// It was interrupted; taking the other steps goes on as if it had not been.
    Interrupted,
}

/// How an ascent goes.
#[derive(Clone)]
pub struct Plan {
    /// What is done to the image before each look, first to last.
    pub transforms: Rc<[Box<dyn Transform>]>,
    /// How it steps.
    pub optimizer: Box<dyn Optimizer>,
    /// How many steps are taken.
    pub steps: usize,
    /// What the last step is multiplied by; those before are between this and 1.
    pub last_step: f64,
    /// For so many steps, an image whose gradient is zero gets what rectifiers that block it everywhere let pass: see
    /// [`Rule::Redirected`].
    pub redirected: usize,
    /// Where the image may change, `[1, 1, h, w]` from 0 to 1.
    pub mask: Option<Tensor>,
    /// The gradient of a larger image is taken in squares of this side.
    pub tile: Option<usize>,
}

impl Plan {
    /// A plain ascent of so many steps.
    pub fn new(optimizer: impl Optimizer + 'static, steps: usize) -> Self {
        let optimizer = Box::new(optimizer);
        Self { transforms: Rc::new([]), optimizer, steps, last_step: 1.0, redirected: 0, mask: None, tile: None }
    }
}

/// What makes images climb an objective, with everything it remembers from step to step: an ascent that was interrupted and
/// goes on takes the same steps as one that was not.
#[derive(Clone)]
pub struct Ascent {
    model: Model,
    goal: Goal,
    param: Box<dyn Param>,
    plan: Plan,
    random: ChaCha8Rng,
    taken: usize,
    /// The last steps that had no gradient.
    idle: usize,
    /// Σ |∂L/∂image| over the steps so far, if it is wanted.
    importance: Option<Tensor>,
}

impl Ascent {
    /// An ascent whose transforms are drawn from random numbers that start with `seed`.
    pub fn new(model: Model, goal: Goal, param: Box<dyn Param>, plan: Plan, seed: u64) -> Self {
        Self { model, goal, param, plan, random: ChaCha8Rng::seed_from_u64(seed), taken: 0, idle: 0, importance: None }
    }

    /// The same ascent, which adds up how much each pixel mattered: see [`importance`](Self::importance).
    ///
    /// # Errors
    /// The images cannot be computed.
    pub fn with_importance(self) -> Result<Self> {
        let none = self.param.image()?.zeros_like()?;
        Ok(Self { importance: Some(none), ..self })
    }

    /// The sum over the steps so far of the magnitudes of the gradient for the images, `[N, 3, h, w]`, if it was asked for.
    pub fn importance(&self) -> Option<&Tensor> {
        self.importance.as_ref()
    }

    /// The images so far, `[N, 3, h, w]`, red, green and blue from 0 to 1.
    ///
    /// # Errors
    /// They cannot be computed.
    pub fn image(&self) -> Result<Tensor> {
        self.param.image()
    }

    /// What was climbed.
    pub fn goal(&self) -> &Goal {
        &self.goal
    }

    /// The network.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// How many steps were taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// How many steps are left.
    pub fn left(&self) -> usize {
        self.plan.steps.saturating_sub(self.taken)
    }

    /// Takes the steps that are left, each reported with a picture of what there is so far.
    ///
    /// # Errors
    /// The image is too small for the objective's layers, or nothing in it changes the objective. An interrupt is no error:
    /// see [`Ended`].
    pub fn climb(&mut self, job: &Job, progress: &Progress<'_>) -> Result<Ended> {
        while self.taken < self.plan.steps {
            match self.step(job) {
                Err(error) if error.kind() == Kind::Interrupted => return Ok(Ended::Interrupted),
                outcome => outcome?,
            }
            let preview = || Ok(Dynamic::from(picture(&self.param.image()?)?));
            match progress.advance_showing(1, &preview) {
                // nothing is left to go on with
                Err(error) if error.kind() == Kind::Interrupted && self.left() == 0 => {}
                Err(error) if error.kind() == Kind::Interrupted => return Ok(Ended::Interrupted),
                outcome => outcome?,
            }
        }
        Ok(Ended::Finished)
    }

    /// One step; if it fails, nothing has changed.
    fn step(&mut self, job: &Job) -> Result<()> {
        let mut random = self.random.clone();
        let progress = self.taken as f64 / self.plan.steps.saturating_sub(1).max(1) as f64;
        let drawn: Vec<Box<dyn Drawn>> =
            self.plan.transforms.iter().map(|transform| transform.draw(progress, &mut random)).collect();
        let image = drawn.iter().try_fold(self.param.image()?, |image, transform| transform.apply(&image))?;
        let gradient = tiled(&image, self.plan.tile, |part| gradient(job, &self.model, &*self.goal, part))?;
        let gradient = if self.taken < self.plan.redirected { self.revived(job, &image, gradient)? } else { gradient };
        // images may be large
        drop(image);
        let mut gradient = drawn.iter().rev().try_fold(gradient, |gradient, transform| transform.adjoint(&gradient))?;
        self.check_alive(&gradient)?;
        if let Some(mask) = &self.plan.mask {
            gradient = gradient.broadcast_mul(mask)?;
        }
        let mut values = self.plan.optimizer.step(self.param.values(), &self.param.gradient(&gradient)?)?;
        if let Some(mask) = self.plan.mask.as_ref().filter(|_| values.dims() == gradient.dims()) {
            // a step in bands goes beyond where the gradient is
            let from = self.param.values();
            values = (from + (values - from)?.broadcast_mul(mask)?)?;
        }
        let importance = match &self.importance {
            Some(sum) => Some(zip(sum, &gradient, |sum, slope| sum + slope.abs())?),
            None => None,
        };
        let rate = (1.0 + (self.plan.last_step - 1.0) * progress) as f32;
        self.param.set(if rate == 1.0 {
            values
        } else {
            zip(self.param.values(), &values, |from, to| from + rate * (to - from))?
        })?;
        self.random = random;
        self.importance = importance;
        self.taken += 1;
        Ok(())
    }

    /// The gradient, where it is zero for an image replaced by what passes once rectifiers that block it everywhere let it.
    fn revived(&self, job: &Job, image: &Tensor, gradient: Tensor) -> Result<Tensor> {
        let images = gradient.chunk(gradient.dim(0)?, 0)?;
        let is_dead =
            images.iter().map(|image| Ok(mean_abs(&image.contiguous()?)? == 0.0)).collect::<Result<Vec<_>>>()?;
        if !is_dead.contains(&true) {
            return Ok(gradient);
        }
        let rules = |taps: &[NodeId]| redirected(&self.model, taps);
        let look = |part: &Tensor| gradient_by(job, &self.model, &*self.goal, part, rules);
        let other = tiled(image, self.plan.tile, look)?;
        let images = images.into_iter().zip(other.chunk(other.dim(0)?, 0)?).zip(is_dead);
        let alive = images.map(|((plain, other), is_dead)| if is_dead { other } else { plain });
        Ok(Tensor::cat(&alive.collect::<Vec<_>>(), 0)?)
    }

    /// An objective that no pixel changes, from the first step on, makes no picture.
    fn check_alive(&mut self, gradient: &Tensor) -> Result<()> {
        self.idle = if mean_abs(gradient)? > 0.0 { 0 } else { self.idle + 1 };
        let patience = PATIENCE.min(self.plan.steps.saturating_sub(self.plan.redirected)).max(1);
        if self.idle < patience || self.idle < self.taken.saturating_sub(self.plan.redirected) {
            return Ok(());
        }
        let message =
            format!("no change of the image changes {}: its gradient is zero", self.goal.description(&self.model));
        Err(Error::new(Kind::Argument, message)
            .with_hint("start from a photo in which it is not zero (start=…), or look at a channel that is not dead"))
    }
}

impl std::fmt::Debug for Ascent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ascent").field("goal", &self.goal).field("taken", &self.taken).finish_non_exhaustive()
    }
}

/// Gradients that rectifiers would block everywhere pass them, if there are any before the layers that are read.
fn redirected(model: &Model, taps: &[NodeId]) -> Rules {
    let graph = model.graph();
    let mut read: BTreeSet<NodeId> = taps.iter().copied().collect();
    let mut has_rectifier = false;
    // a node reads earlier ones only
    for id in graph.ids().rev() {
        if read.contains(&id) {
            has_rectifier |= graph.node(id).op.is_rectifier();
            read.extend(&graph.node(id).inputs);
        }
    }
    if has_rectifier { Rule::Redirected.into() } else { Rules::default() }
}

/// Images `[N, 3, h, w]` side by side, as one picture.
///
/// # Errors
/// They are too large for one.
pub fn picture(images: &Tensor) -> Result<Image> {
    let all = (0..images.dim(0)?).map(|index| images.narrow(0, index, 1)).collect::<candle_core::Result<Vec<_>>>()?;
    Image::from_tensor(&Tensor::cat(&all, 3)?)
}

/// The gradient of the sum of an objective over images `[N, 3, h, w]`, red, green and blue from 0 to 1.
///
/// # Errors
/// The images are too small for the objective's layers, or the run was interrupted.
pub fn gradient(job: &Job, model: &Model, objective: &dyn Objective, image: &Tensor) -> Result<Tensor> {
    gradient_by(job, model, objective, image, |_| Rules::default())
}

/// The same by other rules, which a pass through these layers has.
fn gradient_by(
    job: &Job,
    model: &Model,
    objective: &dyn Objective,
    image: &Tensor,
    rules: impl FnOnce(&[NodeId]) -> Rules,
) -> Result<Tensor> {
    let input = model.recipe().to_input(image)?;
    let taps = objective.taps(job, model, &input)?;
    let (activations, pullback) = model.pullback(&input, &taps, &rules(&taps), job.interrupt())?;
    let above = objective.gradients(job, model, &activations)?;
    model.recipe().as_seen(&model.recipe().to_rgb_gradient(&pullback.gradient(&above)?)?)
}
