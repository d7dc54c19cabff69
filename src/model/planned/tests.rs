//! The planned executor against the reference executor, on random graphs of all operations.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use candle_core::{Tensor, Var};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Planned;
use crate::job::Interrupt;
use crate::model::{
    BatchNorm, Builder, Conv2d, Executor, Graph, Linear, NodeId, Op, Reference, Rules, Run, Scale, Weights,
};
use crate::tensor::testing::{assert_close, pick, random, rng, values};
use crate::tensor::{Activation, Conv2dParams, LocalResponseNorm, Pool2dParams, ReluRule};

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

/// A random graph of `size` attempts at an operation, and as many more as it takes to have one.
fn graph(rng: &mut ChaCha8Rng, size: usize) -> (Graph, [usize; 3]) {
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
        let (op, inputs) = match pick(rng, 0..=15) {
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
        sketch.add(op, &inputs);
    }
    (sketch.builder.finish().unwrap(), image)
}

fn weights(rng: &mut ChaCha8Rng, graph: &Graph) -> Weights {
    let parameters = graph.parameters().into_iter().map(|parameter| {
        let fan_in: usize = parameter.shape.iter().skip(1).product();
        let tensor = (random(rng, parameter.shape.as_slice()) * (2.0 / (fan_in as f64).sqrt())).unwrap();
        let positive = parameter.name.ends_with(".var");
        (parameter.name, if positive { (tensor.abs().unwrap() + 0.3).unwrap() } else { tensor })
    });
    Weights::new(parameters).unwrap()
}

/// Values of the taps, and the gradient of a random combination of them.
fn run(
    executor: &dyn Executor,
    x: &Tensor,
    taps: &[NodeId],
    rules: &Rules,
    above: &[Tensor],
) -> (Vec<Vec<f32>>, Vec<f32>) {
    let x = Var::from_tensor(x).unwrap();
    let run = Run { taps, rules, interrupt: &Interrupt::never() };
    let plain = executor.run(&x.as_tensor().detach(), &run).unwrap();
    let tracked = executor.run(&x, &run).unwrap();
    let mut score: Option<Tensor> = None;
    for ((value, detached), above) in tracked.iter().zip(&plain).zip(above) {
        assert_close(&values(value), &values(detached), 1e-4, "with and without a gradient");
        let part = (value * above).unwrap().sum_all().unwrap();
        score = Some(match score {
            None => part,
            Some(score) => (score + part).unwrap(),
        });
    }
    let gradients = score.unwrap().backward().unwrap();
    let gradient = gradients.get(&x).map(values).unwrap_or_else(|| vec![0.0; x.elem_count()]);
    let (direct, back) = executor.pullback(&x.as_tensor().detach(), &run).unwrap();
    for (direct, tracked) in direct.iter().zip(&tracked) {
        assert_eq!(values(direct), values(tracked), "values with and without candle's tape");
    }
    assert_close(&values(&back.gradient(above).unwrap()), &gradient, 1e-5, "the way back without candle's tape");
    assert!(back.gradient(&[]).is_err(), "a gradient is missing");
    (plain.iter().map(values).collect(), gradient)
}

fn compare(seed: u64, graphs: usize, size: usize) {
    let mut rng = rng(seed);
    for number in 0..graphs {
        let (graph, [channels, height, width]) = graph(&mut rng, size);
        let weights = weights(&mut rng, &graph);
        let count = graph.nodes().len();
        let ids: Vec<NodeId> = graph.ids().collect();
        let mut taps = vec![graph.output()];
        (0..pick(&mut rng, 0..=2)).for_each(|_| taps.push(ids[pick(&mut rng, 0..=count - 1)]));
        let batch = pick(&mut rng, 1..=3);
        let x = random(&mut rng, (batch, channels, height, width));
        let shapes = graph.shapes([channels, height, width], graph.output()).unwrap();
        let above: Vec<Tensor> = taps
            .iter()
            .map(|tap| {
                let shape: Vec<usize> = std::iter::once(batch).chain(shapes[tap.index()].iter().copied()).collect();
                random(&mut rng, shape.as_slice())
            })
            .collect();
        let rule = [ReluRule::Plain, ReluRule::Guided, ReluRule::Deconvnet, ReluRule::Redirected];
        let rules = Rules { relu: rule[rng.random_range(0..4)] };
        let ops: Vec<String> = graph
            .nodes()
            .iter()
            .map(|n| format!("{} <- {:?}", n.op, n.inputs.iter().map(|i| i.index()).collect::<Vec<_>>()))
            .collect();
        let what = format!("graph {number} of seed {seed}, {rules:?}, taps {taps:?}:\n{}", ops.join("\n"));
        let (graph, weights) = (Arc::new(graph), Arc::new(weights));
        let ours = run(&Planned::new(graph.clone(), weights.clone()), &x, &taps, &rules, &above);
        let truth = run(&Reference::new(graph, weights), &x, &taps, &rules, &above);
        for (ours, truth) in ours.0.iter().zip(&truth.0) {
            assert_close(ours, truth, 1e-4, &what);
        }
        assert_close(&ours.1, &truth.1, 1e-3, &what);
    }
}

#[test]
fn single_operations_are_the_references() {
    compare(1, 600, 1);
}

#[test]
fn short_chains_are_the_references() {
    compare(2, 300, 4);
}

#[test]
fn random_graphs_are_the_references() {
    compare(3, 200, 14);
}
