//! The planned executor against the reference executor, on random graphs of all operations: random taps, starts, nodes
//! whose gradients are read, rules of nodes, and edits.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Tensor, Var};
use rand_chacha::ChaCha8Rng;

use super::Planned;
use crate::error::Result;
use crate::job::Interrupt;
use crate::model::{
    BackwardRule, BatchNorm, Builder, Conv2d, Executor, Graph, Linear, NodeId, Op, Operation, Patch, Reference, Rule,
    Rules, Run, Scale, Scope, Weights,
};
use crate::tensor::testing::{assert_close, pick, random, rng, values};
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
fn edit(rng: &mut ChaCha8Rng, name: &str, shape: &[usize]) -> Op {
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

/// Input times gradient: a rule that needs an operation's inputs, output and weights.
#[derive(Debug)]
struct InputTimesGradient;

impl BackwardRule for InputTimesGradient {
    fn name(&self) -> String {
        "input × gradient".to_owned()
    }

    fn acts_on(&self, op: &Op) -> bool {
        !matches!(op, Op::MaxPool2d(_))
    }

    fn backward(&self, at: &Operation<'_>, above: &Tensor) -> Result<Vec<Tensor>> {
        let vars = at.inputs.iter().map(|x| Ok(Var::from_tensor(x)?)).collect::<Result<Vec<Var>>>()?;
        let inputs: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let value = at.value(&inputs, at.weights)?;
        assert_close(&values(&value), &values(at.output), 1e-6, "the operation's value");
        let gradients = (value * above)?.sum_all()?.backward()?;
        let gradient = |var: &Var| match gradients.get(var) {
            Some(gradient) => Ok((gradient * var.as_tensor().detach())?),
            None => Ok(var.zeros_like()?),
        };
        vars.iter().map(gradient).collect()
    }
}

/// What is asked of a graph.
struct Case {
    taps: Vec<NodeId>,
    from: Vec<NodeId>,
    gradients_at: Vec<NodeId>,
    rules: Rules,
    /// The values of `from`.
    x: Vec<Tensor>,
    /// The gradients of the taps.
    above: Vec<Tensor>,
}

impl Case {
    fn random(rng: &mut ChaCha8Rng, graph: &Graph, [channels, height, width]: [usize; 3]) -> Self {
        let ids: Vec<NodeId> = graph.ids().collect();
        let any = |rng: &mut ChaCha8Rng| ids[pick(rng, 0..=ids.len() - 1)];
        let mut taps = vec![graph.output()];
        (0..pick(rng, 0..=2)).for_each(|_| taps.push(any(rng)));
        // half of the runs are over the whole graph
        let cuts: Vec<NodeId> = (0..pick(rng, 0..=3).saturating_sub(1)).map(|_| any(rng)).collect();
        let from = starts(graph, &taps, &cuts);
        let (rules, interrupt) = (rules(rng, graph), Interrupt::never());
        let scope = Scope::new(graph, &Run { from: &from, ..Run::new(&taps, &rules, &interrupt) }).unwrap();
        let gradients_at = scope.ids().filter(|_| pick(rng, 0..=2) == 0).collect();
        let shapes = graph.shapes([channels, height, width], graph.output()).unwrap();
        let batch = pick(rng, 1..=3);
        let mut values = |ids: &[NodeId]| {
            let shape = |id: &NodeId| [&[batch], shapes[id.index()].as_slice()].concat();
            ids.iter().map(|id| random(rng, shape(id).as_slice())).collect::<Vec<Tensor>>()
        };
        let (x, above) = (values(&from), values(&taps));
        Self { taps, from, gradients_at, rules, x, above }
    }

    /// Values of the taps, and the gradients of a combination of them at all nodes asked for.
    fn run(&self, executor: &dyn Executor) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let Self { taps, from, gradients_at, rules, x, above } = self;
        // either way of convolving
        let exact = above.len() % 2 == 0;
        let run = Run { taps, from, gradients_at, exact, rules, interrupt: &Interrupt::never() };
        let vars: Vec<Var> = x.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
        let on_tape: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let plain = executor.run(x, &run).unwrap();
        let tracked = executor.run(&on_tape, &run).unwrap();
        for (value, detached) in tracked.iter().zip(&plain) {
            assert_close(&values(value), &values(detached), 1e-4, "with and without a gradient");
        }
        let parts = tracked.iter().zip(above).map(|(value, above)| (value * above).unwrap().sum_all().unwrap());
        let score = Tensor::stack(&parts.collect::<Vec<_>>(), 0).unwrap().sum_all().unwrap();
        let on_tape = score.backward().unwrap();

        let (direct, pullback) = executor.pullback(x, &run).unwrap();
        for (direct, plain) in direct.iter().zip(&plain) {
            assert_close(&values(direct), &values(plain), 1e-4, "values of a pullback");
        }
        let at = [from.as_slice(), gradients_at].concat();
        let all: Vec<Vec<f32>> = pullback.gradients(above, &at).unwrap().iter().map(values).collect();
        for ((var, id), gradient) in vars.iter().zip(from).zip(&all) {
            let truth = on_tape.get(var).map_or_else(|| vec![0.0; var.elem_count()], values);
            assert_close(gradient, &truth, 1e-5, &format!("at {id:?} with and without candle's tape"));
        }
        for (id, gradient) in at.iter().zip(&all) {
            let alone = pullback.gradients(above, &[*id]).unwrap();
            assert_eq!(values(&alone[0]), *gradient, "the gradient at {id:?} alone");
        }
        assert_eq!(values(&pullback.gradient(above).unwrap()), all[0]);
        assert!(pullback.gradient(&[]).is_err(), "a gradient is missing");
        (plain.iter().map(values).collect(), all)
    }
}

/// The first of `cuts` on every way back from the taps, or the input where there is none.
fn starts(graph: &Graph, taps: &[NodeId], cuts: &[NodeId]) -> Vec<NodeId> {
    let (mut found, mut open) = (Vec::new(), taps.to_vec());
    while let Some(id) = open.pop() {
        if cuts.contains(&id) || id == NodeId::INPUT {
            found.push(id);
        } else {
            open.extend(&graph.node(id).inputs);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn rules(rng: &mut ChaCha8Rng, graph: &Graph) -> Rules {
    let gate = |rng: &mut ChaCha8Rng| {
        [Rule::Derivative, Rule::Guided, Rule::Deconvnet, Rule::Redirected][pick(rng, 0..=3)].clone()
    };
    let default = gate(rng);
    let mut by_node = BTreeMap::new();
    if pick(rng, 0..=1) == 0 {
        for id in graph.ids().skip(1) {
            match pick(rng, 0..=7) {
                0 => by_node.insert(id, Rule::Custom(Arc::new(InputTimesGradient))),
                1..=3 => by_node.insert(id, gate(rng)),
                _ => None,
            };
        }
    }
    Rules { default, by_node }
}

/// The graph as text, for messages.
fn describe(graph: &Graph) -> String {
    let inputs = |inputs: &[NodeId]| inputs.iter().map(|input| input.index()).collect::<Vec<_>>();
    let nodes = graph.nodes().iter().enumerate();
    nodes.map(|(i, node)| format!("{i}: {} <- {:?}\n", node.op, inputs(&node.inputs))).collect()
}

fn compare(seed: u64, graphs: usize, size: usize) {
    let mut rng = rng(seed);
    for number in 0..graphs {
        let (graph, image) = graph(&mut rng, size);
        let weights = Arc::new(weights(&mut rng, &graph));
        let graph = Arc::new(graph);
        let planned = Planned::new(graph.clone(), weights.clone());
        let agree = |planned: &Planned, graph: Arc<Graph>, weights: Arc<Weights>, case: &Case| {
            let Case { taps, from, gradients_at, rules, .. } = case;
            let what = format!(
                "graph {number} of seed {seed}, {rules:?}, taps {taps:?}, from {from:?}, at {gradients_at:?}:\n{}",
                describe(&graph)
            );
            let ours = case.run(planned);
            let truth = case.run(&Reference::new(graph, weights));
            for (ours, truth) in ours.0.iter().zip(&truth.0) {
                assert_close(ours, truth, 1e-4, &what);
            }
            for ((ours, truth), id) in ours.1.iter().zip(&truth.1).zip(from.iter().chain(gradients_at)) {
                assert_close(ours, truth, 1e-3, &format!("gradient at {id:?}: {what}"));
            }
        };
        agree(&planned, graph.clone(), weights.clone(), &Case::random(&mut rng, &graph, image));

        // an edited graph shares what was prepared
        let node = graph.ids().nth(pick(&mut rng, 0..=graph.nodes().len() - 1)).unwrap();
        let shapes = graph.shapes(image, graph.output()).unwrap();
        let op = edit(&mut rng, "edit", &shapes[node.index()]);
        let parameters = op.parameters().into_iter().map(|p| (p.name, random(&mut rng, p.shape.as_slice())));
        let weights = Arc::new(weights.with(parameters.collect::<Vec<_>>()));
        let graph = Arc::new(graph.inserted(node, "edit", op).unwrap().0);
        let case = Case::random(&mut rng, &graph, image);
        agree(&planned.edited(graph.clone(), weights.clone()), graph, weights, &case);
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
