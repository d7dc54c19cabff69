//! Carlini–Wagner L2: the distance and the scores in one cost, over an image that cannot leave its colours.

use std::ops::ControlFlow;

use candle_core::{Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};

use super::ball::{difference, length};
use super::fooled::Fooled;
use super::loss::Loss;
use super::search::{Prefer, Search, Wish};
use super::victim::{Aim, Victim};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, function};

/// Black and white would be infinitely far away.
const INSIDE: f32 = 0.999_999;
/// The weight of the scores grows tenfold until one is found that is enough.
const GROWTH: f64 = 10.0;
const MOST: f64 = 1e10;
/// How often a search that has not become cheaper may end.
const CHECKS: usize = 10;

/// How the cost is made and made smaller.
#[derive(Clone, Debug, Options)]
pub struct CarliniWagnerOptions {
    /// The weight of the scores against the squared distance.
    #[default(1.0)]
    #[range(0.0..=10000000000.0)]
    pub c: f64,
    /// By how much the scores are to be apart.
    #[default(0.0)]
    #[range(0.0..=1000.0)]
    pub confidence: f64,
    /// How many steps for each weight.
    #[default(50)]
    #[range(1..=100000)]
    pub steps: usize,
    /// The learning rate of Adam, in the space of the hyperbolic tangent.
    #[default(0.01)]
    #[range(0.0000001..=10.0)]
    pub learning_rate: f64,
    /// How many weights are tried: the first is `c`, the others bisect to the least that is enough.
    #[default(1)]
    #[range(1..=30)]
    pub searches: usize,
    /// Whether a search ends early once its cost has not fallen for a tenth of the steps. It is faster, and ends long
    /// before the distance is as small as it can be.
    #[default(false)]
    pub abort_early: bool,
}

/// Carlini and Wagner's attack in L2: an image for which the squared distance to the original plus `c` times how far
/// the scores are from where they are to be is least. The image is the hyperbolic tangent of what Adam moves, so that
/// it always is one.
///
/// The nearest image on the way that fools the network is rounded to 8 bits: the result is the nearest 8-bit image in
/// its direction that does so. `unrounded_l2` is the distance before that.
///
/// ```rhai
/// carlini_wagner(photo("chelsea"), steps=10)
/// ```
///
/// ```rhai
/// carlini_wagner(photo("chelsea"), target="koala", c=10, steps=5)
/// ```
#[function(
    source = "Carlini and Wagner, Towards Evaluating the Robustness of Neural Networks, 2016, arXiv:1608.04644; \
              defaults of torchattacks but for `abort_early`; on 8 bits: Bonnet, Furon and Bas, 2020, \
              doi:10.1145/3369412.3395062"
)]
pub fn carlini_wagner(
    job: &Job,
    /// The image.
    #[each]
    image: &Image,
    #[options] options: &CarliniWagnerOptions,
    #[options] aim: &Aim,
) -> Result<Fooled> {
    let aimed = aim.check(job)?;
    if options.c <= 0.0 {
        let message = "`c` is 0: the scores would count nothing, and the image would stay as it is";
        return Err(Error::new(Kind::Argument, message).at_argument("c"));
    }
    let victim = Victim::other_than_target(job.interrupt(), &aimed, image)?;
    let mut search = Search::new(&victim, Wish::Margin(options.confidence as f32), Prefer::Nearest);
    let mut nearest = Nearest::default();
    let outcome = approach(job, &mut search, options, &mut nearest);
    let outcome = outcome.and_then(|()| search.settle(job, &nearest.delta));
    search.finish("Carlini–Wagner", outcome)
}

/// The nearest image on the way that fooled the network.
#[derive(Debug, Default)]
pub(super) struct Nearest {
    /// What was added to the original; nothing if no image did.
    pub delta: Vec<f32>,
    distance: Option<f64>,
}

/// Runs the searches.
pub(super) fn approach(
    job: &Job,
    search: &mut Search<'_>,
    options: &CarliniWagnerOptions,
    nearest: &mut Nearest,
) -> Result<()> {
    let (mut c, mut low, mut high) = (options.c, 0.0, None);
    for _ in 0..options.searches {
        let enough = descend(job, search, options, c, nearest)?;
        if enough {
            high = Some(c);
        } else {
            low = c;
        }
        c = high.map_or(c * GROWTH, |high| 0.5 * (low + high));
        if c > MOST {
            break;
        }
    }
    Ok(())
}

/// Makes the cost of one weight smaller. Returns whether the network was fooled on the way.
fn descend(
    job: &Job,
    search: &mut Search<'_>,
    options: &CarliniWagnerOptions,
    c: f64,
    nearest: &mut Nearest,
) -> Result<bool> {
    let (victim, device) = (search.victim, Device::Cpu);
    let beginning: Vec<f32> = victim.pixels().iter().map(|pixel| (INSIDE * (2.0 * pixel - 1.0)).atanh()).collect();
    let moved = Var::from_tensor(&Tensor::from_vec(beginning, victim.lens.length(), &device)?)?;
    let parameters = ParamsAdamW { lr: options.learning_rate, weight_decay: 0.0, ..ParamsAdamW::default() };
    let mut adam = AdamW::new(vec![moved.clone()], parameters)?;
    let (mut enough, mut cost_before) = (false, f64::INFINITY);
    let check = (options.steps / CHECKS).max(1);
    search.steps(job, "Carlini–Wagner", options.steps, |search, number| {
        let tangent: Vec<f32> = moved.as_tensor().tanh()?.to_vec1()?;
        let pixels: Vec<f32> = tangent.iter().map(|value| (0.5 * (value + 1.0)).clamp(0.0, 1.0)).collect();
        let delta = difference(&pixels, victim.pixels());
        let distance = length(&delta);
        let slope = victim.slope(job.interrupt(), &pixels, Loss::Margin)?;
        search.record(&slope.said);
        if search.is_good(&slope.said) {
            enough = true;
            if nearest.distance.is_none_or(|least| distance < least) {
                (nearest.delta, nearest.distance) = (delta.clone(), Some(distance));
                search.keep_unrounded(distance);
            }
        }
        let short = options.confidence - f64::from(slope.value);
        let cost = distance * distance + c * short.max(0.0);
        let weight = if short > 0.0 { c as f32 } else { 0.0 };
        let gradient: Vec<f32> = delta
            .iter()
            .zip(&slope.gradient)
            .zip(&tangent)
            .map(|((change, slope), tangent)| (2.0 * change - weight * slope) * 0.5 * (1.0 - tangent * tangent))
            .collect();
        // a loss of that gradient
        let gradient = Tensor::from_vec(gradient, victim.lens.length(), &device)?;
        adam.backward_step(&(moved.as_tensor() * gradient)?.sum_all()?)?;
        if options.abort_early && (number - 1).is_multiple_of(check) {
            if cost > cost_before {
                return Ok(ControlFlow::Break(()));
            }
            cost_before = cost;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(enough)
}
