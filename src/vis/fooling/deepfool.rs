//! DeepFool: to the nearest boundary of the class, as if boundaries were planes, again and again.

use std::ops::ControlFlow;

use super::ball::{into_picture, length, sum};
use super::fooled::Fooled;
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim, only};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::Rules;

/// Scores may be equal where a plane is; so much is added to how far they are apart.
const BEYOND: f64 = 1e-4;

/// How DeepFool goes.
#[derive(Clone, Debug, Options)]
pub struct DeepFoolOptions {
    /// How many steps at most.
    #[default(50)]
    #[range(1..=100000)]
    pub steps: usize,
    /// How much further than to the boundary each image is moved, as a part of the way.
    #[default(0.02)]
    #[range(0.0..=10.0)]
    pub overshoot: f64,
    /// How many classes are looked at: that many of the most probable ones, the image's own among them. With a target,
    /// that alone.
    #[default(10)]
    #[range(2..=1000)]
    pub classes: usize,
}

/// DeepFool: a small perturbation in L2. The boundary to each of the most probable classes is taken for a plane, the
/// image is moved to the nearest, and so on until the class changes.
///
/// That perturbation is often below half a level of an 8-bit image, so that nothing of it would be left in a file. The
/// result is the nearest 8-bit image in its direction that fools the network: a few whole levels where it is strongest.
/// `unrounded_l2` is the length that it had.
///
/// ```rhai
/// deepfool(photo("chelsea"))
/// ```
#[function(
    source = "Moosavi-Dezfooli, Fawzi and Frossard, DeepFool: a simple and accurate method to fool deep neural \
              networks, 2015, arXiv:1511.04599; defaults of the authors' code and of torchattacks; on 8 bits: \
              Bonnet, Furon and Bas, What if Adversarial Samples were Digital Images?, 2020, \
              doi:10.1145/3369412.3395062"
)]
pub fn deepfool(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    #[options] options: &DeepFoolOptions,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let victim = Victim::other_than_target(job.interrupt(), &aim.check(job)?, image)?;
    let mut search = Search::new(&victim, Wish::Margin(0.0), Prefer::Nearest);
    let outcome = walk(job, &mut search, options).and_then(|delta| search.settle(job, &delta));
    search.finish("DeepFool", outcome)
}

/// The perturbation that DeepFool finds, before it is rounded; its length is kept if it fools the network.
pub(super) fn walk(job: &Job, search: &mut Search<'_>, options: &DeepFoolOptions) -> Result<Vec<f32>> {
    let victim = search.victim;
    let candidates: Vec<usize> = match victim.target {
        Some(target) => vec![target],
        None => {
            let others = victim.said.ranked().into_iter().filter(|class| *class != victim.own);
            others.take(options.classes.saturating_sub(1)).collect()
        }
    };
    let mut total = vec![0f32; victim.lens.length()];
    let mut delta = total.clone();
    search.steps(job, "DeepFool", options.steps, |search, _| {
        let pixels = sum(victim.pixels(), &delta);
        let slopes = victim.lens.slopes(job.interrupt(), pixels.clone(), &Rules::default())?;
        let said = only(slopes.said.clone())?;
        if pixels != victim.pixels() {
            search.record(&said);
        }
        if search.is_good(&said) {
            search.keep_unrounded(length(&delta));
            return Ok(ControlFlow::Break(()));
        }
        // a target has to pass whatever is highest, another class only the image's own
        let highest = victim.target.map_or(victim.own, |target| said.best_but(target));
        let mut nearest: Option<(f64, f64, Vec<f32>)> = None;
        for class in &candidates {
            let gradient = victim.towards(job.interrupt(), &pixels, &slopes, (*class, highest))?;
            let long = length(&gradient);
            let apart = f64::from((said.score(*class) - said.score(highest)).abs()) + BEYOND;
            let distance = apart / long;
            if distance.is_finite() && nearest.as_ref().is_none_or(|(least, ..)| distance < *least) {
                nearest = Some((distance, long, gradient));
            }
        }
        // without any slope there is nowhere to go
        let Some((distance, long, gradient)) = nearest else { return Ok(ControlFlow::Break(())) };
        let scale = (distance / long) as f32;
        total.iter_mut().zip(gradient).for_each(|(change, slope)| *change += scale * slope);
        let beyond = 1.0 + options.overshoot as f32;
        delta.iter_mut().zip(&total).for_each(|(change, whole)| *change = beyond * whole);
        into_picture(victim.pixels(), &mut delta);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(delta)
}
