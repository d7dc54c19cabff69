//! APGD: projected gradient ascent with momentum that chooses its own step size.

use std::ops::ControlFlow;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::ball::{Ball, Norm, Reach, difference, into_picture, length};
use super::fooled::Fooled;
use super::loss::Loss;
use super::pgd::{climb, direction};
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, function};

/// How much of a step is the new one; the rest is the one before.
const MOMENTUM: f32 = 0.75;
/// Parts of all steps: until the first check of the step size, by how much fewer until each further one, and the
/// fewest.
const FIRST: f64 = 0.22;
const FEWER: f64 = 0.03;
const FEWEST: f64 = 0.06;

/// How APGD goes.
#[derive(Clone, Debug, Options)]
pub struct ApgdOptions {
    /// How many steps.
    #[default(10)]
    #[range(1..=100000)]
    pub steps: usize,
    /// The step size is halved where the loss grew in less than this part of the steps since the last check.
    #[default(0.75)]
    #[range(0.0..=1.0)]
    pub rho: f64,
    /// How often it starts anew, each time elsewhere, as long as the network is not fooled.
    #[default(1)]
    #[range(1..=1000)]
    pub restarts: usize,
    /// What grows: "cross-entropy", "margin" (the difference of scores), or "dlr" (that difference over the spread of
    /// the scores).
    #[default("cross-entropy")]
    pub loss: Loss,
    /// The seed of the starts; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// Auto-PGD: projected gradient descent with momentum that needs no step size. It begins with steps of twice `epsilon`,
/// and halves them and returns to the best place so far whenever they no longer help.
///
/// The network always looks at the image rounded to 8 bits. The result is the image, of all steps, that fools it most.
///
/// ```rhai
/// apgd(photo("chelsea"), epsilon=1/255.0, steps=5, seed=1)
/// ```
///
/// ```rhai
/// apgd(photo("chelsea"), target="koala", norm="l2", loss="dlr", steps=5, seed=1)
/// ```
#[function(source = "Croce and Hein, Reliable evaluation of adversarial robustness with an ensemble of diverse \
              parameter-free attacks, 2020, arXiv:2003.01690; defaults of torchattacks")]
pub fn apgd(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    #[options] reach: &Reach,
    #[options] options: &ApgdOptions,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let (aimed, ball) = (aim.check(job)?, reach.ball()?);
    options.loss.check(aimed.model.classes().len(), aimed.target.is_some())?;
    let victim = Victim::other_than_target(job.interrupt(), &aimed, image)?;
    let mut random = ChaCha8Rng::seed_from_u64(job.seed(options.seed));
    let mut search = Search::new(&victim, Wish::Margin(0.0), Prefer::Surest);
    let mut outcome = Ok(());
    for _ in 0..options.restarts {
        outcome = run(job, &mut search, &ball, options, &mut random);
        if outcome.is_err() || search.has_good() {
            break;
        }
    }
    search.finish("APGD", outcome)
}

/// One run, from a random place on the edge of the ball.
fn run(job: &Job, search: &mut Search<'_>, ball: &Ball, options: &ApgdOptions, random: &mut ChaCha8Rng) -> Result<()> {
    let victim = search.victim;
    let mut delta = on_the_edge(ball, victim, random);
    let mut slope = search.slope(job, &ball.rounded(victim.pixels(), &delta), options.loss)?;
    let mut before = delta.clone();
    let mut pace = Pace::new(options, ball.epsilon, slope.value);
    let mut best = (delta.clone(), slope.clone());
    search.steps(job, "APGD", options.steps, |search, number| {
        let last = difference(&delta, &before);
        before.clone_from(&delta);
        let mut next = delta.clone();
        climb(ball, &mut next, &slope.gradient, pace.step_size);
        ball.project(victim.pixels(), &mut next);
        let new = if number > 1 { MOMENTUM } else { 1.0 };
        for ((change, next), last) in delta.iter_mut().zip(next).zip(last) {
            *change += new * (next - *change) + (1.0 - new) * last;
        }
        ball.project(victim.pixels(), &mut delta);
        slope = search.slope(job, &ball.rounded(victim.pixels(), &delta), options.loss)?;
        if slope.value > best.1.value {
            best = (delta.clone(), slope.clone());
        }
        if pace.is_too_fast(slope.value, best.1.value) {
            (delta, slope) = best.clone();
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn on_the_edge(ball: &Ball, victim: &Victim, random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut delta = direction(ball.norm, &victim.lens, random);
    let size = match ball.norm {
        Norm::LInf => f64::from(delta.iter().fold(0f32, |most, change| most.max(change.abs()))),
        Norm::L2 => length(&delta),
    };
    let scale = (ball.epsilon / size.max(f64::MIN_POSITIVE)) as f32;
    delta.iter_mut().for_each(|change| *change *= scale);
    into_picture(victim.pixels(), &mut delta);
    delta
}

/// The step size, and when it is halved.
#[derive(Debug)]
struct Pace {
    step_size: f64,
    rho: f64,
    /// Steps until the next check, from the last one.
    wait: usize,
    fewer: usize,
    fewest: usize,
    /// The losses since the last check, the one at it first.
    losses: Vec<f32>,
    /// The best loss at the last check, and whether the step size was halved there.
    best: f32,
    halved: bool,
}

impl Pace {
    fn new(options: &ApgdOptions, epsilon: f64, loss: f32) -> Self {
        let part = |part: f64| ((part * options.steps as f64) as usize).max(1);
        Self {
            step_size: 2.0 * epsilon,
            rho: options.rho,
            wait: part(FIRST),
            fewer: part(FEWER),
            fewest: part(FEWEST),
            losses: vec![loss],
            best: loss,
            halved: true,
        }
    }

    /// Counts a step with its loss, and the best loss until now. Returns whether the steps are halved, and the search
    /// is to go on at the best place.
    fn is_too_fast(&mut self, loss: f32, best: f32) -> bool {
        self.losses.push(loss);
        if self.losses.len() <= self.wait {
            return false;
        }
        let grew = self.losses.windows(2).filter(|pair| matches!(pair, [before, after] if after > before)).count();
        let restless = (grew as f64) < self.rho * self.wait as f64;
        let stuck = !self.halved && best <= self.best;
        self.halved = restless || stuck;
        if self.halved {
            self.step_size *= 0.5;
        }
        (self.best, self.losses) = (best, vec![if self.halved { best } else { loss }]);
        self.wait = self.wait.saturating_sub(self.fewer).max(self.fewest);
        self.halved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(steps: usize) -> Pace {
        Pace::new(&ApgdOptions { steps, ..ApgdOptions::default() }, 1.0, 0.0)
    }

    /// The places of the checks in the paper, for 100 steps: 22, 41, 57, 70, 80, 87, 93, 99.
    #[test]
    fn checks_come_at_the_papers_places() {
        let mut pace = pace(100);
        let mut checks = Vec::new();
        for step in 1..=100 {
            // a loss that never grows halves at every check
            if pace.is_too_fast(-1.0, 0.0) {
                checks.push(step);
            }
        }
        assert_eq!(checks, [22, 41, 57, 70, 80, 87, 93, 99]);
        assert!((pace.step_size - 2.0 / 256.0).abs() < 1e-12);
    }

    #[test]
    fn steps_that_help_stay_as_they_are() {
        let mut pace = pace(100);
        assert!((1..=100).all(|step| !pace.is_too_fast(step as f32, step as f32)));
        assert_eq!(pace.step_size, 2.0);
    }

    #[test]
    fn steps_that_find_nothing_better_are_halved_once() {
        let mut pace = pace(100);
        // it grows, but stays below what was best
        let halved: Vec<usize> = (1..=60).filter(|step| pace.is_too_fast(-100.0 + *step as f32, 0.0)).collect();
        // not at the first check, which counts as halved, and not twice in a row
        assert_eq!(halved, [41]);
    }
}
