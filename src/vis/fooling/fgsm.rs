//! FGSM: one step in the direction in which the loss grows fastest, the same for every value.

use std::ops::ControlFlow;

use super::ball::{Ball, Norm, sign};
use super::fooled::Fooled;
use super::loss::Loss;
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;

/// The fast gradient sign method: every value of the image moves by `epsilon`, up or down, as the gradient of the
/// cross-entropy says. One backward pass, no search.
///
/// Without a target the image moves away from its class; with one, towards that.
///
/// ```rhai
/// fgsm(photo("chelsea"), epsilon=2/255.0)
/// ```
#[function(source = "Goodfellow, Shlens and Szegedy, Explaining and Harnessing Adversarial Examples, 2014, \
              arXiv:1412.6572; numbers as torchattacks")]
pub fn fgsm(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    /// How far each value moves, in units of pixels from 0 to 1, at least one of 255 levels.
    #[default(8.0 / 255.0)]
    epsilon: f64,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let (aimed, ball) = (aim.check(job)?, Ball::new(Norm::LInf, epsilon)?);
    let victim = Victim::other_than_target(job.interrupt(), &aimed, image)?;
    let mut search = Search::new(&victim, Wish::Margin(0.0), Prefer::Surest);
    let outcome = search.steps(job, "FGSM", 1, |search, _| {
        let slope = search.slope(job, victim.pixels(), Loss::CrossEntropy)?;
        let delta: Vec<f32> = slope.gradient.iter().map(|slope| ball.epsilon as f32 * sign(*slope)).collect();
        search.look(job, &ball.rounded(victim.pixels(), &delta))?;
        Ok(ControlFlow::Continue(()))
    });
    search.finish("FGSM", outcome)
}
