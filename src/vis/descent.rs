//! Gradient descent on images: a function of the pixels is made small, by L-BFGS within the colours that exist or by the
//! steps of an optimizer.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::rc::Rc;

use candle_core::{Device, Tensor};

use super::ascent::{Ended, picture};
use super::objective::{Goal, Objective};
use super::optimizer::{Bounds, Lbfgs, Optimizer};
use crate::error::{Error, Kind, Result};
use crate::job::{Job, Progress};
use crate::lang::Dynamic;
use crate::model::{Model, Rules};
use crate::tensor::{map, mean_abs, sum_of, with_values, zip};

/// The mean slope at the start that L-BFGS sees, whatever the function's unit: its first step is about that long.
const FIRST_SLOPE: f64 = 0.01;

/// What [`Lbfgs`] keeps for each number, in bytes.
const LBFGS_BYTES: usize = 30 * size_of::<f64>();

/// A function of an image, to be made small.
pub trait Loss {
    /// Its value and its gradient at an image `[1, 3, h, w]`, red, green and blue from 0 to 1. The same image always gets
    /// the same answer.
    ///
    /// # Errors
    /// It has no value there, or the run was interrupted.
    fn at(&self, job: &Job, image: &Tensor) -> Result<(f64, Tensor)>;
}

impl<F: Fn(&Job, &Tensor) -> Result<(f64, Tensor)>> Loss for F {
    fn at(&self, job: &Job, image: &Tensor) -> Result<(f64, Tensor)> {
        self(job, image)
    }
}

/// An objective of a network as a function of the image.
#[derive(Clone, Debug)]
pub struct GoalLoss {
    /// The network.
    pub model: Model,
    /// The objective, which is made small.
    pub goal: Goal,
}

impl Loss for GoalLoss {
    fn at(&self, job: &Job, image: &Tensor) -> Result<(f64, Tensor)> {
        value_and_gradient(job, &self.model, &*self.goal, image)
    }
}

/// The sum of an objective over images `[N, 3, h, w]`, red, green and blue from 0 to 1, and its gradient.
///
/// # Errors
/// The images are too small for the objective's layers, or the run was interrupted.
pub fn value_and_gradient(
    job: &Job,
    model: &Model,
    objective: &dyn Objective,
    images: &Tensor,
) -> Result<(f64, Tensor)> {
    let input = model.recipe().to_input(images)?;
    let taps = objective.taps(job, model, &input)?;
    let (activations, pullback) = model.pullback(&input, &taps, &Rules::default(), job.interrupt())?;
    let values = objective.values(job, model, &activations)?;
    let value = with_values(&values.detach(), |values| sum_of(values, f64::from))?;
    let above = objective.gradients(job, model, &activations)?;
    let gradient = model.recipe().as_seen(&model.recipe().to_rgb_gradient(&pullback.gradient(&above)?)?)?;
    Ok((value, gradient))
}

/// What makes an image descend a function, with everything it remembers from step to step: a descent that was interrupted
/// and goes on takes the same steps as one that was not, and so does a copy.
#[derive(Clone)]
pub struct Descent {
    loss: Rc<dyn Loss>,
    way: Way,
    /// Height and width.
    size: [usize; 2],
    steps: usize,
    taken: usize,
    /// No step leads lower.
    settled: bool,
    losses: Vec<f64>,
}

#[derive(Clone)]
enum Way {
    Lbfgs {
        minimizer: Box<Lbfgs>,
        /// What the function is multiplied by, once it was looked at.
        scale: Option<f64>,
    },
    Steps {
        image: Tensor,
        optimizer: Box<dyn Optimizer>,
        last_step: f64,
    },
}

impl Descent {
    /// A descent by L-BFGS whose pixels stay between 0 and 1, from an image `[1, 3, h, w]`.
    ///
    /// # Errors
    /// The image has another shape, or is not finite.
    pub fn by_lbfgs(loss: Rc<dyn Loss>, start: &Tensor, steps: usize) -> Result<Self> {
        let size = size_of_image(start)?;
        let point = with_values(start, |values| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>())?;
        let mut minimizer = Lbfgs::new(point, Bounds::All(0.0, 1.0))?;
        // it ends after its steps, or where the numbers of the function are not exact enough for a lower point
        minimizer.gradient_tolerance = 0.0;
        minimizer.decrease_tolerance = 0.0;
        let way = Way::Lbfgs { minimizer: Box::new(minimizer), scale: None };
        Ok(Self { loss, way, size, steps, taken: 0, settled: false, losses: Vec::new() })
    }

    /// A descent by the steps of an optimizer, which is shown the gradient downhill; what leaves 0 to 1 is clipped. The last
    /// step is multiplied by `last_step`, those before by something between that and 1.
    ///
    /// # Errors
    /// The image has another shape.
    pub fn by_steps(
        loss: Rc<dyn Loss>,
        start: &Tensor,
        steps: usize,
        optimizer: Box<dyn Optimizer>,
        last_step: f64,
    ) -> Result<Self> {
        let size = size_of_image(start)?;
        let way = Way::Steps { image: clip(start)?, optimizer, last_step };
        Ok(Self { loss, way, size, steps, taken: 0, settled: false, losses: Vec::new() })
    }

    /// The image so far, `[1, 3, h, w]`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn image(&self) -> Result<Tensor> {
        match &self.way {
            Way::Lbfgs { minimizer, .. } => tensor(minimizer.point(), self.size),
            Way::Steps { image, .. } => Ok(image.clone()),
        }
    }

    /// How many steps were taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// How many steps are left: none where no step leads lower.
    pub fn left(&self) -> usize {
        if self.settled { 0 } else { self.steps.saturating_sub(self.taken) }
    }

    /// The function's values at the start and after each step, as far as it was looked at there: an optimizer looks before
    /// its steps, so after the last one there is none.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// Takes the steps that are left, each reported with a picture of what there is so far.
    ///
    /// # Errors
    /// The function fails. An interrupt is no error: see [`Ended`].
    pub fn run(&mut self, job: &Job, progress: &Progress<'_>) -> Result<Ended> {
        match self.advance(job, progress) {
            Err(error) if error.kind() == Kind::Interrupted => Ok(Ended::Interrupted),
            outcome => outcome.map(|()| Ended::Finished),
        }
    }

    fn advance(&mut self, job: &Job, progress: &Progress<'_>) -> Result<()> {
        let left = self.left();
        let Self { loss, way, size, steps, taken, settled, losses } = self;
        match way {
            Way::Steps { image, optimizer, last_step } => {
                while *taken < *steps {
                    let done = *taken as f64 / steps.saturating_sub(1).max(1) as f64;
                    let rate = (1.0 + (*last_step - 1.0) * done) as f32;
                    let (value, gradient) = loss.at(job, image)?;
                    let moved = optimizer.step(image, &map(&gradient, |slope| -slope)?)?;
                    *image = zip(image, &moved, |from, to| (from + rate * (to - from)).clamp(0.0, 1.0))?;
                    losses.push(value);
                    *taken += 1;
                    let preview = || Ok(Dynamic::from(picture(image)?));
                    progress.advance_showing(1, &preview)?;
                }
            }
            Way::Lbfgs { minimizer, scale } => {
                let (factor, first) = (Cell::new(*scale), Cell::new(None));
                let mut at = |point: &[f64]| {
                    let (value, gradient) = loss.at(job, &tensor(point, *size)?)?;
                    if factor.get().is_none() {
                        let slope = mean_abs(&gradient)?;
                        factor.set(Some(if slope > 0.0 { FIRST_SLOPE / slope } else { 1.0 }));
                    }
                    if first.get().is_none() {
                        first.set(Some(value));
                    }
                    let factor = factor.get().unwrap_or(1.0);
                    let slopes = |values: &[f32]| values.iter().map(|slope| factor * f64::from(*slope)).collect();
                    Ok((factor * value, with_values(&gradient, slopes)?))
                };
                let known = |minimizer: &Lbfgs| minimizer.value().map(|value| value / factor.get().unwrap_or(1.0));
                if losses.is_empty() {
                    losses.extend(known(minimizer));
                }
                let outcome = minimizer.run(&mut at, left, &mut |minimizer| {
                    if losses.is_empty() {
                        losses.extend(first.get());
                    }
                    losses.extend(known(minimizer));
                    *taken += 1;
                    let preview = || Ok(Dynamic::from(picture(&tensor(minimizer.point(), *size)?)?));
                    progress.advance_showing(1, &preview)?;
                    Ok(ControlFlow::Continue(()))
                });
                *scale = factor.get();
                outcome?;
                if losses.is_empty() {
                    losses.extend(known(minimizer));
                }
                let rest = steps.saturating_sub(*taken);
                if !std::mem::replace(settled, true) && rest > 0 {
                    progress.advance(rest)?;
                }
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Descent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { size, steps, taken, .. } = self;
        f.debug_struct("Descent")
            .field("size", size)
            .field("steps", steps)
            .field("taken", taken)
            .finish_non_exhaustive()
    }
}

/// Refuses an image for which L-BFGS would need more memory than networks may use.
///
/// # Errors
/// It would.
pub fn check_lbfgs_memory(width: usize, height: usize) -> Result<()> {
    let needed = 3 * width * height * LBFGS_BYTES;
    let limit = crate::model::budget::memory();
    if needed <= limit {
        return Ok(());
    }
    let message = format!(
        "L-BFGS needs about {} MB for an image of {width}×{height} pixels, which is more than the memory limit of {} MB",
        needed >> 20,
        limit >> 20
    );
    Err(Error::new(Kind::Argument, message)
        .with_hint("optimizer=\"adam\" needs a tenth of that; memory_limit(…) sets the limit")
        .at_argument("optimizer"))
}

fn size_of_image(image: &Tensor) -> Result<[usize; 2]> {
    match *image.dims() {
        [1, 3, height, width] if height * width > 0 => Ok([height, width]),
        ref dims => Err(Error::new(Kind::Tensor, format!("a descent starts at one image [1, 3, h, w], not {dims:?}"))),
    }
}

fn clip(image: &Tensor) -> Result<Tensor> {
    map(image, |value| value.clamp(0.0, 1.0))
}

fn tensor(point: &[f64], [height, width]: [usize; 2]) -> Result<Tensor> {
    let values: Vec<f32> = point.iter().map(|value| *value as f32).collect();
    Ok(Tensor::from_vec(values, (1, 3, height, width), &Device::Cpu)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;
    use crate::job::Interrupt;
    use crate::model::LayerName;
    use crate::tensor::testing::{random, rng, values};
    use crate::vis::objective::FeatureDistance;
    use crate::vis::optimizer::Adam;

    /// (x − t)² · weight, pixel by pixel, for a target that lies partly outside the colours that exist.
    fn bowl(size: [usize; 2], unit: f64) -> (Tensor, Rc<dyn Loss>) {
        let shape = (1, 3, size[0], size[1]);
        let target = map(&random(&mut rng(1), shape), |value| 0.5 + 0.7 * value).unwrap();
        let weights = map(&random(&mut rng(2), shape), |value| 1.5 + value).unwrap();
        let goal = target.clone();
        let loss = move |_: &Job, image: &Tensor| {
            let away = zip(image, &goal, |x, t| x - t)?;
            let weighted = zip(&away, &weights, |away, weight| away * weight)?;
            let value: f64 =
                values(&away).iter().zip(values(&weighted)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum();
            Ok((unit * value, map(&weighted, |slope| (2.0 * unit) as f32 * slope)?))
        };
        (target, Rc::new(loss))
    }

    fn grey(size: [usize; 2]) -> Tensor {
        Tensor::full(0.5f32, (1, 3, size[0], size[1]), &Device::Cpu).unwrap()
    }

    fn run(descent: &mut Descent) -> Ended {
        let job = Job::detached();
        descent.run(&job, &job.progress("descent", descent.left())).unwrap()
    }

    #[test]
    fn the_lowest_colours_that_exist_are_found_whatever_the_unit() {
        for unit in [1e-6, 1.0, 1e6] {
            let (target, loss) = bowl([5, 7], unit);
            let mut descent = Descent::by_lbfgs(loss, &grey([5, 7]), 60).unwrap();
            assert_eq!(run(&mut descent), Ended::Finished);
            assert_eq!(descent.left(), 0);
            for (ours, target) in values(&descent.image().unwrap()).iter().zip(values(&target)) {
                assert!((ours - target.clamp(0.0, 1.0)).abs() < 1e-4, "{unit}: {ours} for {target}");
            }
            assert!(descent.losses().is_sorted_by(|a, b| a > b), "{:?}", descent.losses());
        }
        let (target, loss) = bowl([5, 7], 1.0);
        let adam = Box::new(Adam::new(0.05));
        let mut descent = Descent::by_steps(loss, &grey([5, 7]), 200, adam, 0.05).unwrap();
        run(&mut descent);
        for (ours, target) in values(&descent.image().unwrap()).iter().zip(values(&target)) {
            assert!((ours - target.clamp(0.0, 1.0)).abs() < 0.01, "{ours} for {target}");
        }
    }

    #[test]
    fn a_flat_function_leaves_the_image() {
        let flat = |_: &Job, image: &Tensor| Ok((3.0, image.zeros_like()?));
        let mut descent = Descent::by_lbfgs(Rc::new(flat), &grey([3, 3]), 5).unwrap();
        assert_eq!(run(&mut descent), Ended::Finished);
        assert_eq!((descent.left(), descent.losses()), (0, &[3.0][..]));
        assert_eq!(values(&descent.image().unwrap()), [0.5; 27]);
    }

    /// Interrupted at every look, an image is there, and the end is the same.
    #[test]
    fn stopped_anywhere_it_goes_on_as_if_it_had_not() {
        let size = [4, 6];
        let adam = |loss| Descent::by_steps(loss, &grey(size), 12, Box::new(Adam::new(0.05)), 0.1).unwrap();
        let lbfgs = |loss| Descent::by_lbfgs(loss, &grey(size), 12).unwrap();
        let ways: [&dyn Fn(Rc<dyn Loss>) -> Descent; 2] = [&adam, &lbfgs];
        for way in ways {
            let mut whole = way(bowl(size, 1.0).1);
            run(&mut whole);
            let truth = values(&whole.image().unwrap());
            for stop in [1, 2, 3, 5] {
                let (interrupt, looks) = (Interrupt::default(), Cell::new(0));
                let (_, bowl) = bowl(size, 1.0);
                let stopped = interrupt.clone();
                // each look that is the `stop`th since the last stop is refused
                let loss = move |job: &Job, image: &Tensor| {
                    looks.set(looks.get() + 1);
                    if looks.get() % (stop + 1) == 0 {
                        stopped.raise();
                    }
                    job.interrupt().check()?;
                    bowl.at(job, image)
                };
                let mut parts = way(Rc::new(loss));
                let mut stops = 0;
                loop {
                    interrupt.clear();
                    let job = Job::detached().with_interrupt(interrupt.clone());
                    if parts.run(&job, &job.progress("descent", parts.left())).unwrap() == Ended::Finished {
                        break;
                    }
                    stops += 1;
                    assert_eq!(parts.image().unwrap().dims(), [1, 3, 4, 6]);
                    // a step of L-BFGS that needs more looks than there are between two stops would never end
                    if stops > 60 {
                        break;
                    }
                }
                if stops <= 60 {
                    assert_eq!(values(&parts.image().unwrap()), truth, "stopped every {stop} looks");
                    assert_eq!(parts.losses(), whole.losses());
                }
                assert!(stops > 0 && (stops <= 60 || stop < 5));
            }
        }
    }

    #[test]
    fn an_objective_has_its_value_and_gradient() {
        let model = Model::embedded().unwrap();
        let [cat, china] = ["chelsea", "china"].map(|name| photo(name).unwrap().resize(48, 40).unwrap());
        let goal = Goal::new(FeatureDistance::new(china, Some(LayerName::from("fire2"))));
        let loss = GoalLoss { model: model.clone(), goal: goal.clone() };
        let (job, image) = (Job::detached(), cat.tensor().unwrap());
        let (value, gradient) = loss.at(&job, &image).unwrap();
        let alone = crate::vis::ascent::gradient(&job, &model, &*goal, &image).unwrap();
        assert_eq!(values(&gradient), values(&alone));
        // along the gradient the value changes as it says
        let step = 1e-4 / mean_abs(&gradient).unwrap();
        let moved = |sign: f64| zip(&image, &gradient, |x, g| x + (sign * step) as f32 * g).unwrap();
        let [low, high] = [-0.5, 0.5].map(|sign| loss.at(&job, &moved(sign)).unwrap().0);
        let square: f64 = values(&gradient).iter().map(|g| f64::from(*g).powi(2)).sum();
        assert!(value > 0.0 && ((high - low) / (step * square) - 1.0).abs() < 0.02, "{low} {value} {high}");
        let mut descent = Descent::by_lbfgs(Rc::new(loss), &image, 3).unwrap();
        run(&mut descent);
        assert!(descent.losses().last().unwrap() < &(0.7 * descent.losses()[0]), "{:?}", descent.losses());
    }

    #[test]
    fn images_of_other_shapes_and_too_much_memory_are_refused() {
        let flat: Rc<dyn Loss> = Rc::new(|_: &Job, image: &Tensor| Ok((0.0, image.zeros_like()?)));
        let two = Tensor::zeros((2, 3, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(Descent::by_lbfgs(flat, &two, 3).is_err());
        assert!(check_lbfgs_memory(256, 256).is_ok());
        let error = check_lbfgs_memory(8192, 8192).unwrap_err();
        assert_eq!(error.argument(), Some("optimizer"));
    }
}
