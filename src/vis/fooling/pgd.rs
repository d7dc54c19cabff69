//! PGD: gradient ascent on the loss that never leaves the ball of allowed perturbations.

use std::ops::ControlFlow;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ball::{Ball, Norm, Reach, into_picture, length, sign};
use super::fooled::Fooled;
use super::lens::Lens;
use super::loss::Loss;
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, function};
use crate::tensor::normal;

/// How projected gradient descent goes.
#[derive(Clone, Debug, Options)]
pub struct PgdOptions {
    /// How many steps.
    #[default(10)]
    #[range(1..=100000)]
    pub steps: usize,
    /// How far a step goes, in units of pixels from 0 to 1: each value for "linf", 2/255.0 if not given; all together
    /// for "l2", 0.2 if not given.
    #[default]
    pub step_size: Option<f64>,
    /// Whether it starts at a random place of the ball rather than at the image.
    #[default(true)]
    pub random_start: bool,
    /// What grows: "cross-entropy", "margin" (the difference of scores), or "dlr" (that difference over the spread of
    /// the scores).
    #[default("cross-entropy")]
    pub loss: Loss,
    /// The seed of the start; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

/// Projected gradient descent: FGSM in many small steps, each brought back to at most `epsilon` from the image. The
/// attack by which the robustness of networks is usually measured.
///
/// The network always looks at the image rounded to 8 bits. The result is the image, of all steps, that fools it most.
///
/// ```rhai
/// pgd(photo("chelsea"), target="koala", epsilon=4/255.0, step_size=1/255.0, seed=1)
/// ```
///
/// ```rhai
/// pgd(photo("chelsea"), norm="l2", epsilon=0.5, steps=5, seed=1)
/// ```
#[function(
    source = "Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, 2017, arXiv:1706.06083; \
              defaults of torchattacks"
)]
pub fn pgd(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    #[options] reach: &Reach,
    #[options] options: &PgdOptions,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let (aimed, ball) = (aim.check(job)?, reach.ball()?);
    options.loss.check(aimed.model.classes().len(), aimed.target.is_some())?;
    let step_size = options.step_size.unwrap_or(if ball.norm == Norm::LInf { 2.0 / 255.0 } else { 0.2 });
    if step_size <= 0.0 {
        let message = format!("`step_size` is {step_size}; it must be above 0");
        let error = Error::new(Kind::Argument, message).at_argument("step_size");
        return Err(error.with_hint("2 of 255 levels are 2/255.0; 2/255 is 0, as integers divide"));
    }
    let victim = Victim::other_than_target(job.interrupt(), &aimed, image)?;
    let mut delta = if options.random_start {
        start(&ball, &victim, &mut ChaCha8Rng::seed_from_u64(job.seed(options.seed)))
    } else {
        vec![0.0; victim.lens.length()]
    };
    let mut search = Search::new(&victim, Wish::Margin(0.0), Prefer::Surest);
    let outcome = search.steps(job, "PGD", options.steps, |search, _| {
        let slope = search.slope(job, &ball.rounded(victim.pixels(), &delta), options.loss)?;
        climb(&ball, &mut delta, &slope.gradient, step_size);
        ball.project(victim.pixels(), &mut delta);
        Ok(ControlFlow::Continue(()))
    });
    let last = |()| search.look(job, &ball.rounded(victim.pixels(), &delta)).map(drop);
    let outcome = outcome.and_then(last);
    search.finish("PGD", outcome)
}

/// A random place: in L∞ each value by itself; in L2 a random direction, and a random part of the way.
fn start(ball: &Ball, victim: &Victim, random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut delta = direction(ball.norm, &victim.lens, random);
    let scale = match ball.norm {
        Norm::LInf => ball.epsilon,
        Norm::L2 => ball.epsilon * random.random::<f64>() / length(&delta).max(f64::MIN_POSITIVE),
    };
    delta.iter_mut().for_each(|change| *change *= scale as f32);
    into_picture(victim.pixels(), &mut delta);
    delta
}

/// Random changes: even ones from -1 to 1 for L∞, normal ones for L2.
pub(super) fn direction(norm: Norm, lens: &Lens, random: &mut ChaCha8Rng) -> Vec<f32> {
    let count = lens.colours() * lens.width * lens.height;
    lens.of_colours(match norm {
        Norm::LInf => (0..count).map(|_| 2.0 * random.random::<f32>() - 1.0).collect(),
        Norm::L2 => normal(random).take(count).collect(),
    })
}

/// A step that makes a loss larger: each value by the sign of its slope, or all along the gradient.
pub(super) fn climb(ball: &Ball, delta: &mut [f32], gradient: &[f32], step_size: f64) {
    match ball.norm {
        Norm::LInf => {
            delta.iter_mut().zip(gradient).for_each(|(change, slope)| *change += step_size as f32 * sign(*slope));
        }
        Norm::L2 => {
            let scale = (step_size / length(gradient).max(f64::MIN_POSITIVE)) as f32;
            if scale.is_finite() {
                delta.iter_mut().zip(gradient).for_each(|(change, slope)| *change += scale * slope);
            }
        }
    }
}
