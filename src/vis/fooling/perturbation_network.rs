//! A network that is trained to change images such that another one takes them for something else.

use std::fmt;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::ball::{Ball, Norm};
use super::crowd::{Crowd, judge, or_interrupted};
use super::fooled::Fooled;
use super::lens::Lens;
use super::victim::{Aim, Aimed, Victim};
use crate::error::Result;
use crate::image::Image;
use crate::job::{Interrupt, Job};
use crate::lang::{Dynamic, Options, Provenance, function, value_type};
use crate::model::{Answer, AnswerKind, Builder, Channels, Classes, Conv2d, InputRecipe, Model, Op, Weights};
use crate::tensor::{Activation, Conv2dParams, TensorValue};
use crate::train::with_weights;

/// What the results are called.
const METHOD: &str = "Perturbation network";

/// How the network is made and trained.
#[derive(Clone, Debug, Options)]
pub struct PerturbationNetworkOptions {
    /// The largest change of a value, in units of pixels from 0 to 1, at least one of 255 levels.
    #[default(16.0 / 255.0)]
    pub epsilon: f64,
    /// How many steps of the training.
    #[default(200)]
    #[range(1..=1000000)]
    pub steps: usize,
    /// Images of one step.
    #[default(4)]
    #[range(1..=1000)]
    pub batch: usize,
    /// The learning rate of Adam at first; it falls to zero along half a cosine.
    #[default(0.01)]
    #[range(0.0000001..=1.0)]
    pub learning_rate: f64,
    /// Channels of the two hidden layers.
    #[default(16)]
    #[range(1..=512)]
    pub channels: usize,
    /// The seed of the weights and of the order of images; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// A network from images to perturbations.
#[derive(Clone, Debug)]
pub struct PerturbationNetwork {
    /// The network that is fooled.
    pub model: Model,
    /// The class that images are to be taken for; any other than their own if not given.
    pub target: Option<usize>,
    /// The largest change of a value.
    pub epsilon: f64,
    /// The network that was trained: an image in, from -1 to 1 for each value out.
    pub network: Model,
    /// The share of images that fooled the network, at each step.
    pub rates: Arc<[f64]>,
    /// What becomes of the images; none if it was interrupted.
    pub results: Arc<[Fooled]>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    PerturbationNetwork,
    "perturbation network",
    "a perturbation network",
    "A small network that changes images such that another one takes them for something else; `apply` uses it.",
    provenance
);

/// Trains a small network that modifies images: an image goes in, a perturbation comes out, and the network that is
/// fooled takes their sum for the target, or without one for something else. Once it is trained, one pass of it changes
/// any image: `.apply(img)`.
///
/// It has three convolutions of 3×3 with ReLU between them and a hyperbolic tangent at the end, times `epsilon`. The
/// network that is fooled stays as it is; its gradient at the pixels is what the small one learns from. It always looks
/// at images rounded to 8 bits.
///
/// Interrupted, it is the network so far, and what it does to the images is not measured.
///
/// ```rhai
/// let images = [photo("chelsea"), photo("coffee")];
/// perturbation_network(images, steps=2, batch=2, channels=4, seed=1).apply(photo("rocket"))
/// ```
#[function(
    source = "Baluja and Fischer, Adversarial Transformation Networks, 2017, arXiv:1703.09387; Poursaeed et al., \
              Generative Adversarial Perturbations, 2017, arXiv:1712.02328"
)]
pub fn perturbation_network(
    job: &Job,
    /// The images, a list.
    images: Vec<Image>,
    #[options] options: &PerturbationNetworkOptions,
    #[options] aim: &Aim,
) -> Result<PerturbationNetwork> {
    let (aimed, ball) = (aim.check(job)?, Ball::new(Norm::LInf, options.epsilon)?);
    let seed = job.seed(options.seed);
    let crowd = Crowd::new(job, aimed, &images)?;
    let mut trained = untrained(&crowd.lens, options.channels, seed)?;
    let mut rates = Vec::new();
    let results = train(job, &crowd, &ball, options, seed, &mut trained, &mut rates);
    let results =
        results.and_then(|()| crowd.judge(job, METHOD, |victim| changed(job.interrupt(), &trained, &ball, victim)));
    Ok(PerturbationNetwork {
        model: crowd.lens.model.clone(),
        target: crowd.aimed.target,
        epsilon: ball.epsilon,
        results: or_interrupted(results)?.into(),
        rates: rates.into(),
        network: trained,
        provenance: None,
    })
}

/// A network for images of a size, with random weights.
fn untrained(lens: &Lens, channels: usize, seed: u64) -> Result<Model> {
    let (mut graph, mut x) = Builder::new(3);
    for (number, in_channels, out_channels) in [(1, 3, channels), (2, channels, channels), (3, channels, 3)] {
        let layer = format!("conv{number}");
        let conv = Conv2d {
            in_channels,
            out_channels,
            kernel: [3; 2],
            params: Conv2dParams::new(1, 1),
            weight: format!("{layer}.weight"),
            bias: Some(format!("{layer}.bias")),
        };
        x = graph.add(&layer, &[], Op::Conv2d(conv), &[x]);
        let (name, function) = if number < 3 {
            (format!("relu{number}"), Op::RELU)
        } else {
            ("tanh".into(), Op::Activation(Activation::Tanh))
        };
        x = graph.add(&name, &[], function, &[x]);
    }
    let graph = graph.finish()?;
    let weights = Weights::random(&graph, seed)?;
    let names = Classes::from_names(["red", "green", "blue"].map(str::to_owned).to_vec());
    let answer = Answer::new(AnswerKind::Regression, Some(names), 3)?;
    let plain = InputRecipe::plain(Channels::Rgb, lens.height, lens.width);
    let recipe = InputRecipe { mean: vec![0.5; 3], std: vec![0.25; 3], ..plain };
    Model::new("perturbation", graph, weights, answer, recipe)
}

/// What the network makes of images `[N, 3, h, w]`, from -1 to 1, on the tape if its weights are: of grey ones, grey.
fn directions(interrupt: &Interrupt, network: &Model, lens: &Lens, images: &Tensor) -> Result<Tensor> {
    let output = network.forward(&network.recipe().to_input(images)?, interrupt)?;
    if lens.colours() == 3 {
        return Ok(output);
    }
    let shape = output.shape().clone();
    Ok(output.mean_keepdim(1)?.broadcast_as(shape)?)
}

/// Pixels as images `[N, 3, h, w]`.
fn images_of(lens: &Lens, pixels: Vec<f32>) -> Result<Tensor> {
    let count = pixels.len() / lens.length().max(1);
    Ok(Tensor::from_vec(pixels, (count, 3, lens.height, lens.width), &Device::Cpu)?)
}

/// An image as the network changes it, of 8 bits.
fn changed(interrupt: &Interrupt, network: &Model, ball: &Ball, victim: &Victim) -> Result<Vec<f32>> {
    let images = images_of(&victim.lens, victim.pixels().to_vec())?;
    let scaled = (directions(interrupt, network, &victim.lens, &images)? * ball.epsilon)?;
    let delta: Vec<f32> = scaled.flatten_all()?.to_vec1()?;
    Ok(ball.rounded(victim.pixels(), &delta))
}

/// Trains the network; what it was at the last step is kept in `trained`, whatever ends the training.
fn train(
    job: &Job,
    crowd: &Crowd,
    ball: &Ball,
    options: &PerturbationNetworkOptions,
    seed: u64,
    trained: &mut Model,
    rates: &mut Vec<f64>,
) -> Result<()> {
    let lens = &crowd.lens;
    let variables = trained.weights().iter().map(|(name, tensor)| Ok((name.to_owned(), Var::from_tensor(tensor)?)));
    let variables: Vec<(String, Var)> = variables.collect::<Result<_>>()?;
    let learning = with_weights(trained, variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())))?;
    let parameters = ParamsAdamW { lr: options.learning_rate, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut adam = AdamW::new(variables.iter().map(|(_, var)| var.clone()).collect(), parameters)?;
    let progress = job.progress("perturbation network", options.steps);
    let mut draw = Draw::new(crowd.victims.len(), seed);
    let mut steps = || -> Result<()> {
        for step in 0..options.steps {
            let part = step as f64 / options.steps as f64;
            adam.set_learning_rate(0.5 * options.learning_rate * (1.0 + (std::f64::consts::PI * part).cos()));
            let chosen = draw.next(options.batch);
            let originals: Vec<f32> = chosen
                .iter()
                .filter_map(|index| crowd.victims.get(*index))
                .flat_map(|victim| victim.pixels().iter().copied())
                .collect();
            let images = images_of(lens, originals.clone())?;
            let output = directions(job.interrupt(), &learning, lens, &images)?;
            let delta: Vec<f32> = (output.detach() * ball.epsilon)?.flatten_all()?.to_vec1()?;
            let looked = crowd.look(job.interrupt(), &chosen, ball.rounded(&originals, &delta))?;
            rates.push(looked.rate);
            // what would leave the colours changes nothing
            let within = |((slope, pixel), change): ((&f32, &f32), &f32)| {
                if (0.0..=1.0).contains(&(pixel + change)) { *slope } else { 0.0 }
            };
            let gradient: Vec<f32> = looked.gradients.iter().zip(&originals).zip(&delta).map(within).collect();
            // a loss with that gradient at the perturbation: the network that is fooled stands outside of the tape
            let scale = -ball.epsilon / chosen.len() as f64;
            let loss = ((output * images_of(lens, gradient)?)?.sum_all()? * scale)?;
            adam.backward_step(&loss)?;
            progress.advance_showing(1, &|| preview(crowd, ball, &originals, &delta))?;
        }
        Ok(())
    };
    let outcome = steps();
    let weights = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().detach()));
    *trained = with_weights(trained, weights)?;
    outcome
}

/// The first image of a batch, changed.
fn preview(crowd: &Crowd, ball: &Ball, originals: &[f32], delta: &[f32]) -> Result<Dynamic> {
    let length = crowd.lens.length();
    let first = |pixels: &[f32]| pixels.iter().take(length).copied().collect::<Vec<f32>>();
    let pixels = ball.rounded(&first(originals), &first(delta));
    Ok(Dynamic::from(Image::from_planes(crowd.lens.width, crowd.lens.height, pixels, None)?))
}

/// Draws images without putting them back until all were drawn.
struct Draw {
    order: Vec<usize>,
    place: usize,
    random: ChaCha8Rng,
}

impl Draw {
    fn new(count: usize, seed: u64) -> Self {
        Self { order: (0..count).collect(), place: count, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Up to `batch` of those that are left.
    fn next(&mut self, batch: usize) -> Vec<usize> {
        if self.place >= self.order.len() {
            self.order.shuffle(&mut self.random);
            self.place = 0;
        }
        let chosen: Vec<usize> = self.order.iter().skip(self.place).take(batch).copied().collect();
        self.place += chosen.len();
        chosen
    }
}

impl PerturbationNetwork {
    /// What it does to an image.
    ///
    /// # Errors
    /// The image cannot be brought to the network's size, or the run was interrupted.
    pub fn apply(&self, job: &Job, image: &Image) -> Result<Fooled> {
        let aimed = Aimed { model: self.model.clone(), target: self.target };
        let victim = Victim::new(job.interrupt(), &aimed, image)?;
        let ball = Ball::new(Norm::LInf, self.epsilon)?;
        judge(&victim, METHOD, &changed(job.interrupt(), &self.network, &ball, &victim)?)
    }

    /// The share of its images that fooled the network over the last tenth of the steps.
    pub fn rate(&self) -> f64 {
        let last = self.rates.len().div_ceil(10);
        self.rates.iter().rev().take(last).sum::<f64>() / last.max(1) as f64
    }
}

impl fmt::Display for PerturbationNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aim = self.target.map_or_else(|| "another class".to_owned(), |class| self.model.classes().name(class));
        let (parameters, steps) = (self.network.weights().count(), self.rates.len());
        let percent = 100.0 * self.rate();
        write!(
            f,
            "perturbation network of {parameters} parameters, at most {:.4} each value: {percent:.0} % of the images \
             become {aim}, after {steps} steps",
            self.epsilon
        )
    }
}

/// Changes an image by a perturbation network, and says what the network that it was trained against makes of it.
///
/// ```rhai
/// let changer = perturbation_network([photo("coffee")], steps=1, channels=4, seed=1);
/// changer.apply(photo("chelsea"))
/// ```
#[function(source = "as for `perturbation_network`")]
fn apply(
    job: &Job,
    /// The perturbation network.
    network: &PerturbationNetwork,
    /// The image.
    #[each]
    image: &Image,
) -> Result<Fooled> {
    network.apply(job, image)
}

/// The small network itself, a model: an image in, a number from -1 to 1 for each of its values out.
///
/// ```rhai
/// perturbation_network([photo("coffee")], steps=1, channels=4, seed=1).network
/// ```
#[function(property)]
fn network(
    /// The perturbation network.
    trained: &PerturbationNetwork,
) -> Result<Model> {
    Ok(trained.network.clone())
}

/// The share of images by which the network was fooled at each step of the training, a tensor [steps].
///
/// ```rhai
/// perturbation_network([photo("coffee")], steps=2, channels=4, seed=1).rates
/// ```
#[function(property)]
fn rates(
    /// The perturbation network.
    trained: &PerturbationNetwork,
) -> Result<TensorValue> {
    let rates: Vec<f32> = trained.rates.iter().map(|rate| *rate as f32).collect();
    let steps = rates.len();
    TensorValue::from_values(rates, &[steps])
}

/// What becomes of each image that a perturbation network was trained with: a list of adversarial examples.
///
/// ```rhai
/// perturbation_network([photo("coffee")], steps=1, channels=4, seed=1).results[0]
/// ```
#[function(property)]
fn results(
    /// The perturbation network.
    trained: &PerturbationNetwork,
) -> Result<Vec<Fooled>> {
    Ok(trained.results.to_vec())
}
