//! SmoothGrad, SquareGrad and VarGrad: statistics of the gradient over noisy copies of the image.

use candle_core::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{Options, choices, function};
use crate::model::{Input, Rules};
use crate::tensor::{normal, with_values};
use crate::vis::{Explain, Gradients, Prediction};

/// Numbers that a thread takes at once.
const PART: usize = 1 << 13;

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
    /// How many noisy copies.
    #[default(50)]
    #[range(1..=100000)]
    pub samples: usize,
    /// The standard deviation of the noise, as a part of the range of the network's input.
    #[default(0.15)]
    #[range(0.0..=10.0)]
    pub noise: f64,
    /// What is made of the results: "mean" (SmoothGrad), "square" (SquareGrad, the mean of the squares) or "variance"
    /// (VarGrad).
    #[default("mean")]
    pub statistic: Statistic,
    /// The seed of the noise; copy number i has the noise of `randn([C, h, w], seed=seed + i)`. Without it, the next of the
    /// session's.
    #[default]
    pub seed: Option<u64>,
}

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

/// Sums over samples, from which their mean, squares and variance follow.
pub(super) struct Moments {
    count: usize,
    sums: Vec<[f64; 2]>,
}

impl Moments {
    pub fn new() -> Self {
        Self { count: 0, sums: Vec::new() }
    }

    /// Takes one sample.
    pub fn add(&mut self, sample: &[f32]) {
        self.add_all(sample, sample.len());
    }

    /// Takes samples of `length` numbers, one after the other.
    pub fn add_all(&mut self, samples: &[f32], length: usize) {
        self.sums.resize(length, [0.0; 2]);
        self.count += samples.len() / length.max(1);
        self.sums.par_chunks_mut(PART).enumerate().for_each(|(i, sums)| {
            for sample in samples.chunks_exact(length) {
                for ([sum, squares], value) in sums.iter_mut().zip(&sample[i * PART..]) {
                    *sum += f64::from(*value);
                    *squares += f64::from(*value).powi(2);
                }
            }
        });
    }

    /// The statistic, and the standard error of the mean where that is the statistic, both of a shape.
    pub fn finish(&self, statistic: Statistic, shape: &[usize]) -> Result<(Tensor, Option<Tensor>)> {
        let count = self.count.max(1) as f64;
        let variance = |sum: f64, squares: f64| (squares / count - (sum / count).powi(2)).max(0.0);
        let tensor = |of: &dyn Fn(f64, f64) -> f64| -> Result<Tensor> {
            let values: Vec<f32> = self.sums.iter().map(|[sum, squares]| of(*sum, *squares) as f32).collect();
            Ok(Tensor::from_vec(values, shape, &candle_core::Device::Cpu)?)
        };
        Ok(match statistic {
            Statistic::Mean => {
                let error = (self.count > 1)
                    .then(|| tensor(&|sum, squares| (variance(sum, squares) / (count - 1.0)).sqrt()))
                    .transpose()?;
                (tensor(&|sum, _| sum / count)?, error)
            }
            Statistic::Square => (tensor(&|_, squares| squares / count)?, None),
            Statistic::Variance => (tensor(&variance)?, None),
        })
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
    #[options] noise: &Noise,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    let (seed, deviation) = (job.seed(noise.seed), noise.deviation(&prediction)?);
    let mut moments = Moments::new();
    let make = |index: usize, x: &mut [f32]| {
        add_noise(x, seed, index, deviation);
        Ok(())
    };
    let at = Gradients { rules: &Rules::default(), layer: None };
    prediction.each_gradient(job, "SmoothGrad", noise.samples, &at, make, |_, pass| {
        with_values(&pass.gradient, |gradients| moments.add_all(gradients, prediction.input.elem_count()))
    })?;
    let (_, channels, height, width) = prediction.input.dims4()?;
    let (values, error) = moments.finish(noise.statistic, &[channels, height, width])?;
    let (name, unit) = match noise.statistic {
        Statistic::Mean => ("SmoothGrad", "|mean gradient|"),
        Statistic::Square => ("SquareGrad", "mean squared gradient"),
        Statistic::Variance => ("VarGrad", "variance of the gradient"),
    };
    let unit = format!("{unit} of the {}", prediction.score_name());
    let attribution = Attribution::new(name, &prediction, values, Sign::Magnitude, unit);
    Ok(match error {
        Some(error) => attribution.with_standard_error(error),
        None => attribution,
    })
}
