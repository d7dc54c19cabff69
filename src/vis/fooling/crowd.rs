//! Several images that are to be fooled by one thing.

use super::fooled::{Course, Fooled};
use super::lens::{Lens, Of};
use super::loss::Loss;
use super::victim::{Aimed, Victim};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::{Interrupt, Job};
use crate::model::{Rule, Rules};

/// Images about which the network is as wrong as that pull no more, so that others are heard: the logarithm of the
/// probability of their own class, or the probability of the target.
const FAR: f32 = -9.0;
const SURE: f32 = 0.9;

/// Images of one network.
pub(super) struct Crowd {
    pub lens: Lens,
    pub aimed: Aimed,
    pub victims: Vec<Victim>,
}

/// What came of a look at some images of a crowd.
pub(super) struct Looked {
    /// The gradients of what is to grow, at the pixels of each: of an image that pulls no more, nothing.
    pub gradients: Vec<f32>,
    /// The share of images by which it is fooled.
    pub rate: f64,
}

impl Crowd {
    /// Shows each image to the network.
    ///
    /// # Errors
    /// There is no image, one cannot be brought to the network's size, or the run was interrupted.
    pub fn new(job: &Job, aimed: Aimed, images: &[Image]) -> Result<Self> {
        let victim = |image: &Image| Victim::new(job.interrupt(), &aimed, image);
        let victims = images.iter().map(victim).collect::<Result<Vec<Victim>>>()?;
        let Some(first) = victims.first() else {
            let error = Error::new(Kind::Argument, "there is no image to learn from").at_argument("images");
            return Err(error.with_hint("give a list of images"));
        };
        Ok(Self { lens: first.lens.clone(), aimed, victims })
    }

    /// Shows some of the images, changed, to the network. The pixels are those of all of them, one after the other.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn look(&self, interrupt: &Interrupt, chosen: &[usize], pixels: Vec<f32>) -> Result<Looked> {
        let victims: Vec<&Victim> = chosen.iter().filter_map(|index| self.victims.get(*index)).collect();
        let slopes = self.lens.slopes(interrupt, pixels.clone(), &Rules::default())?;
        let said = &slopes.said;
        let (mut weights, mut dead) = (Vec::with_capacity(said.len()), Vec::with_capacity(said.len()));
        for (victim, said) in victims.iter().zip(said) {
            let mut pull = Loss::CrossEntropy.pull(said, victim.own, victim.target).weights;
            let mut switch = vec![0f32; pull.len()];
            let done = match victim.target {
                Some(target) => said.probability(target) >= SURE,
                None => said.log_probabilities.get(victim.own).is_none_or(|log| *log <= FAR),
            };
            // a rectifier that is off everywhere blocks what would raise the target
            let off = victim.target.filter(|target| said.score(*target) == 0.0);
            if done || off.is_some() {
                pull.fill(0.0);
            }
            if let Some(place) = off.filter(|_| !done).and_then(|target| switch.get_mut(target)) {
                *place = 1.0;
            }
            weights.push(pull);
            dead.push(switch);
        }
        let mut gradients = slopes.gradient(Of::LogProbabilities, &weights)?;
        let rectified = self.lens.model.graph().nodes().iter().any(|node| node.op.is_rectifier());
        if rectified && dead.iter().flatten().any(|weight| *weight != 0.0) {
            let redirected = self.lens.slopes(interrupt, pixels, &Rules::from(Rule::Redirected))?;
            let more = redirected.gradient(Of::Scores, &dead)?;
            gradients.iter_mut().zip(more).for_each(|(gradient, more)| *gradient += more);
        }
        let fooled = victims.iter().zip(said).filter(|(victim, said)| victim.advantage(said) > 0.0).count();
        Ok(Looked { rate: fooled as f64 / said.len().max(1) as f64, gradients })
    }

    /// Every image, changed, as a file holds it.
    ///
    /// # Errors
    /// `make` failed, or an image cannot be made.
    pub fn judge(
        &self,
        job: &Job,
        method: &'static str,
        make: impl Fn(&Victim) -> Result<Vec<f32>>,
    ) -> Result<Vec<Fooled>> {
        let mut results = Vec::with_capacity(self.victims.len());
        for victim in &self.victims {
            job.interrupt().check()?;
            results.push(judge(victim, method, &make(victim)?)?);
        }
        Ok(results)
    }
}

/// What a change that was not searched for this image does to it.
///
/// # Errors
/// The image cannot be made.
pub(super) fn judge(victim: &Victim, method: &'static str, pixels: &[f32]) -> Result<Fooled> {
    Fooled::judge(victim, method, pixels, Course { looks: 2, ..Course::default() })
}

/// What there is of something that was interrupted: an error is one only if it is another.
///
/// # Errors
/// It failed.
pub(super) fn or_interrupted<T: Default>(outcome: Result<T>) -> Result<T> {
    match outcome {
        Err(error) if error.kind() == Kind::Interrupted => Ok(T::default()),
        outcome => outcome,
    }
}
