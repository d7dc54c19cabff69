//! Parameters of a network that has learned nothing.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Weights;
use crate::error::Result;
use crate::model::{Graph, Parameter};

impl Weights {
    /// The parameters of `graph` as PyTorch's layers begin with them.
    ///
    /// Weights of convolutions and linear layers, and their biases, are uniform in ±1/√fan-in (Kaiming-uniform with
    /// a = √5, the default of `nn.Conv2d` and `nn.Linear`). A batch-norm changes nothing: weight 1, bias 0, running
    /// mean 0, running variance 1. The same seed gives the same numbers on every machine; they are not PyTorch's.
    pub fn random(graph: &Graph, seed: u64) -> Result<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let parameters = graph.parameters();
        let shapes: BTreeMap<&str, &[usize]> =
            parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice())).collect();
        let mut tensor = |parameter: &Parameter| {
            let count = parameter.shape.iter().product();
            let values: Vec<f32> = match beginning(parameter, &shapes) {
                Beginning::Constant(value) => vec![value; count],
                Beginning::Uniform(bound) => (0..count).map(|_| bound * (2.0 * random.random::<f32>() - 1.0)).collect(),
            };
            Ok((parameter.name.clone(), Tensor::from_vec(values, parameter.shape.as_slice(), &Device::Cpu)?))
        };
        let tensors: Vec<_> = parameters.iter().map(&mut tensor).collect::<Result<_>>()?;
        Self::new(tensors)
    }
}

/// How a parameter begins.
enum Beginning {
    /// All values are this.
    Constant(f32),
    /// Uniform from minus this to this.
    Uniform(f32),
}

/// PyTorch names parameters by their part in a layer, which decides how they begin.
fn beginning(parameter: &Parameter, shapes: &BTreeMap<&str, &[usize]>) -> Beginning {
    let (layer, part) = parameter.name.rsplit_once('.').unwrap_or(("", &parameter.name));
    let weight = shapes.get(format!("{layer}.weight").as_str());
    match part {
        "running_mean" => Beginning::Constant(0.0),
        "running_var" => Beginning::Constant(1.0),
        "bias" => weight.and_then(|shape| bound(shape)).map_or(Beginning::Constant(0.0), Beginning::Uniform),
        // the weight of a batch-norm has no fan-in
        _ => bound(&parameter.shape).map_or(Beginning::Constant(1.0), Beginning::Uniform),
    }
}

/// 1/√fan-in of a weight [out, in, …].
fn bound(shape: &[usize]) -> Option<f32> {
    let [_, inputs @ ..] = shape else { return None };
    let fan_in: usize = inputs.iter().product();
    (!inputs.is_empty()).then(|| 1.0 / (fan_in.max(1) as f32).sqrt())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::zoo;

    fn squeezenet() -> Graph {
        zoo::squeezenet::squeezenet1_1().unwrap()
    }

    fn values(weights: &Weights, name: &str) -> Vec<f32> {
        weights.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn they_fit_the_network_and_the_seed_decides() {
        let weights = Weights::random(&squeezenet(), 7).unwrap();
        weights.check(&squeezenet()).unwrap();
        assert_eq!(weights.hash(), Weights::random(&squeezenet(), 7).unwrap().hash());
        assert_ne!(weights.hash(), Weights::random(&squeezenet(), 8).unwrap().hash());
    }

    #[test]
    fn a_convolution_is_uniform_by_its_fan_in() {
        let weights = Weights::random(&squeezenet(), 1).unwrap();
        for (name, fan_in) in [("classifier.1.weight", 512.0f32), ("features.3.expand3x3.weight", 144.0)] {
            let (values, bound) = (values(&weights, name), 1.0 / fan_in.sqrt());
            assert!(values.iter().all(|value| value.abs() <= bound), "{name}");
            assert!(values.iter().any(|value| *value > 0.99 * bound), "{name}");
            assert!(values.iter().any(|value| *value < -0.99 * bound), "{name}");
            // the variance of a uniform distribution is a third of its bound squared
            let variance = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
            assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.05, "{name}: {variance}");
        }
        let bias = values(&weights, "classifier.1.bias");
        assert!(bias.iter().all(|value| value.abs() <= 1.0 / 512f32.sqrt()) && bias.iter().any(|value| *value != 0.0));
    }

    #[test]
    fn a_batch_norm_begins_by_changing_nothing() {
        let shapes: Vec<(&str, Vec<usize>)> = vec![
            ("conv.weight", vec![8, 4, 3, 3]),
            ("bn.weight", vec![8]),
            ("bn.bias", vec![8]),
            ("bn.running_mean", vec![8]),
            ("bn.running_var", vec![8]),
            ("fc.weight", vec![5, 16]),
            ("fc.bias", vec![5]),
        ];
        let by_name: BTreeMap<&str, &[usize]> = shapes.iter().map(|(name, shape)| (*name, shape.as_slice())).collect();
        let begins = |at: usize| {
            let (name, shape) = &shapes[at];
            match beginning(&Parameter { name: (*name).to_owned(), shape: shape.clone() }, &by_name) {
                Beginning::Constant(value) => (value, 0.0),
                Beginning::Uniform(bound) => (0.0, bound),
            }
        };
        let found: Vec<(f32, f32)> = (0..shapes.len()).map(begins).collect();
        let expected = [(0.0, 1.0 / 6.0), (1.0, 0.0), (0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 0.25), (0.0, 0.25)];
        assert_eq!(found, expected);
    }
}
