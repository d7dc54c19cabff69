//! Extremal perturbations: the smooth mask of a given area with which the score is highest.

use std::ops::Range;

use candle_core::Tensor;

use super::smooth_mask::SmoothMask;
use super::{Attribution, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, Options, choices, function};
use crate::model::{Input, Rules};
use crate::vis::{Explain, Prediction};

/// Pixels between the places of the grid that makes a mask, and how wide each opens it.
const STEP: usize = 7;
const SIGMA: usize = 21;
/// Strengths of the perturbation, from the image itself to the strongest, and the standard deviation of the strongest blur.
const LEVELS: usize = 8;
const BLUR: f32 = 20.0;
/// How fast the masks are changed, and how much of a change stays for the next.
const RATE: f32 = 0.01;
const MOMENTUM: f32 = 0.9;
/// What a wrong area costs at first, and how much more from step to step.
const COST: f64 = 300.0;
const RISE: f64 = 1.0035;

/// What a mask is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Game {
    /// Keep what the score needs.
    #[default]
    Preserve,
    /// Delete what the score needs.
    Delete,
    /// Both at once.
    Dual,
}

choices!(Game { "preserve" => Preserve, "delete" => Delete, "dual" => Dual });

/// What takes the image away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Perturbation {
    /// It is blurred.
    #[default]
    Blur,
    /// It fades to zeros of the network's input.
    Fade,
}

choices!(Perturbation { "blur" => Blur, "fade" => Fade });

/// How extremal perturbations are found.
#[derive(Clone, Debug, Options)]
pub struct Extremal {
    /// The parts of the image that masks cover, each more than 0 and less than 1; of several the mean mask is shown.
    #[default([0.1])]
    pub areas: Vec<f64>,
    /// How many steps the masks are improved.
    #[default(800)]
    #[range(1..=100000)]
    pub steps: usize,
    /// What the mask does: "preserve" keeps the part of the image that makes the score highest, "delete" takes away the one
    /// that makes it lowest, "dual" rewards both.
    #[default("preserve")]
    pub game: Game,
    /// What takes the image away: "blur", or "fade" to zeros of the network's input.
    #[default("blur")]
    pub perturbation: Perturbation,
}

/// The part of an image, of a given area and with smooth edges, that is enough for the score to be as high as it can be: a
/// mask from 0 to 1, found by gradient ascent.
///
/// The area is the only thing that is asked of a mask besides its smoothness, so that the result does not hang on weights of
/// several aims. Interrupted, the masks so far are returned.
///
/// ```rhai
/// extremal_perturbation(photo("chelsea"), areas=[0.1], steps=3)
/// ```
#[function(
    source = "Fong, Patrick and Vedaldi, Understanding Deep Networks via Extremal Perturbations and Smooth Masks, 2019, arXiv:1910.08485; TorchRay"
)]
pub fn extremal_perturbation(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] options: &Extremal,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let areas = &options.areas;
    if areas.is_empty() || areas.iter().any(|area| !(*area > 0.0 && *area < 1.0)) {
        let message = "extremal_perturbation: `areas` are one or more parts of the image, between 0 and 1";
        return Err(Error::new(Kind::Argument, message).with_hint("areas=[0.05, 0.1]").at_argument("areas"));
    }
    let prediction = explain.prediction(job, image)?;
    let mut search = Search::new(&prediction, options)?;
    let progress = job.progress("extremal perturbation", options.steps);
    let mut done = 0;
    while done < options.steps {
        let step = search.step(job, done);
        let shown = step.and_then(|()| {
            done += 1;
            progress.advance_showing(1, &|| Ok(Dynamic::from(search.attribution(done)?)))
        });
        match shown {
            Err(error) if error.kind() == Kind::Interrupted && done > 0 => break,
            shown => shown?,
        }
    }
    search.attribution(done)
}

/// The masks under way.
struct Search<'a> {
    prediction: &'a Prediction,
    options: &'a Extremal,
    smooth: SmoothMask,
    /// The input, perturbed more and more weakly: the last is the input itself.
    levels: Vec<Vec<f32>>,
    /// For each area, its grid, how it changed last, and its mask with margins.
    grids: Vec<Vec<f32>>,
    changes: Vec<Option<Vec<f32>>>,
    masks: Vec<Vec<f32>>,
    cost: f64,
    /// The scores under the masks, as they last were.
    scores: Vec<f32>,
}

impl<'a> Search<'a> {
    fn new(prediction: &'a Prediction, options: &'a Extremal) -> Result<Self> {
        let (_, _, height, width) = prediction.input.dims4()?;
        let smooth = SmoothMask::new([height, width], STEP, SIGMA);
        let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
        let level = |level: usize| {
            let part = level as f32 / (LEVELS - 1) as f32;
            match options.perturbation {
                Perturbation::Blur => blurred(&input, [height, width], (1.0 - part) * BLUR),
                Perturbation::Fade => input.iter().map(|x| x * part).collect(),
            }
        };
        let count = options.areas.len();
        let places: usize = smooth.grid().iter().product();
        let grids = vec![vec![1f32; places]; count];
        let masks = grids.iter().map(|grid| smooth.full(grid)).collect();
        let levels = (0..LEVELS).map(level).collect();
        let changes = vec![None; count];
        Ok(Self { prediction, options, smooth, levels, grids, changes, masks, cost: COST, scores: Vec::new() })
    }

    /// Improves each mask by one step.
    fn step(&mut self, job: &Job, index: usize) -> Result<()> {
        let prediction = self.prediction;
        let (_, channels, height, width) = prediction.input.dims4()?;
        let area = height * width;
        let masks: Vec<Vec<f32>> = self.grids.iter().map(|grid| self.smooth.full(grid)).collect();
        let on_image: Vec<Vec<f32>> = masks.iter().map(|mask| self.smooth.on_image(mask)).collect();
        let inverse = |mask: &Vec<f32>| mask.iter().map(|open| 1.0 - open).collect::<Vec<f32>>();
        let shown: Vec<Vec<f32>> = match self.options.game {
            Game::Preserve => on_image,
            Game::Delete => on_image.iter().map(inverse).collect(),
            Game::Dual => on_image.iter().cloned().chain(on_image.iter().map(inverse)).collect(),
        };
        // every other time it is seen in a mirror
        let mirrored = index.is_multiple_of(2);
        let mut inputs = Vec::with_capacity(shown.len() * channels * area);
        for mask in &shown {
            inputs.extend(self.perturbed(mask, area));
        }
        mirror(&mut inputs, width, mirrored);
        let inputs = Tensor::from_vec(inputs, (shown.len(), channels, height, width), prediction.input.device())?;
        let pass = prediction.pass(job, &inputs, &Rules::default(), None)?;
        let mut gradients: Vec<f32> = pass.gradient.flatten_all()?.to_vec1()?;
        mirror(&mut gradients, width, mirrored);

        let count = self.grids.len();
        for (number, mask) in masks.iter().enumerate() {
            let mut above = self.of_area(mask, self.options.areas[number]);
            for which in (number..shown.len()).step_by(count) {
                // where the mask grows, what is shown of a deleted part shrinks, whose score counts against: both signs cancel
                let range = which * channels * area..(which + 1) * channels * area;
                let slopes = self.slopes(&shown[which], &gradients[range], area);
                slopes.iter().enumerate().for_each(|(pixel, slope)| above[self.smooth.place(pixel)] += slope);
            }
            let gradient = self.smooth.gradient(&self.grids[number], &above);
            let change = match self.changes[number].take() {
                None => gradient,
                Some(last) => {
                    last.iter().zip(&gradient).map(|(last, new)| MOMENTUM * last + (1.0 - MOMENTUM) * new).collect()
                }
            };
            let grid = self.grids[number].iter_mut().zip(&change);
            grid.for_each(|(value, change)| *value = (*value + RATE * change).clamp(0.0, 1.0));
            self.changes[number] = Some(change);
        }
        self.masks = masks;
        self.scores = pass.scores;
        self.cost *= RISE;
        Ok(())
    }

    /// The input under a mask on the image, from 0 (most perturbed) to 1 (as it is).
    fn perturbed(&self, mask: &[f32], area: usize) -> impl Iterator<Item = f32> {
        let total = self.levels[0].len();
        let value = |at: usize| {
            let (lower, upper, part) = between(mask[at % area]);
            (1.0 - part) * self.levels[lower][at] + part * self.levels[upper][at]
        };
        (0..total).map(value).collect::<Vec<f32>>().into_iter()
    }

    /// How the score changes with the mask at each pixel, given its gradient at the input.
    fn slopes(&self, mask: &[f32], gradient: &[f32], area: usize) -> Vec<f32> {
        let mut slopes = vec![0f32; area];
        for (at, gradient) in gradient.iter().enumerate() {
            let (lower, upper, _) = between(mask[at % area]);
            let rise = (LEVELS - 1) as f32 * (self.levels[upper][at] - self.levels[lower][at]);
            slopes[at % area] += gradient * rise;
        }
        slopes
    }

    /// The gradient of what a wrong area costs: sorted, the mask should be zeros, and ones for the part that is the area.
    fn of_area(&self, mask: &[f32], area: f64) -> Vec<f32> {
        let mut order: Vec<u32> = (0..mask.len() as u32).collect();
        order.sort_by(|a, b| mask[*a as usize].total_cmp(&mask[*b as usize]));
        let zeros = (mask.len() as f64 * (1.0 - area)) as usize;
        let scale = (-2.0 * self.cost / mask.len() as f64) as f32;
        let mut gradient = vec![0f32; mask.len()];
        for (rank, place) in order.into_iter().enumerate() {
            let wanted = if rank < zeros { 0.0 } else { 1.0 };
            gradient[place as usize] = scale * (mask[place as usize] - wanted);
        }
        gradient
    }

    /// The masks so far, after so many steps.
    fn attribution(&self, done: usize) -> Result<Attribution> {
        let (_, _, height, width) = self.prediction.input.dims4()?;
        let mut mean = vec![0f64; height * width];
        for mask in &self.masks {
            let share = 1.0 / self.masks.len() as f64;
            mean.iter_mut().zip(self.smooth.on_image(mask)).for_each(|(sum, open)| *sum += share * f64::from(open));
        }
        let values = mean.into_iter().map(|value| value as f32).collect();
        let values = Tensor::from_vec(values, (1, height, width), self.prediction.input.device())?;
        let (unit, verb) = match self.options.game {
            Game::Preserve => ("how far the place is kept", "keeping"),
            Game::Delete => ("how far the place is deleted", "deleting"),
            Game::Dual => ("how far the place is kept, or deleted", "keeping"),
        };
        let name = self.prediction.score_name();
        let mut note = format!("The {name} is {:.2} for the whole image", self.prediction.score);
        for (area, score) in self.options.areas.iter().zip(&self.scores) {
            note += &format!(", {score:.2} {verb} {:.3} % of it", area * 100.0);
        }
        note.push('.');
        if done < self.options.steps {
            note += &format!(" Stopped after {done} of {} steps.", self.options.steps);
        }
        let attribution =
            Attribution::new("extremal perturbation", self.prediction, values, Sign::Positive, unit.to_owned());
        Ok(attribution.noted(note))
    }
}

/// The levels that a mask's value lies between, and how far it is from the first.
fn between(open: f32) -> (usize, usize, f32) {
    let place = open * (LEVELS - 1) as f32;
    let lower = (place.floor().max(0.0) as usize).min(LEVELS - 1);
    (lower, (lower + 1).min(LEVELS - 1), place - lower as f32)
}

/// Turns each line round.
fn mirror(values: &mut [f32], width: usize, mirrored: bool) {
    if mirrored {
        values.chunks_exact_mut(width).for_each(<[f32]>::reverse);
    }
}

/// Planes blurred with a Gaussian of 4 σ to each side, and zeros beyond the edges.
fn blurred(input: &[f32], [height, width]: [usize; 2], sigma: f32) -> Vec<f32> {
    if sigma <= 0.0 {
        return input.to_vec();
    }
    let radius = (4.0 * f64::from(sigma)).ceil() as usize;
    let weight = |tap: usize| (-0.5 * ((tap as f64 - radius as f64) / f64::from(sigma)).powi(2)).exp();
    let sum: f64 = (0..=2 * radius).map(weight).sum();
    let kernel: Vec<f64> = (0..=2 * radius).map(|tap| weight(tap) / sum).collect();
    let line = |before: &[f32]| -> Vec<f32> {
        let value = |place: usize| {
            let taps: Range<usize> = radius.saturating_sub(place)..(radius + before.len() - place).min(2 * radius + 1);
            let from = (place + taps.start) - radius;
            kernel[taps].iter().zip(&before[from..]).map(|(weight, x)| weight * f64::from(*x)).sum::<f64>() as f32
        };
        (0..before.len()).map(value).collect()
    };
    let mut blurred = Vec::with_capacity(input.len());
    for plane in input.chunks_exact(height * width) {
        let mut plane: Vec<f32> = plane.chunks_exact(width).flat_map(line).collect();
        for column in 0..width {
            let down: Vec<f32> = plane.iter().skip(column).step_by(width).copied().collect();
            plane.iter_mut().skip(column).step_by(width).zip(line(&down)).for_each(|(x, y)| *x = y);
        }
        blurred.extend(plane);
    }
    blurred
}
