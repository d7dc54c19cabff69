//! The smallest perturbation that changes what a network says.

use std::ops::ControlFlow;

use super::ball::length;
use super::carlini_wagner::{CarliniWagnerOptions, Nearest, approach};
use super::deepfool::{DeepFoolOptions, walk};
use super::fooled::Fooled;
use super::loss::Loss;
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::function;

/// The smallest perturbation in L2 that is found of those that an 8-bit image can have: how near the image is to
/// another class, or to the target.
///
/// DeepFool and Carlini–Wagner each find one; in the direction of each the nearest 8-bit image that fools the network
/// is looked for, and then in the direction of the gradient at the best of them, as long as that is nearer. Often a few
/// values of the image change by one level.
///
/// ```rhai
/// smallest_flip(photo("chelsea"), steps=5)
/// ```
#[function(source = "as for `deepfool` and `carlini_wagner`; on 8 bits: Bonnet, Furon and Bas, 2020, \
              doi:10.1145/3369412.3395062")]
pub fn smallest_flip(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    /// How many steps Carlini–Wagner takes.
    #[default(50)]
    #[range(1..=100000)]
    steps: usize,
    /// How often the direction of the gradient is tried.
    #[default(5)]
    #[range(0..=1000)]
    rounds: usize,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let victim = Victim::other_than_target(job.interrupt(), &aim.check(job)?, image)?;
    let mut search = Search::new(&victim, Wish::Margin(0.0), Prefer::Nearest);
    let outcome = find(job, &mut search, steps, rounds);
    search.finish("Smallest flip", outcome)
}

fn find(job: &Job, search: &mut Search<'_>, steps: usize, rounds: usize) -> Result<()> {
    let delta = walk(job, search, &DeepFoolOptions::default())?;
    search.settle(job, &delta)?;
    let mut nearest = Nearest::default();
    approach(job, search, &CarliniWagnerOptions { steps, ..CarliniWagnerOptions::default() }, &mut nearest)?;
    search.settle(job, &nearest.delta)?;
    if !search.has_good() {
        return Ok(());
    }
    search.steps(job, "smallest flip", rounds, |search, _| {
        let before = search.distance();
        let pixels = search.pixels().to_vec();
        let gradient = search.victim.slope(job.interrupt(), &pixels, Loss::Margin)?.gradient;
        // a direction needs a length from which the search for the scale begins
        let scale = (before / length(&gradient).max(f64::MIN_POSITIVE)) as f32;
        search.settle(job, &gradient.iter().map(|slope| scale * slope).collect::<Vec<f32>>())?;
        Ok(if search.distance() < before { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })
}
