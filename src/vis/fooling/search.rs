//! What the searches for adversarial examples share: the best image so far, the record of the way, the loop of steps.

use std::ops::ControlFlow;

use super::ball::{difference, length, scale_of_length, scaled};
use super::fooled::{Course, Fooled, Moment};
use super::lens::Said;
use super::loss::Loss;
use super::victim::{Slope, Victim, only};
use crate::error::{Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::Dynamic;

/// Scales that are looked at together.
const TOGETHER: usize = 8;
/// How often the interval of scales that is left is divided into nine.
const ROUNDS: usize = 2;
/// The scales at first: parts of the one at which rounding keeps the length.
const NEAR: [f32; TOGETHER] = [0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0];
/// And if none of those does.
const FAR: [f32; TOGETHER] = [5.6, 8.0, 11.0, 16.0, 23.0, 32.0, 64.0, 128.0];

/// When an image is good enough.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wish {
    /// The network is fooled, and its scores are apart by at least so much.
    Margin(f32),
    /// The network is fooled, and at least so sure.
    Probability(f32),
}

/// Which of the images that are good enough is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefer {
    /// The one that fools the network most.
    Surest,
    /// The one nearest to the original.
    Nearest,
}

/// An image of 8 bits that may become the result.
#[derive(Clone, Debug)]
struct Candidate {
    pixels: Vec<f32>,
    good: bool,
    advantage: f32,
    distance: f64,
}

/// A search for an adversarial example.
pub(super) struct Search<'a> {
    pub victim: &'a Victim,
    wish: Wish,
    prefer: Prefer,
    best: Option<Candidate>,
    pub course: Course,
}

impl<'a> Search<'a> {
    /// A search that has only seen the original.
    pub fn new(victim: &'a Victim, wish: Wish, prefer: Prefer) -> Self {
        let mut search = Self { victim, wish, prefer, best: None, course: Course::default() };
        search.record(&victim.said);
        search
    }

    /// Remembers what the network said about the next image.
    pub fn record(&mut self, said: &Said) {
        self.record_at(self.course.moments.len(), said);
    }

    /// The same for an image of a known number.
    pub fn record_at(&mut self, step: usize, said: &Said) {
        self.course.looks += 1;
        let (own, rival) = (self.victim.own, self.victim.rival(said));
        self.course.moments.push(Moment::of(step, said, own, rival));
    }

    /// Shows an image of 8 bits to the network, remembers what it said, and takes the image for the result if it is
    /// better than those before.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn look(&mut self, job: &Job, pixels: &[f32]) -> Result<Said> {
        let said = only(self.victim.lens.says(job.interrupt(), pixels.to_vec())?)?;
        self.seen(pixels, &said);
        Ok(said)
    }

    /// The same with the gradient of a loss.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn slope(&mut self, job: &Job, pixels: &[f32], loss: Loss) -> Result<Slope> {
        let slope = self.victim.slope(job.interrupt(), pixels, loss)?;
        self.seen(pixels, &slope.said);
        Ok(slope)
    }

    /// Remembers what the network said about an image of 8 bits, and takes it for the result if it is better; the
    /// original counts only once.
    pub fn seen(&mut self, pixels: &[f32], said: &Said) {
        if pixels != self.victim.pixels() {
            self.record(said);
            self.offer(pixels, said);
        }
    }

    /// Whether an image about which the network said this is good enough.
    pub fn is_good(&self, said: &Said) -> bool {
        let advantage = self.victim.advantage(said);
        advantage > 0.0
            && match self.wish {
                Wish::Margin(margin) => advantage >= margin,
                Wish::Probability(least) => said.probability(self.victim.rival(said)) >= least,
            }
    }

    /// Takes an image of 8 bits for the result if it is better than those before.
    pub fn offer(&mut self, pixels: &[f32], said: &Said) {
        let good = self.is_good(said);
        let advantage = self.victim.advantage(said);
        let distance = length(&difference(pixels, self.victim.pixels()));
        let better = self.best.as_ref().is_none_or(|best| match (good, best.good) {
            (true, false) => true,
            (false, true) => false,
            (true, true) if self.prefer == Prefer::Nearest => distance < best.distance,
            _ => advantage > best.advantage,
        });
        if better {
            self.best = Some(Candidate { pixels: pixels.to_vec(), good, advantage, distance });
        }
    }

    /// Whether there is an image that is good enough.
    pub fn has_good(&self) -> bool {
        self.best.as_ref().is_some_and(|best| best.good)
    }

    /// How far the best image so far is from the original.
    pub fn distance(&self) -> f64 {
        self.best.as_ref().map_or(0.0, |best| best.distance)
    }

    /// Keeps the length of a perturbation that fools the network but is not rounded yet, if it is the shortest.
    pub fn keep_unrounded(&mut self, length: f64) {
        let least = self.course.unrounded_l2.get_or_insert(length);
        *least = least.min(length);
    }

    /// The pixels of the best image so far, or of the original.
    pub fn pixels(&self) -> &[f32] {
        self.best.as_ref().map_or(self.victim.pixels(), |best| &best.pixels)
    }

    /// The best image so far, to be shown.
    pub fn preview(&self) -> Result<Dynamic> {
        let original = &self.victim.original;
        let image = Image::from_planes(original.width(), original.height(), self.pixels().to_vec(), None)?;
        Ok(Dynamic::from(image))
    }

    /// Takes up to `steps` steps, numbered from 1, each reported with the best image so far, until one says that it was
    /// the last.
    ///
    /// # Errors
    /// A step failed, or the job was interrupted; what was found is kept.
    pub fn steps(
        &mut self,
        job: &Job,
        label: &str,
        steps: usize,
        mut step: impl FnMut(&mut Self, usize) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let progress = job.progress(label, steps);
        for number in 1..=steps {
            let next = step(self, number)?;
            progress.advance_showing(1, &|| self.preview())?;
            if next.is_break() {
                progress.end();
                break;
            }
        }
        Ok(())
    }

    /// Looks for the nearest image of 8 bits in the direction of a perturbation that is good enough: the perturbation
    /// is scaled before it is rounded, and the scale bisected. A perturbation of less than a level, which rounding by
    /// itself would take away, becomes a few whole levels where it is strongest.
    ///
    /// # Errors
    /// The run was interrupted.
    pub fn settle(&mut self, job: &Job, delta: &[f32]) -> Result<()> {
        let original = self.victim.pixels();
        let long = length(delta);
        if long == 0.0 || !long.is_finite() {
            return Ok(());
        }
        // the shortest perturbation that there is has one level
        let start = scale_of_length(original, delta, long.max(1.0 / 255.0)).max(f32::MIN_POSITIVE);
        let (mut low, mut high) = (0.0, None);
        for grid in [NEAR, FAR] {
            let scales = grid.map(|part| part * start);
            match self.first_good(job, delta, &scales)? {
                Some(place) => {
                    low = place.checked_sub(1).and_then(|before| scales.get(before).copied()).unwrap_or(low);
                    high = scales.get(place).copied();
                    break;
                }
                None => low = scales.last().copied().unwrap_or(low),
            }
        }
        let Some(mut high) = high else { return Ok(()) };
        for _ in 0..ROUNDS {
            let part = (high - low) / (TOGETHER + 1) as f32;
            let scales: [f32; TOGETHER] = std::array::from_fn(|place| low + part * (place + 1) as f32);
            match self.first_good(job, delta, &scales)? {
                Some(place) => (low, high) = (low + part * place as f32, low + part * (place + 1) as f32),
                None => low += part * TOGETHER as f32,
            }
        }
        Ok(())
    }

    /// The first of rising scales at which a perturbation is good enough once it is rounded.
    fn first_good(&mut self, job: &Job, delta: &[f32], scales: &[f32; TOGETHER]) -> Result<Option<usize>> {
        let images: Vec<Vec<f32>> = scales.iter().map(|scale| scaled(self.victim.pixels(), delta, *scale)).collect();
        let said = self.victim.lens.says(job.interrupt(), images.concat())?;
        self.course.looks += said.len();
        let mut first = None;
        for (place, (pixels, said)) in images.iter().zip(&said).enumerate() {
            // one that is not good enough is only further away
            if self.is_good(said) {
                self.offer(pixels, said);
                first = first.or(Some(place));
            }
        }
        Ok(first)
    }

    /// What was found, whether the search came to its end or was interrupted.
    ///
    /// # Errors
    /// The search failed.
    pub fn finish(self, method: &'static str, outcome: Result<()>) -> Result<Fooled> {
        match outcome {
            Err(error) if error.kind() != Kind::Interrupted => return Err(error),
            _ => {}
        }
        let pixels = self.pixels().to_vec();
        Fooled::judge(self.victim, method, &pixels, self.course)
    }
}
