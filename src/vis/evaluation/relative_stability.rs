//! Relative stability: the relative change of the map, over that of the input, of the output, or of a layer.

use candle_core::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::again::{Again, norm, range, values};
use super::measure::{Better, Measure};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{choices, function};
use crate::model::{Input, LayerName, Model, Rules, resolve_layer};
use crate::tensor::normal;
use crate::vis::Explain;
use crate::vis::attribution::Method;

/// What a map's change is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Against {
    /// The relative change of the network's input.
    #[default]
    Input,
    /// The change of its logits.
    Output,
    /// The relative change of a layer's activations.
    Layer,
}

choices!(Against { "input" => Input, "output" => Output, "layer" => Layer });

/// What a division by zero is replaced by, and the least change that is divided by.
const LEAST: f64 = 1e-6;

/// How much the map changes relative to what changes it, at most over noisy copies of the image: the norm of the relative
/// change of each value, over that of the input, of the output (not relative), or of a layer.
///
/// Copies for which the network's first answer is another do not count.
///
/// ```rhai
/// relative_stability(grad_cam, photo("chelsea"), samples=4, seed=1)
/// ```
#[function(
    source = "Agarwal et al., Rethinking Stability for Attribution-based Explanations, 2022, arXiv:2203.06877; Quantus"
)]
pub fn relative_stability(
    job: &Job,
    /// The method: the name of one, or a function of an image that returns an attribution.
    method: &Method,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    /// What the map's change is compared with: "input", "output" or "layer".
    #[default("input")]
    against: Against,
    /// The layer for `against="layer"`: a layer or the name of one; the network's default for Grad-CAM if not given.
    #[default]
    layer: Option<LayerName>,
    /// The standard deviation of the noise, as a part of the range of the network's input.
    #[default(0.01)]
    #[range(0.000001..=10.0)]
    noise: f64,
    /// How many noisy copies.
    #[default(200)]
    #[range(1..=100000)]
    samples: usize,
    /// The seed of the noise; copy number i has the noise of `randn([1, C, h, w], seed=seed + i)`. Without it, the next of
    /// the session's.
    #[default]
    seed: Option<u64>,
    #[options] explain: &Explain,
) -> Result<Measure> {
    let seed = job.seed(seed);
    let again = Again::new(job, method, image, explain)?;
    let prediction = &again.clean.prediction;
    let model = &prediction.model;
    let layer = (against == Against::Layer)
        .then(|| resolve_layer(job, layer.as_ref(), Some(model), Model::default_cam_layer))
        .transpose()?;
    // the network's answer, and what the change is compared with
    let look = |input: &Tensor| -> Result<(Vec<f32>, Vec<f64>)> {
        let output = model.graph().output();
        let at = layer.as_ref().map_or(output, |layer| layer.id());
        let ran = model.run(input, &[output, at], &Rules::default(), job.interrupt())?;
        let seen = if against == Against::Input { input } else { &ran[1] };
        let seen: Vec<f32> = seen.flatten_all()?.to_vec1()?;
        Ok((ran[0].flatten_all()?.to_vec1()?, seen.into_iter().map(f64::from).collect()))
    };
    let first = |answer: &[f32]| {
        let best = answer.iter().enumerate().reduce(|best, other| if other.1 > best.1 { other } else { best });
        best.map(|(class, _)| class)
    };
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let deviation = range(&input) * noise as f32;
    let clean = values(&again.clean)?;
    let (answer, before) = look(&prediction.input)?;
    let relative = |is: f64, was: f64| (was - is) / if was == 0.0 { LEAST } else { was };
    let progress = job.progress("relative stability", samples);
    let (mut greatest, mut counted) = (0f64, 0usize);
    for index in 0..samples {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(index as u64));
        let noisy: Vec<f32> = input.iter().zip(normal(&mut random)).map(|(x, noise)| x + deviation * noise).collect();
        let noisy_input = Tensor::from_vec(noisy.clone(), prediction.input.shape(), prediction.input.device())?;
        let (other_answer, after) = look(&noisy_input)?;
        if first(&other_answer) == first(&answer) {
            counted += 1;
            let other = values(&again.of_input(job, noisy)?)?;
            let change = norm(other.iter().zip(&clean).map(|(is, was)| relative(*is, *was)));
            let pairs = after.iter().zip(&before);
            let cause = match against {
                Against::Output => norm(pairs.map(|(is, was)| was - is)),
                Against::Input | Against::Layer => norm(pairs.map(|(is, was)| relative(*is, *was))),
            };
            greatest = greatest.max(change / cause.max(LEAST));
        }
        progress.advance(1)?;
    }
    if counted == 0 {
        let message = "relative_stability: every noisy copy changes the network's first answer";
        return Err(Error::new(Kind::Argument, message).with_hint("take less noise").at_argument("noise"));
    }
    let (name, meaning) = match against {
        Against::Input => ("relative input stability", "greatest relative change of the map, over that of the input"),
        Against::Output => {
            ("relative output stability", "greatest relative change of the map, over the change of the output")
        }
        Against::Layer => ("relative layer stability", "greatest relative change of the map, over that of the layer"),
    };
    let measure = Measure::new(name, again.name(), greatest, Better::Lower, meaning);
    Ok(if counted < samples { measure.noted(format!("{counted} of {samples} copies count")) } else { measure })
}
