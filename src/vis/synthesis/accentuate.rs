//! Feature accentuation: what of a photograph a unit answers to, made stronger where it is.

use candle_core::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::importance::cut_out;
use super::settings::{Size, fitting};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::{Layer, LayerName, Model, NodeId, resolve_layer};
use crate::tensor::mean_abs;
use crate::vis::ascent::{Ascent, Plan, gradient};
use crate::vis::objective::{Goal, Objective};
use crate::vis::optimizer::Adam;
use crate::vis::param::{Beside, Fourier, Param};
use crate::vis::transform::{Crop, Noise, Transform};

/// For so many steps a rectifier that blocks the gradient everywhere lets it pass.
const REDIRECTED: usize = 16;

/// How a photograph is accentuated.
#[derive(Clone, Debug, Options)]
pub struct AccentuateOptions {
    /// How many steps.
    #[default(100)]
    #[range(1..=100000)]
    pub steps: usize,
    /// How far a step of Adam goes, in units of the image's waves.
    #[default(0.05)]
    #[range(0.0..)]
    pub step_size: f64,
    /// The layer in which the image should stay near the photograph; if not given, one in the middle of the network.
    #[default]
    pub layer: Option<LayerName>,
    /// How much staying near the photograph counts, in times of what the objective does at the start; 0 leaves it out.
    #[default(1.0)]
    #[range(0.0..)]
    pub regularization: f64,
    /// How many boxes of the image the network looks at in each step, each at the network's own size.
    #[default(16)]
    #[range(1..=256)]
    pub crops: usize,
    /// The sides of the smallest and the largest box, as shares of the image's shorter side.
    #[default([0.05, 0.99])]
    pub boxes: Vec<f64>,
    /// The standard deviation of the noise that is added to each look.
    #[default(0.02)]
    #[range(0.0..=1.0)]
    pub noise: f64,
    /// Whether the result is a cut-out that shows what mattered to the objective.
    #[default(false)]
    pub mask: bool,
    /// The seed of the boxes and the noise; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

/// A photograph in which what an objective answers to is stronger, and the rest much as it was: it shows what of the
/// photograph the objective is about.
///
/// An ascent in the image's waves that begins at the photograph, looks at boxes of it, and keeps its activations in one layer
/// near those of the photograph: their distance counts as much at the start as the objective does, times `regularization`.
/// With `mask`, pixels are the more opaque the more they mattered to the ascent. If it is interrupted, the image so far is
/// returned.
///
/// ```rhai
/// accentuate(photo("chelsea").resize(96, 64), class_score("tiger cat"), steps=2, crops=2)
/// ```
#[function(
    source = "Hamblin et al., Feature Accentuation: Revealing 'What' Features Respond to in Natural Images, 2024, \
              arXiv:2402.10039; chrishamblin7/faccent"
)]
pub fn accentuate(
    job: &Job,
    /// The photograph.
    image: &Image,
    /// What is made stronger: an objective such as `class_score("koala")` or `channel("fire6", 3)`.
    objective: &Goal,
    #[options] options: &AccentuateOptions,
) -> Result<Image> {
    let mut ascent = ascent(job, image, objective, options)?;
    let progress = job.progress("accentuate", ascent.left());
    ascent.climb(job, &progress)?;
    let made = Image::from_tensor(&ascent.image()?.narrow(0, 0, 1)?)?;
    match ascent.importance() {
        Some(importance) => cut_out(&made, importance),
        None => Ok(made),
    }
}

fn ascent(job: &Job, image: &Image, objective: &Goal, options: &AccentuateOptions) -> Result<Ascent> {
    let (least, most) = match options.boxes[..] {
        [least, most] if least > 0.0 && least <= most && most <= 1.0 => (least, most),
        _ => {
            let message =
                "accentuate: `boxes` are the sides of the smallest and the largest box, shares above 0 and up to 1";
            return Err(Error::new(Kind::Argument, message).with_hint("for example [0.05, 0.99]").at_argument("boxes"));
        }
    };
    let model = objective.network(job, options.model.as_ref())?;
    model.recipe().check_picture()?;
    let layer = resolve_layer(job, options.layer.as_ref(), Some(&model), Model::default_middle_layer)?;
    let goal = objective.unrectified(&model)?.unwrap_or_else(|| objective.clone());
    let photo = model.as_seen(&image.flatten(WHITE))?.tensor()?;
    let (width, height) = (model.recipe().width, model.recipe().height);
    let size = Size { width, height };
    let accented = Accented { goal, layer, weights: [1.0, 0.0] };
    let taps = accented.taps(job, &model, &model.recipe().to_input(&photo)?)?;
    let side = width.min(height);
    let crop = Crop { least, most, shrinks: false, spread: None, size: side, count: options.crops };
    let looks: Vec<Box<dyn Transform>> = vec![Box::new(crop), Box::new(Noise { deviation: options.noise as f32 })];
    let transforms = fitting(looks, &model, &taps, size)?;

    let seed = job.seed(options.seed);
    let param = Fourier::from_image(&photo)?;
    let both = Tensor::cat(&[&photo, &photo], 0)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let drawn: Vec<_> = transforms.iter().map(|transform| transform.draw(0.0, &mut random)).collect();
    let seen = drawn.iter().try_fold(both, |image, transform| transform.apply(&image))?;
    // at the photograph itself the distance has no slope; the noise is what gives it one
    let slope = |weights: [f64; 2]| -> Result<f64> {
        let objective = Accented { weights, ..accented.clone() };
        let slopes = gradient(job, &model, &objective, &seen)?;
        let slopes = drawn.iter().rev().try_fold(slopes, |slopes, transform| transform.adjoint(&slopes))?;
        mean_abs(&param.gradient(&slopes.narrow(0, 0, 1)?.contiguous()?)?)
    };
    let weight = match options.regularization {
        0.0 => 0.0,
        share => {
            let distance = slope([0.0, 1.0])?;
            if distance > 0.0 { share * slope([1.0, 0.0])? / distance } else { 0.0 }
        }
    };
    let goal = Goal::new(Accented { weights: [1.0, -weight], ..accented });
    let plan = Plan {
        transforms: transforms.into(),
        redirected: REDIRECTED,
        ..Plan::new(Adam::new(options.step_size), options.steps)
    };
    let ascent = Ascent::new(model, goal, Box::new(Beside::new(Box::new(param), photo)), plan, seed);
    if options.mask { ascent.with_importance() } else { Ok(ascent) }
}

/// Of images and photographs that take turns, `[image, photograph, image, photograph, …]`: a weight times the objective of the
/// image, and another times the distance ‖Φ − Φ₀‖₂ between its activations in a layer and those of the photograph behind it.
/// The numbers of photographs are 0.
#[derive(Clone, Debug)]
struct Accented {
    goal: Goal,
    layer: Layer,
    weights: [f64; 2],
}

impl Objective for Accented {
    fn model(&self) -> Option<&Model> {
        Some(self.layer.model())
    }

    fn taps(&self, job: &Job, model: &Model, input: &Tensor) -> Result<Vec<NodeId>> {
        Ok([self.goal.taps(job, model, input)?, vec![self.layer.id()]].concat())
    }

    fn reads(&self) -> usize {
        self.goal.reads() + 1
    }

    fn values(&self, job: &Job, model: &Model, activations: &[Tensor]) -> Result<Tensor> {
        let Some((layer, read)) = activations.split_last() else {
            return Err(Error::new(Kind::Internal, "an accentuation lacks its activations"));
        };
        let images = read.iter().map(|layer| turn(layer, 0)).collect::<Result<Vec<_>>>()?;
        let value = (self.goal.values(job, model, &images)? * self.weights[0])?;
        let difference = (turn(layer, 0)? - turn(layer, 1)?)?.flatten_from(1)?;
        let distance = ((difference.sqr()?.sum(1)? + 1e-12)?.sqrt()? * self.weights[1])?;
        let sum = (value + distance)?;
        let pairs = Tensor::stack(&[&sum, &sum.zeros_like()?], 1)?;
        Ok(pairs.flatten_all()?)
    }

    fn description(&self, model: &Model) -> String {
        self.goal.description(model)
    }
}

/// The first or the second of each pair of a batch.
fn turn(layer: &Tensor, which: usize) -> Result<Tensor> {
    let images = layer.dim(0)?;
    let shape = [&[images / 2, 2], layer.dims().get(1..).unwrap_or_default()].concat();
    Ok(layer.reshape(shape)?.narrow(1, which, 1)?.squeeze(1)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;
    use crate::job::Interrupt;
    use crate::tensor::testing::{random, rng, values};
    use crate::vis::objective::{Channel, ClassScore};

    fn channel() -> Goal {
        Goal::new(Channel { layer: "fire2".into(), channel: 5 })
    }

    #[test]
    fn the_objective_is_about_images_and_their_distance() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let layer = model.layer("fire2").unwrap();
        let images = ((random(&mut rng(1), (4, 3, 40, 40)) * 0.4).unwrap() + 0.5).unwrap();
        let input = model.recipe().to_input(&images).unwrap();
        let run = |goal: &dyn Objective| {
            let taps = goal.taps(&job, &model, &input).unwrap();
            let activations = model.run(&input, &taps, &Default::default(), &Interrupt::never()).unwrap();
            values(&goal.values(&job, &model, &activations).unwrap())
        };
        let alone = run(&*channel());
        let goal = Accented { goal: channel(), layer: layer.clone(), weights: [1.0, 0.0] };
        let ours = run(&goal);
        for (ours, truth) in ours.iter().zip([alone[0], 0.0, alone[2], 0.0]) {
            assert!((ours - truth).abs() < 1e-4 * truth.abs().max(1.0));
        }
        let activations = layer.activations(&input, &Interrupt::never()).unwrap();
        let of = |image: usize| values(&activations.narrow(0, image, 1).unwrap());
        let distance = of(2).iter().zip(of(3)).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        let ours = run(&Accented { weights: [0.0, 1.0], ..goal })[2];
        assert!((ours - distance).abs() < 1e-3 * distance);
    }

    /// What it was made for answers more, and the more the distance counts the less the image changes.
    #[test]
    fn a_photograph_is_changed_toward_the_objective() {
        let (job, model) = (Job::detached(), Model::embedded().unwrap());
        let cat = photo("chelsea").unwrap().cover(96, 64).unwrap();
        let goal = Goal::new(ClassScore::of(292));
        let made = |regularization: f64, mask: bool| {
            let options = AccentuateOptions {
                steps: 8,
                crops: 3,
                boxes: vec![0.6, 0.99],
                regularization,
                mask,
                seed: Some(1),
                ..AccentuateOptions::default()
            };
            accentuate(&job, &cat, &goal, &options).unwrap()
        };
        let score = |image: &Image| {
            let output =
                model.forward(&model.input(&model.view(image).unwrap()).unwrap(), &Interrupt::never()).unwrap();
            values(&output)[292]
        };
        let change = |image: &Image| -> f32 {
            image.planes().iter().zip(cat.planes()).map(|(a, b)| (a - b).abs()).sum::<f32>()
                / image.planes().len() as f32
        };
        let free = made(0.0, false);
        assert_eq!((free.width(), free.height()), (96, 64));
        assert!(score(&free) > score(&cat) + 1.0, "{} {}", score(&free), score(&cat));
        assert_eq!(free, made(0.0, false));
        let bound = made(30.0, true);
        assert!(change(&bound) < change(&free), "{} {}", change(&bound), change(&free));
        let alpha = bound.alpha().unwrap();
        assert!(alpha.iter().any(|alpha| *alpha < 0.5) && alpha.iter().any(|alpha| *alpha > 0.8));
    }
}
