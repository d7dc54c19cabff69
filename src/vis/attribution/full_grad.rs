//! FullGrad: the gradient times the input, and times every bias on the way.

use candle_core::{D, Tensor};

use super::relevance::{Folded, ancestors, readers, scale_and_shift, scales_behind};
use super::{Attribution, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::model::{Input, NodeId, Op};
use crate::tensor::{Activation, InterpolateMode, interpolate, sum_of, with_values};
use crate::vis::{Explain, Prediction};

/// What is added to the largest value of a map before it is divided by it.
const LEAST: f32 = 1e-5;

/// Which places matter at the input and at every layer: the gradient times the input plus, at each convolution, the
/// gradient times its bias, with the batch-norm behind it folded in. Together they are the score, and how far they are from
/// it is stated; of functions that bend otherwise than at zero, such as ReLU6, what they add counts as a bias too. In the
/// map the magnitudes of each layer go from 0 to 1, are enlarged bilinearly and added up.
///
/// ```rhai
/// full_grad(photo("chelsea"))
/// ```
#[function(source = "Srinivas and Fleuret, Full-Gradient Representation, 2019, arXiv:1905.00780; the authors' code")]
pub fn full_grad(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    let parts = decomposition(job, &prediction)?;
    let mut total = 0.0;
    for part in &parts {
        total += with_values(part, |values| sum_of(values, f64::from))?;
    }
    let (height, width) = (prediction.input.dim(2)?, prediction.input.dim(3)?);
    let mut map = Tensor::zeros((1, height, width), prediction.input.dtype(), prediction.input.device())?;
    for part in parts.iter().filter(|part| part.rank() == 4) {
        let scaled = scaled(part)?.sum(1)?;
        map = (map + interpolate(&scaled, [height, width], InterpolateMode::Bilinear, false)?)?;
    }
    let unit = format!("importance for the {}", prediction.score_name());
    let attribution = Attribution::new("FullGrad", &prediction, map, Sign::Magnitude, unit);
    Ok(attribution.with_completeness_error(total - f64::from(prediction.score)))
}

/// Where a bias comes from.
enum Bias {
    /// Channels of a layer.
    Channels(Tensor),
    /// What a function adds to its slope times its input, whose node is given.
    Function(Activation, NodeId),
}

/// Gradient × input, then gradient × bias of each layer that has one, in order; the score is their sum.
fn decomposition(job: &Job, prediction: &Prediction) -> Result<Vec<Tensor>> {
    let (model, taps) = (&prediction.model, prediction.reads());
    let (graph, weights) = (model.graph(), model.weights());
    let needed = ancestors(graph, taps);
    let readers = readers(graph, &needed);
    let mut biases: Vec<(NodeId, Bias)> = Vec::new();
    let mut folded = vec![false; needed.len()];
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let node = graph.node(id);
        match &node.op {
            Op::Conv2d(_) | Op::Linear(_) => {
                let scales = scales_behind(graph, &readers, taps, id);
                scales.iter().for_each(|scale| folded[scale.index()] = true);
                let bias = Folded::of(graph, weights, id, &scales)?.and_then(|folded| folded.bias);
                biases.extend(bias.map(|bias| (scales.last().copied().unwrap_or(id), Bias::Channels(bias))));
            }
            op @ (Op::BatchNorm(_) | Op::Scale(_)) if !folded[id.index()] => {
                biases.push((id, Bias::Channels(scale_and_shift(op, weights)?.1)));
            }
            Op::Activation(function) if !matches!(function, Activation::Relu | Activation::LeakyRelu(_)) => {
                biases.extend(node.inputs.first().map(|input| (id, Bias::Function(*function, *input))));
            }
            _ => {}
        }
    }
    let read: Vec<NodeId> = biases.iter().filter_map(|(_, bias)| bias.read()).collect();
    let at: Vec<NodeId> = biases.iter().map(|(id, _)| *id).collect();
    let (values, gradients) = prediction.gradients(job, &read, &at)?;
    let mut values = values.into_iter();
    let mut gradients = gradients.into_iter();
    let mut parts = Vec::with_capacity(biases.len() + 1);
    parts.extend(gradients.next().map(|gradient| gradient * &prediction.input).transpose()?);
    for ((_, bias), gradient) in biases.iter().zip(gradients) {
        parts.push(match bias {
            Bias::Channels(bias) => {
                let shape: Vec<usize> =
                    (0..gradient.rank()).map(|axis| if axis == 1 { bias.elem_count() } else { 1 }).collect();
                gradient.broadcast_mul(&bias.reshape(shape)?)?
            }
            Bias::Function(function, _) => {
                let Some(x) = values.next() else { continue };
                let added = crate::tensor::map(&x, |x| function.value(x) - function.derivative(x) * x)?;
                (gradient * added)?
            }
        });
    }
    Ok(parts)
}

impl Bias {
    /// The node whose value it needs.
    fn read(&self) -> Option<NodeId> {
        match self {
            Self::Channels(_) => None,
            Self::Function(_, input) => Some(*input),
        }
    }
}

/// Magnitudes from 0 to 1.
fn scaled(part: &Tensor) -> Result<Tensor> {
    let part = part.abs()?;
    let flat = part.flatten_all()?;
    let (low, high): (f32, f32) = (flat.min(D::Minus1)?.to_scalar()?, flat.max(D::Minus1)?.to_scalar()?);
    crate::tensor::map(&part, |value| (value - low) / (high - low + LEAST))
}
