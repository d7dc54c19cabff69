//! SmoothGrad, SquareGrad and VarGrad: statistics of the gradient over noisy copies of the image.

use std::ops::Range;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::anytime::{Anytime, Estimate, Means, Sampling};
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{Options, choices, function};
use crate::model::{Input, Rules};
use crate::tensor::{normal, with_values};
use crate::vis::{Explain, Gradients, Pass, Prediction};

/// What is made of the results for noisy copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statistic {
    /// SmoothGrad.
    #[default]
    Mean,
    /// SquareGrad: the mean of the squares.
    Square,
    /// VarGrad.
    Variance,
}

choices!(Statistic { "mean" => Mean, "square" => Square, "variance" => Variance });

/// Noisy copies of an image.
#[derive(Clone, Copy, Debug, Options)]
pub struct Noise {
    /// The standard deviation of the noise, as a part of the range of the network's input.
    #[default(0.15)]
    #[range(0.0..=10.0)]
    pub noise: f64,
    /// What is made of the results: "mean" (SmoothGrad), "square" (SquareGrad, the mean of the squares) or "variance"
    /// (VarGrad).
    #[default("mean")]
    pub statistic: Statistic,
}

/// How many noisy copies are usual.
pub(super) const USUAL: usize = 50;

impl Noise {
    /// The standard deviation in the network's input space.
    pub fn deviation(&self, prediction: &Prediction) -> Result<f32> {
        let values: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Ok((high - low) * self.noise as f32)
    }
}

/// Adds the noise of one copy.
pub(super) fn add_noise(x: &mut [f32], seed: u64, index: usize, deviation: f32) {
    let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(index as u64));
    x.iter_mut().zip(normal(&mut random)).for_each(|(value, noise)| *value += deviation * noise);
}

/// A statistic over samples.
pub(super) struct Moments {
    statistic: Statistic,
    /// Of the values; without numbers if the statistic does not need them.
    values: Means,
    /// Of their squares, likewise.
    squares: Means,
}

impl Moments {
    /// The statistic of samples of so many numbers.
    pub fn new(statistic: Statistic, count: usize) -> Self {
        let of = |needed: bool| Means::new(if needed { count } else { 0 });
        Self { statistic, values: of(statistic != Statistic::Square), squares: of(statistic != Statistic::Mean) }
    }

    /// Takes one sample.
    pub fn add(&mut self, sample: &[f32]) {
        self.values.add_each(sample, f64::from);
        self.squares.add_each(sample, |value| f64::from(value).powi(2));
    }
}

impl Estimate for Moments {
    fn samples(&self) -> usize {
        self.values.samples()
    }

    fn groups(&self) -> usize {
        self.values.groups().min(self.squares.groups())
    }

    fn of(&self, part: &(dyn Fn(usize) -> bool + Sync)) -> Vec<f64> {
        match self.statistic {
            Statistic::Mean => self.values.of(part),
            Statistic::Square => self.squares.of(part),
            Statistic::Variance => {
                let (means, mut squares) = (self.values.of(part), self.squares.of(part));
                squares.iter_mut().zip(means).for_each(|(square, mean)| *square = (*square - mean * mean).max(0.0));
                squares
            }
        }
    }

    fn error(&self) -> Option<Vec<f64>> {
        match self.statistic {
            Statistic::Mean => self.values.error(),
            Statistic::Square => self.squares.error(),
            Statistic::Variance => self.halved_error(),
        }
    }
}

/// The gradient, averaged over noisy copies of the image: what remains does not hang on single pixels. Its squares
/// (SquareGrad) and its variance (VarGrad) say how strongly the score reacts to a pixel. `smooth` does the same with any
/// other method.
///
/// ```rhai
/// smooth_grad(photo("chelsea"), samples=10, seed=1)
/// ```
#[function(
    source = "Smilkov et al., SmoothGrad, 2017, arXiv:1706.03825; Hooker et al., 2019, arXiv:1806.10758 (SquareGrad); Adebayo et al., 2018, arXiv:1810.03292 (VarGrad)"
)]
pub fn smooth_grad(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] sampling: &Sampling,
    #[options] noise: &Noise,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    // copy number i has the noise of `randn([C, h, w], seed=seed + i)`
    let (seed, deviation) = (job.seed(sampling.seed), noise.deviation(&prediction)?);
    let (name, unit) = match noise.statistic {
        Statistic::Mean => ("SmoothGrad", "|mean gradient|"),
        Statistic::Square => ("SquareGrad", "mean squared gradient"),
        Statistic::Variance => ("VarGrad", "variance of the gradient"),
    };
    let unit = format!("{unit} of the {}", prediction.score_name());
    let (blank, count) = (prediction.input.zeros_like()?.squeeze(0)?, prediction.input.elem_count());
    let blank = Attribution::new(name, &prediction, blank, Sign::Magnitude, unit);
    let mut sampler = Anytime::new(blank, Moments::new(noise.statistic, count), sampling, USUAL);
    let make = |index: usize, x: &mut [f32]| {
        add_noise(x, seed, index, deviation);
        Ok(())
    };
    let take = |sampler: &mut Anytime<Moments>, _: Range<usize>, pass: Pass| {
        with_values(&pass.gradient, |gradients| {
            gradients.chunks_exact(count).for_each(|gradient| sampler.estimate.add(gradient));
        })
    };
    let at = Gradients { rules: &Rules::default(), layer: None };
    let outcome = prediction.each_gradient(job, "SmoothGrad", sampler.most(), &at, &mut sampler, make, take);
    sampler.finish(outcome)
}
