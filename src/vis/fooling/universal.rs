//! One perturbation that fools a network about many images.

use std::fmt;
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::ball::{Ball, Norm, level, sign};
use super::crowd::{Crowd, judge, or_interrupted};
use super::fooled::Fooled;
use super::victim::{Aim, Aimed, Victim};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, Options, Provenance, function, value_type};
use crate::model::Model;
use crate::tensor::TensorValue;

/// What the results are called.
const METHOD: &str = "Universal perturbation";

/// How a universal perturbation is found.
#[derive(Clone, Debug, Options)]
pub struct UniversalOptions {
    /// The largest change of a value, in units of pixels from 0 to 1, at least one of 255 levels.
    #[default(10.0 / 255.0)]
    pub epsilon: f64,
    /// The share of images, from 0 to 1, that is enough.
    #[default(0.8)]
    #[range(0.0..=1.0)]
    pub rate: f64,
    /// How often each image is seen at most.
    #[default(30)]
    #[range(1..=100000)]
    pub epochs: usize,
    /// How far a step goes, in units of pixels from 0 to 1.
    #[default(2.0 / 255.0)]
    #[range(0.0001..=1.0)]
    pub step_size: f64,
    /// Images of one step.
    #[default(8)]
    #[range(1..=1000)]
    pub batch: usize,
    /// The seed of the order of images; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// A perturbation that was found for many images.
#[derive(Clone, Debug)]
pub struct Universal {
    /// The network.
    pub model: Model,
    /// The class that images are to be taken for; any other than their own if not given.
    pub target: Option<usize>,
    /// The largest change of a value.
    pub epsilon: f64,
    /// Width and height of the images, in pixels.
    pub size: [usize; 2],
    /// What is added, whole levels of 255: reds, greens, blues.
    pub delta: Arc<[f32]>,
    /// The share of images that fooled the network, after each time that all were seen.
    pub rates: Arc<[f64]>,
    /// What became of the images; none if it was interrupted.
    pub results: Arc<[Fooled]>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    Universal,
    "universal perturbation",
    "a universal perturbation",
    "One perturbation that fools a network about many images; `apply` adds it to others.",
    provenance
);

/// One perturbation that, added to any of the images, makes the network take it for something else, or for the target.
/// It is found by steps in the direction that helps the images of a batch together; images about which the network is
/// wrong by far pull no more. `.apply(img)` adds it to images that it was not made for.
///
/// Interrupted, it is the perturbation so far, and what it does to the images is not measured.
///
/// ```rhai
/// let images = [photo("chelsea"), photo("coffee")];
/// universal_perturbation(images, epochs=2, seed=1).apply(photo("rocket")).success
/// ```
#[function(source = "Moosavi-Dezfooli et al., Universal adversarial perturbations, 2016, arXiv:1610.08401 (epsilon, \
              rate); found as by Shafahi et al., Universal Adversarial Training, 2018, arXiv:1811.11304")]
pub fn universal_perturbation(
    job: &Job,
    /// The images, a list.
    images: Vec<Image>,
    #[options] options: &UniversalOptions,
    #[options] aim: &Aim,
) -> Result<Universal> {
    let (aimed, ball) = (aim.check(job)?, Ball::new(Norm::LInf, options.epsilon)?);
    let seed = job.seed(options.seed);
    let crowd = Crowd::new(job, aimed, &images)?;
    let mut found = Found { delta: vec![0.0; crowd.lens.length()], rate: -1.0, rates: Vec::new() };
    let results = search(job, &crowd, &ball, options, seed, &mut found);
    let results =
        results.and_then(|()| crowd.judge(job, METHOD, |victim| Ok(ball.rounded(victim.pixels(), &found.delta))));
    Ok(Universal {
        model: crowd.lens.model.clone(),
        target: crowd.aimed.target,
        epsilon: ball.epsilon,
        size: [crowd.lens.width, crowd.lens.height],
        results: or_interrupted(results)?.into(),
        rates: found.rates.into(),
        delta: found.delta.into(),
        provenance: None,
    })
}

/// The best perturbation so far.
struct Found {
    delta: Vec<f32>,
    rate: f64,
    rates: Vec<f64>,
}

fn search(
    job: &Job,
    crowd: &Crowd,
    ball: &Ball,
    options: &UniversalOptions,
    seed: u64,
    found: &mut Found,
) -> Result<()> {
    let mut delta = found.delta.clone();
    let mut order: Vec<usize> = (0..crowd.victims.len()).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let changed = |chosen: &[usize], delta: &[f32]| -> Vec<f32> {
        let victims = chosen.iter().filter_map(|index| crowd.victims.get(*index));
        victims.flat_map(|victim| ball.rounded(victim.pixels(), delta)).collect()
    };
    let progress = job.progress("universal perturbation", options.epochs);
    for _ in 0..options.epochs {
        order.shuffle(&mut random);
        for chosen in order.chunks(options.batch) {
            let looked = crowd.look(job.interrupt(), chosen, changed(chosen, &delta))?;
            let mut together = vec![0f32; delta.len()];
            for gradient in looked.gradients.chunks_exact(delta.len()) {
                together.iter_mut().zip(gradient).for_each(|(sum, slope)| *sum += slope);
            }
            let (step, most) = (options.step_size as f32, ball.epsilon as f32);
            for (change, slope) in delta.iter_mut().zip(together) {
                *change = (*change + step * sign(slope)).clamp(-most, most);
            }
        }
        let mut fooled = 0;
        for chosen in order.chunks(options.batch) {
            let said = crowd.lens.says(job.interrupt(), changed(chosen, &delta))?;
            let victims = chosen.iter().filter_map(|index| crowd.victims.get(*index));
            fooled += victims.zip(&said).filter(|(victim, said)| victim.advantage(said) > 0.0).count();
        }
        let rate = fooled as f64 / order.len() as f64;
        found.rates.push(rate);
        if rate > found.rate {
            (found.rate, found.delta) = (rate, whole_levels(&delta));
        }
        progress.advance_showing(1, &|| shown(&found.delta, [crowd.lens.width, crowd.lens.height], ball.epsilon))?;
        if rate >= options.rate {
            progress.end();
            break;
        }
    }
    Ok(())
}

/// A perturbation as it can be added to an 8-bit image.
fn whole_levels(delta: &[f32]) -> Vec<f32> {
    delta.iter().map(|change| level(*change) / 255.0).collect()
}

/// A perturbation as a picture: grey is 0, black and white are the largest changes.
fn shown(delta: &[f32], [width, height]: [usize; 2], epsilon: f64) -> Result<Dynamic> {
    let planes = delta.iter().map(|change| 0.5 + change / (2.0 * epsilon as f32)).collect();
    Ok(Dynamic::from(Image::from_planes(width, height, planes, None)?))
}

impl Universal {
    /// The perturbation, `[3, height, width]`, in units of pixels from 0 to 1.
    ///
    /// # Errors
    /// The tensor cannot be made.
    pub fn perturbation(&self) -> Result<TensorValue> {
        let [width, height] = self.size;
        TensorValue::from_values(self.delta.to_vec(), &[3, height, width])
    }

    /// The share of the images that it was made for by which the network is fooled.
    pub fn rate(&self) -> f64 {
        self.rates.iter().copied().fold(0.0, f64::max)
    }

    /// What it does to another image.
    ///
    /// # Errors
    /// The image cannot be brought to the network's size, or the run was interrupted.
    pub fn apply(&self, job: &Job, image: &Image) -> Result<Fooled> {
        let aimed = Aimed { model: self.model.clone(), target: self.target };
        let victim = Victim::new(job.interrupt(), &aimed, image)?;
        if victim.lens.length() != self.delta.len() {
            return Err(Error::new(Kind::Internal, "the network sees images of another size than before"));
        }
        judge(&victim, METHOD, &Ball::new(Norm::LInf, self.epsilon)?.rounded(victim.pixels(), &self.delta))
    }
}

impl fmt::Display for Universal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aim = self.target.map_or_else(|| "another class".to_owned(), |class| self.model.classes().name(class));
        write!(
            f,
            "universal perturbation of at most {:.4}: {:.0} % of the images become {aim}, after {} epochs",
            self.epsilon,
            100.0 * self.rate(),
            self.rates.len()
        )
    }
}

/// Adds a universal perturbation to an image, and says what the network makes of it.
///
/// ```rhai
/// universal_perturbation([photo("coffee")], epochs=1, seed=1).apply(photo("chelsea"))
/// ```
#[function(source = "as for `universal_perturbation`")]
fn apply(
    job: &Job,
    /// The perturbation.
    perturbation: &Universal,
    /// The image.
    #[each]
    image: &Image,
) -> Result<Fooled> {
    perturbation.apply(job, image)
}

/// What is added to each image: a tensor [3, height, width] in units of pixels from 0 to 1.
///
/// ```rhai
/// abs(universal_perturbation([photo("coffee")], epochs=1, seed=1).perturbation).max()
/// ```
#[function(property)]
fn perturbation(
    /// The perturbation.
    universal: &Universal,
) -> Result<TensorValue> {
    universal.perturbation()
}

/// The share of the images that a universal perturbation was made for by which the network is fooled.
///
/// ```rhai
/// universal_perturbation([photo("coffee")], epochs=1, seed=1).rate
/// ```
#[function(property)]
fn rate(
    /// The perturbation.
    universal: &Universal,
) -> Result<f64> {
    Ok(universal.rate())
}

/// What became of each of the images that a universal perturbation was made for: a list of adversarial examples.
///
/// ```rhai
/// universal_perturbation([photo("coffee")], epochs=1, seed=1).results[0]
/// ```
#[function(property)]
fn results(
    /// The perturbation.
    universal: &Universal,
) -> Result<Vec<Fooled>> {
    Ok(universal.results.to_vec())
}
