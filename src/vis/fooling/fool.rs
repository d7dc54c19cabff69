//! Fooling by ascent on the score of a class, with the distance to the original in the objective.

use std::ops::ControlFlow;

use super::ball::{difference, eight_bits, into_picture, length, sum};
use super::fooled::Fooled;
use super::loss::Loss;
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim};
use crate::error::Result;
use crate::image::{Image, noise};
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::{ClassName, Network};
use crate::tensor::Seed;

/// Once there is a result, steps are so much smaller: what is left to do is to come nearer.
const FINER: f64 = 0.1;
/// So many steps in which no nearer image was found end the search.
const PATIENCE: usize = 20;

/// How the network is fooled.
#[derive(Clone, Debug, Options)]
pub struct FoolOptions {
    /// How many steps at most.
    #[default(100)]
    #[range(1..=100000)]
    pub steps: usize,
    /// How far each step goes: the root of the sum of all squared changes, in units of pixels from 0 to 1.
    #[default(0.5)]
    #[range(0.0001..=1000.0)]
    pub step_size: f64,
    /// What the squared distance to the original costs, against the logarithm of the probability.
    #[default(0.5)]
    #[range(0.0..=1000000.0)]
    pub distance: f64,
    /// How sure the network is to be, from 0 to 1.
    #[default(0.95)]
    #[range(0.0..=0.9999)]
    pub probability: f64,
}

/// An image that looks the same and that a network takes for something else: gradient ascent on the logarithm of the
/// target's probability minus the squared distance to the original. Of all images on the way about which the network is
/// sure enough, the result is the nearest.
///
/// The network always looks at the image rounded to 8 bits, and success is measured on the PNG that is read back, so a
/// saved image fools as well. Without a target, it is the class that comes second. What is shown: the original, what
/// was added (magnified), the result, both answers, and the probabilities by step.
///
/// ```rhai
/// let elephant = compose(photo("grass"), gallery("mammal/elephant"), scale=0.75);
/// fool(elephant, target="koala", steps=10)
/// ```
#[function(
    source = "Szegedy et al., Intriguing properties of neural networks, 2013, arXiv:1312.6199; the steps as in \
              Stanford's CS231n, assignment 3"
)]
pub fn fool(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    #[options] options: &FoolOptions,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let victim = Victim::other_than_target(job.interrupt(), &aim.check(job)?, image)?;
    let mut search = Search::new(&victim, Wish::Probability(options.probability as f32), Prefer::Nearest);
    let outcome = climb(job, &mut search, options, PATIENCE);
    search.finish("Fooling", outcome)
}

/// An image that means nothing and of which a network is sure: noise, changed by gradient ascent until the network
/// takes it for the class with the wanted probability.
///
/// ```rhai
/// fooling_from_noise("koala", steps=10, seed=1)
/// ```
#[function(
    source = "Nguyen, Yosinski and Clune, Deep neural networks are easily fooled, 2014, arXiv:1412.1897; the steps \
              as in Stanford's CS231n, assignment 3"
)]
pub fn fooling_from_noise(
    job: &Job,
    /// The class that the network is to see in noise, by name or number.
    target: ClassName,
    /// How many steps at most.
    #[default(200)]
    #[range(1..=100000)]
    steps: usize,
    /// How far each step goes: the root of the sum of all squared changes, in units of pixels from 0 to 1.
    #[default(1.0)]
    #[range(0.0001..=1000.0)]
    step_size: f64,
    /// How sure the network is to be, from 0 to 1.
    #[default(0.99)]
    #[range(0.0..=0.9999)]
    probability: f64,
    #[options] seed: &Seed,
    #[options] network: &Network,
) -> Result<Fooled> {
    let aimed = Aim { target: Some(target), model: network.model.clone() }.check(job)?;
    let (width, height) = (aimed.model.recipe().width, aimed.model.recipe().height);
    // as the network sees it, and not resized
    let start = aimed.model.as_seen(&noise(width, height, seed.get(job))?)?;
    let victim = Victim::seen_as(job.interrupt(), &aimed, &start)?;
    let mut search = Search::new(&victim, Wish::Probability(probability as f32), Prefer::Nearest);
    let options = FoolOptions { steps, step_size, distance: 0.0, probability };
    let outcome = climb(job, &mut search, &options, 0);
    search.finish("From noise", outcome)
}

/// The ascent; it ends when so many steps have found nothing nearer.
fn climb(job: &Job, search: &mut Search<'_>, options: &FoolOptions, patience: usize) -> Result<()> {
    let victim = search.victim;
    // without a target, it climbs towards the class that comes second, and any other is welcome
    let climber = Victim { target: Some(victim.rival(&victim.said)), ..victim.clone() };
    let mut delta = vec![0f32; victim.lens.length()];
    let (mut least, mut waited, mut fresh) = (f64::INFINITY, 0, false);
    search.steps(job, "fooling", options.steps, |search, _| {
        let pixels = eight_bits(&sum(victim.pixels(), &delta));
        let slope = climber.slope(job.interrupt(), &pixels, Loss::CrossEntropy)?;
        search.seen(&pixels, &slope.said);
        fresh = false;
        if search.has_good() {
            waited = if search.distance() < least { 0 } else { waited + 1 };
            least = search.distance();
            if waited >= patience {
                return Ok(ControlFlow::Break(()));
            }
        }
        let cost = 2.0 * options.distance as f32;
        let away = difference(&pixels, victim.pixels());
        let gradient: Vec<f32> =
            slope.gradient.iter().zip(&away).map(|(slope, change)| slope - cost * change).collect();
        let size = options.step_size * if search.has_good() { FINER } else { 1.0 };
        let scale = (size / length(&gradient)) as f32;
        if !scale.is_finite() {
            return Ok(ControlFlow::Break(()));
        }
        delta.iter_mut().zip(&gradient).for_each(|(change, slope)| *change += scale * slope);
        into_picture(victim.pixels(), &mut delta);
        fresh = true;
        Ok(ControlFlow::Continue(()))
    })?;
    if fresh {
        search.look(job, &eight_bits(&sum(victim.pixels(), &delta)))?;
    }
    Ok(())
}
