//! Random graphs of all operations, for tests.
#![allow(clippy::unwrap_used)]

use rand_chacha::ChaCha8Rng;

use super::{BatchNorm, Builder, Conv2d, Graph, Linear, NodeId, Op, Patch, Scale, Weights};
use crate::tensor::testing::{pick, random};
use crate::tensor::{Activation, Conv2dParams, LocalResponseNorm, Pool2dParams};

/// A graph in the making: every node with its shape for one image.
struct Sketch {
    builder: Builder,
    nodes: Vec<(NodeId, Vec<usize>)>,
}

impl Sketch {
    fn new(channels: usize, height: usize, width: usize) -> Self {
        let (builder, input) = Builder::new(channels);
        Self { builder, nodes: vec![(input, vec![channels, height, width])] }
    }

    /// Adds an operation if its shapes fit.
    fn add(&mut self, op: Op, inputs: &[usize]) -> bool {
        let shapes: Vec<&[usize]> = inputs.iter().map(|i| self.nodes[*i].1.as_slice()).collect();
        let Ok(shape) = op.output_shape(&shapes) else { return false };
        if shape.iter().product::<usize>() > 20_000 {
            return false;
        }
        let ids: Vec<NodeId> = inputs.iter().map(|i| self.nodes[*i].0).collect();
        let id = self.builder.add(&format!("n{}", self.nodes.len()), &[], op, &ids);
        self.nodes.push((id, shape));
        true
    }
}

fn conv(rng: &mut ChaCha8Rng, name: String, channels: usize) -> Op {
    let mut pair = |range: std::ops::RangeInclusive<usize>| [pick(rng, range.clone()), pick(rng, range)];
    let kernel = pair(1..=4);
    let (stride, dilation, padding) = (pair(1..=3), pair(1..=2), [pair(0..=2), pair(0..=2)]);
    // the usual kinds are as frequent as the odd ones
    let (kernel, params) = match pick(rng, 0..=4) {
        0 => ([1, 1], Conv2dParams::new(1, 0)),
        1 | 2 => ([3, 3], Conv2dParams::new(1, pick(rng, 0..=2))),
        3 => ([3, 3], Conv2dParams::new(2, 1)),
        _ => (kernel, Conv2dParams { stride, padding, dilation, groups: 1 }),
    };
    let divisors: Vec<usize> = (1..=channels).filter(|groups| channels.is_multiple_of(*groups)).collect();
    let groups = if pick(rng, 0..=3) == 0 { divisors[pick(rng, 0..=divisors.len() - 1)] } else { 1 };
    let out_channels = if groups == channels && pick(rng, 0..=1) == 0 { channels } else { groups * pick(rng, 1..=24) };
    let params = Conv2dParams { groups, ..params };
    let bias = (pick(rng, 0..=1) == 0).then(|| format!("{name}.bias"));
    Op::Conv2d(Conv2d { in_channels: channels, out_channels, kernel, params, weight: format!("{name}.weight"), bias })
}

fn pool(rng: &mut ChaCha8Rng) -> Pool2dParams {
    let kernel = [pick(rng, 1..=3), pick(rng, 1..=3)];
    Pool2dParams {
        kernel,
        stride: [pick(rng, 1..=3), pick(rng, 1..=3)],
        padding: kernel.map(|kernel| [pick(rng, 0..=kernel / 2), pick(rng, 0..=kernel / 2)]),
        ceil_mode: pick(rng, 0..=1) == 1,
    }
}

fn function(rng: &mut ChaCha8Rng) -> Activation {
    let all = [
        Activation::Relu,
        Activation::Relu,
        Activation::Relu,
        Activation::RELU6,
        Activation::Clip(-0.5, 0.7),
        Activation::LeakyRelu(0.2),
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Silu,
        Activation::HardSigmoid,
        Activation::HardSwish,
        Activation::Gelu,
    ];
    all[pick(rng, 0..=all.len() - 1)]
}

/// A change of some channels of a value.
pub(crate) fn edit(rng: &mut ChaCha8Rng, name: &str, shape: &[usize]) -> Op {
    let of = shape[0];
    if pick(rng, 0..=1) == 0 {
        return Op::ScaleChannels((0..of).map(|_| [1.0, 0.0, -0.5][pick(rng, 0..=2)]).collect());
    }
    let mut channels: Vec<usize> = (0..of).filter(|_| pick(rng, 0..=2) == 0).collect();
    if channels.is_empty() {
        channels.push(pick(rng, 0..=of - 1));
    }
    channels.reverse();
    let sides = if shape.len() == 3 && pick(rng, 0..=1) == 0 { &shape[1..] } else { &[] };
    let shape = [&[channels.len()], sides].concat();
    Op::Patch(Patch { of, channels, values: format!("{name}.values"), shape })
}

/// A random graph of `size` attempts at an operation, and as many more as it takes to have one.
pub(crate) fn graph(rng: &mut ChaCha8Rng, size: usize) -> (Graph, [usize; 3]) {
    let (sketch, image) = sketch(rng, size, &|_| true);
    (sketch.builder.finish().unwrap(), image)
}

/// A random network that answers with so many numbers, made of some of all operations.
pub(crate) fn classifier(
    rng: &mut ChaCha8Rng,
    size: usize,
    outputs: usize,
    allowed: &dyn Fn(&Op) -> bool,
) -> (Graph, [usize; 3]) {
    let (mut sketch, image) = sketch(rng, size, allowed);
    let last = sketch.nodes.len() - 1;
    if sketch.nodes[last].1.len() == 3 {
        assert!(sketch.add(Op::Flatten, &[last]));
    }
    let last = sketch.nodes.len() - 1;
    let (weight, bias) = ("answer.weight".to_owned(), Some("answer.bias".to_owned()));
    let in_features = sketch.nodes[last].1[0];
    assert!(sketch.add(Op::Linear(Linear { in_features, out_features: outputs, weight, bias }), &[last]));
    (sketch.builder.finish().unwrap(), image)
}

fn sketch(rng: &mut ChaCha8Rng, size: usize, allowed: &dyn Fn(&Op) -> bool) -> (Sketch, [usize; 3]) {
    let image = [pick(rng, 1..=17), pick(rng, 5..=13), pick(rng, 5..=13)];
    let mut sketch = Sketch::new(image[0], image[1], image[2]);
    let mut attempts = 0;
    while attempts < size || sketch.nodes.len() < 2 {
        attempts += 1;
        let name = format!("n{}", sketch.nodes.len());
        // mostly what came last, so that chains arise
        let last = sketch.nodes.len() - 1;
        let x = if pick(rng, 0..=2) > 0 { last } else { pick(rng, 0..=last) };
        let shape = sketch.nodes[x].1.clone();
        let channels = shape[0];
        let alike = |rng: &mut ChaCha8Rng, same: &dyn Fn(&[usize]) -> bool| {
            let candidates: Vec<usize> = (0..=last).filter(|i| same(&sketch.nodes[*i].1)).collect();
            candidates[pick(rng, 0..=candidates.len() - 1)]
        };
        let (op, inputs) = match pick(rng, 0..=16) {
            0..=4 => (conv(rng, name, channels), vec![x]),
            5 | 6 => (Op::Activation(function(rng)), vec![x]),
            7 => {
                let named = |part: &str| format!("{name}.{part}");
                let (weight, bias, mean, var) = (named("weight"), named("bias"), named("mean"), named("var"));
                (Op::BatchNorm(BatchNorm { channels, weight, bias, mean, var, eps: 1e-3 }), vec![x])
            }
            8 => {
                let named = |part: &str, there: bool| there.then(|| format!("{name}.{part}"));
                let (scale, shift) = (named("scale", pick(rng, 0..=1) == 0), named("shift", pick(rng, 0..=1) == 0));
                (Op::Scale(Scale { channels, scale, shift }), vec![x])
            }
            9 => (Op::MaxPool2d(pool(rng)), vec![x]),
            10 => match pick(rng, 0..=2) {
                0 => (Op::GLOBAL_AVG_POOL, vec![x]),
                1 => (Op::AdaptiveAvgPool2d([pick(rng, 1..=4), pick(rng, 1..=4)]), vec![x]),
                _ => (Op::AvgPool2d { params: pool(rng), count_include_pad: pick(rng, 0..=1) == 0 }, vec![x]),
            },
            11 => {
                let same = |other: &[usize]| other.len() == 3 && other.get(1..) == shape.get(1..);
                if shape.len() != 3 {
                    continue;
                }
                let others: Vec<usize> = (0..pick(rng, 1..=3)).map(|_| alike(rng, &same)).collect();
                (Op::Concat, std::iter::once(x).chain(others).collect())
            }
            12 => {
                let others: Vec<usize> = (0..pick(rng, 1..=2)).map(|_| alike(rng, &|other| other == shape)).collect();
                (Op::Add, std::iter::once(x).chain(others).collect())
            }
            13 => {
                let same = |other: &[usize]| other == shape || *other == [channels, 1, 1];
                let other = alike(rng, &same);
                (Op::Mul, if pick(rng, 0..=1) == 0 { vec![x, other] } else { vec![other, x] })
            }
            16 => (edit(rng, &name, &shape), vec![x]),
            14 => match pick(rng, 0..=3) {
                0 => (Op::Dropout, vec![x]),
                1 => (Op::Softmax, vec![x]),
                2 => (Op::ZeroPad([[1, 0], [2, 1]]), vec![x]),
                _ => {
                    let size = pick(rng, 1..=5);
                    (Op::LocalResponseNorm(LocalResponseNorm { size, alpha: 0.3, beta: 0.75, k: 1.5 }), vec![x])
                }
            },
            _ if shape.len() == 1 => {
                let (weight, bias) = (format!("{name}.weight"), Some(format!("{name}.bias")));
                let out_features = pick(rng, 1..=40);
                (Op::Linear(Linear { in_features: channels, out_features, weight, bias }), vec![x])
            }
            _ if pick(rng, 0..=2) == 0 => (Op::Flatten, vec![x]),
            _ => continue,
        };
        if allowed(&op) {
            sketch.add(op, &inputs);
        }
    }
    (sketch, image)
}

/// Random weights for a graph.
pub(crate) fn weights(rng: &mut ChaCha8Rng, graph: &Graph) -> Weights {
    let parameters = graph.parameters().into_iter().map(|parameter| {
        let fan_in: usize = parameter.shape.iter().skip(1).product();
        let tensor = (random(rng, parameter.shape.as_slice()) * (2.0 / (fan_in as f64).sqrt())).unwrap();
        let positive = parameter.name.ends_with(".var");
        (parameter.name, if positive { (tensor.abs().unwrap() + 0.3).unwrap() } else { tensor })
    });
    Weights::new(parameters).unwrap()
}
