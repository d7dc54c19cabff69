//! Every operation of a network in both executors against PyTorch's numbers, made by tools/golden/network_ops.py.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use percept::job::Interrupt;
use percept::model::{
    BatchNorm, Builder, Conv2d, Executor, Graph, Linear, NodeId, Op, Planned, Reference, Rules, Run, Weights,
};
use percept::tensor::{Activation, Conv2dParams, LocalResponseNorm, Pool2dParams};
use safetensors::SafeTensors;

const GOLDEN: &[u8] = include_bytes!("../golden/network_ops.safetensors");
/// Of the greatest magnitude of a tensor's values.
const TOLERANCE: f32 = 1e-4;

// what is drawn for a case
const X: u64 = 0;
const WEIGHT: u64 = 1;
const BIAS: u64 = 2;
const MEAN: u64 = 3;
const VAR: u64 = 4;
const ABOVE: u64 = 5;
const BRANCH: u64 = 12;
const SAMPLED: [(&str, u64); 4] = [("output", 6), ("gradient", 7), ("weight", 8), ("bias", 9)];

/// SplitMix64 of a seed plus `index`.
fn mixed(case: usize, tensor: u64, index: usize) -> u64 {
    let seed = (case as u64 * 16 + tensor) << 32;
    let z = (seed + index as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The numbers in [−1, 1) that the script draws.
fn draw(case: usize, tensor: u64, shape: &[usize]) -> Tensor {
    let number = |index| (mixed(case, tensor, index) >> 40) as f32 / (1 << 23) as f32 - 1.0;
    let values: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// In quarters if wanted: ties and kinks are hit.
fn stepped(x: &Tensor, steps: bool) -> Tensor {
    if steps { ((x * 4.0).unwrap().floor().unwrap() / 4.0).unwrap() } else { x.clone() }
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The parameters of a case, read one after the other.
struct Params<'a>(std::slice::Iter<'a, u8>);

impl Params<'_> {
    fn next(&mut self) -> usize {
        usize::from(*self.0.next().expect("a parameter is missing"))
    }

    fn flag(&mut self) -> bool {
        self.next() == 1
    }

    fn pair(&mut self) -> [usize; 2] {
        [self.next(), self.next()]
    }

    /// A pooling window, without what follows it.
    fn window(&mut self) -> Pool2dParams {
        let (kernel, stride, [rows, columns]) = (self.pair(), self.pair(), self.pair());
        Pool2dParams { kernel, stride, padding: [[rows; 2], [columns; 2]], ceil_mode: self.flag() }
    }
}

/// The network of one case: the operation, and what it needs around it to have inputs.
struct Network {
    case: usize,
    builder: Builder,
    weights: Vec<(String, Tensor)>,
    input: NodeId,
    /// N, C, H, W.
    shape: [usize; 4],
    x: Tensor,
    nodes: usize,
}

impl Network {
    fn new(case: usize, params: &mut Params<'_>) -> Self {
        let shape = [params.next(), params.next(), params.next(), params.next()];
        let (builder, input) = Builder::new(shape[1]);
        Self { case, builder, weights: Vec::new(), input, shape, x: draw(case, X, &shape), nodes: 0 }
    }

    fn add(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.nodes += 1;
        self.builder.add(&format!("node{}", self.nodes), &[], op, inputs)
    }

    /// Adds an operation of the input alone.
    fn op(mut self, op: Op) -> Self {
        self.add(op, &[self.input]);
        self
    }

    /// A parameter by its name.
    fn parameter(&mut self, name: &str, value: Tensor) -> String {
        self.weights.push((name.to_owned(), value));
        name.to_owned()
    }

    fn weight_and_bias(&mut self, shape: &[usize], with_bias: bool) -> (String, Option<String>) {
        let weight = self.parameter("weight", draw(self.case, WEIGHT, shape));
        let bias = with_bias.then(|| self.parameter("bias", draw(self.case, BIAS, &shape[..1])));
        (weight, bias)
    }

    /// A 1×1 convolution, so that an operation of several inputs gets several.
    fn branch(&mut self, number: u64, x: NodeId, out_channels: usize) -> NodeId {
        let in_channels = self.shape[1];
        let weight = draw(self.case, BRANCH + number, &[out_channels, in_channels, 1, 1]);
        let weight = self.parameter(&format!("branch{number}"), weight);
        let params = Conv2dParams::default();
        self.add(Op::Conv2d(Conv2d { in_channels, out_channels, kernel: [1, 1], params, weight, bias: None }), &[x])
    }
}

/// What came out of a run: the output's shape, and each tensor by its name in the file.
struct Outcome(Vec<usize>, BTreeMap<&'static str, Vec<f32>>);

fn run(executor: &dyn Executor, graph: &Graph, case: usize, x: &Tensor, vars: &[(String, Var)]) -> Outcome {
    let x = Var::from_tensor(x).unwrap();
    let (taps, rules, interrupt) = ([graph.output()], Rules::default(), Interrupt::never());
    let run = Run::new(&taps, &rules, &interrupt);
    let y = executor.run(&[x.as_tensor().clone()], &run).unwrap().remove(0);
    let score = (&y * draw(case, ABOVE, y.dims())).unwrap().sum_all().unwrap();
    let gradients = score.backward().unwrap();
    let mut found = BTreeMap::from([("output", values(&y)), ("gradient", values(gradients.get(&x).unwrap()))]);
    for (name, _) in SAMPLED {
        if let Some((_, var)) = vars.iter().find(|(of, _)| of == name) {
            found.insert(name, values(gradients.get(var).unwrap()));
        }
    }
    Outcome(y.dims().to_vec(), found)
}

/// The stored numbers of one operation.
struct Golden<'a> {
    file: SafeTensors<'a>,
    name: &'a str,
}

impl Golden<'_> {
    /// One row of an array, as bytes.
    fn row(&self, what: &str, case: usize) -> &[u8] {
        let array = self.file.tensor(&format!("{}.{what}", self.name)).unwrap();
        let width = array.data().len() / array.shape()[0];
        // borrowed from the file, not from the view
        &array.data()[case * width..][..width]
    }

    fn cases(&self) -> usize {
        self.file.tensor(&format!("{}.shape", self.name)).unwrap().shape()[0]
    }

    fn shape(&self, case: usize) -> Vec<usize> {
        self.row("shape", case).iter().map(|size| usize::from(*size)).filter(|size| *size > 0).collect()
    }

    /// The largest difference from the samples and from the greatest magnitude, relative to the latter.
    fn difference(&self, what: &str, case: usize, ours: &[f32]) -> f32 {
        let absmax = f32::from_le_bytes(self.row(&format!("{what}.absmax"), case).try_into().unwrap());
        let our_absmax = ours.iter().fold(0f32, |m, v| m.max(v.abs()));
        let (_, tensor) = SAMPLED.iter().find(|(name, _)| *name == what).unwrap();
        let samples = self.row(what, case).as_chunks::<2>().0.iter().enumerate().map(|(i, bytes)| {
            let truth = f32::from(i16::from_le_bytes(*bytes)) / 32767.0 * absmax;
            ours[(mixed(case, *tensor, i) % ours.len() as u64) as usize] - truth
        });
        let off = samples.chain([our_absmax - absmax]).map(f32::abs).fold(0.0, f32::max);
        off / absmax.max(f32::MIN_POSITIVE)
    }
}

/// Runs all cases of an operation, each made by `network`, through both executors, and through the planned one with
/// variables as weights.
fn check(name: &str, network: impl Fn(usize, &mut Params<'_>) -> Network) {
    let golden = Golden { file: SafeTensors::deserialize(GOLDEN).unwrap(), name };
    assert!(golden.cases() >= 200);
    let mut worst: BTreeMap<String, f32> = BTreeMap::new();
    for case in 0..golden.cases() {
        let params = golden.row("params", case);
        let mut rest = Params(params.iter());
        let Network { builder, weights, x, .. } = network(case, &mut rest);
        assert_eq!(rest.0.len(), 0, "{name}: parameters are left over");
        let graph = Arc::new(builder.finish().unwrap());
        let vars: Vec<(String, Var)> =
            weights.iter().map(|(name, value)| (name.clone(), Var::from_tensor(value).unwrap())).collect();
        let on_tape = vars.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let trained = Arc::new(Weights::new(on_tape).unwrap());
        let weights = Arc::new(Weights::new(weights).unwrap());
        weights.check(&graph).unwrap();

        let mut outcomes = vec![
            ("reference", run(&Reference::new(graph.clone(), weights.clone()), &graph, case, &x, &[])),
            ("planned", run(&Planned::new(graph.clone(), weights), &graph, case, &x, &[])),
        ];
        if trained.are_tracked() {
            outcomes.push(("trained", run(&Planned::new(graph.clone(), trained), &graph, case, &x, &vars)));
        }
        for (executor, Outcome(shape, tensors)) in outcomes {
            assert_eq!(shape, golden.shape(case), "{name} {params:?}: shape");
            for (what, ours) in tensors {
                let off = golden.difference(what, case, &ours);
                assert!(off <= TOLERANCE, "{name} {params:?}: {what} of {executor} is off by {off:.1e}");
                let worst = worst.entry(format!("{executor} {what}")).or_default();
                *worst = worst.max(off);
            }
        }
    }
    let figures: Vec<String> = worst.iter().map(|(what, off)| format!("{what} {off:.1e}")).collect();
    println!("{name}: {}", figures.join(", "));
}

#[test]
fn convolutions() {
    check("conv2d", |case, params| {
        let mut network = Network::new(case, params);
        let in_channels = network.shape[1];
        let (out_channels, kernel, stride) = (params.next(), params.pair(), params.pair());
        let (padding, dilation, groups) = ([params.pair(), params.pair()], params.pair(), params.next());
        let shape = [out_channels, in_channels / groups, kernel[0], kernel[1]];
        let (weight, bias) = network.weight_and_bias(&shape, params.flag());
        let params = Conv2dParams { stride, padding, dilation, groups };
        network.op(Op::Conv2d(Conv2d { in_channels, out_channels, kernel, params, weight, bias }))
    });
}

#[test]
fn max_pools() {
    check("max_pool2d", |case, params| {
        let mut network = Network::new(case, params);
        let window = params.window();
        network.x = stepped(&network.x, params.flag());
        network.op(Op::MaxPool2d(window))
    });
}

#[test]
fn average_pools() {
    check("avg_pool2d", |case, params| {
        let network = Network::new(case, params);
        let window = params.window();
        network.op(Op::AvgPool2d { params: window, count_include_pad: params.flag() })
    });
    check("adaptive_avg_pool2d", |case, params| Network::new(case, params).op(Op::AdaptiveAvgPool2d(params.pair())));
}

#[test]
fn linear_layers() {
    check("linear", |case, params| {
        let mut network = Network::new(case, params);
        let in_features = network.shape[1..].iter().product();
        let out_features = params.next();
        let (weight, bias) = network.weight_and_bias(&[out_features, in_features], params.flag());
        let flat = network.add(Op::Flatten, &[network.input]);
        network.add(Op::Linear(Linear { in_features, out_features, weight, bias }), &[flat]);
        network
    });
}

#[test]
fn normalisations() {
    check("batch_norm", |case, params| {
        let mut network = Network::new(case, params);
        let channels = network.shape[1];
        let eps = 10f64.powi(-(params.next() as i32));
        let mean = network.parameter("mean", draw(case, MEAN, &[channels]));
        let var = (((draw(case, VAR, &[channels]) + 1.0).unwrap() / 2.0).unwrap() + 0.25).unwrap();
        let var = network.parameter("var", var);
        let weight = network.parameter("weight", draw(case, WEIGHT, &[channels]));
        let bias = network.parameter("bias", draw(case, BIAS, &[channels]));
        network.op(Op::BatchNorm(BatchNorm { channels, weight, bias, mean, var, eps }))
    });
    check("local_response_norm", |case, params| {
        let mut network = Network::new(case, params);
        network.x = (network.x * 4.0).unwrap();
        let (size, mut part) = (params.next(), |of: f64| params.next() as f64 / of);
        let norm = LocalResponseNorm { size, alpha: part(100.0), beta: part(100.0), k: part(10.0) };
        network.op(Op::LocalResponseNorm(norm))
    });
    check("softmax", |case, params| {
        let mut network = Network::new(case, params);
        network.x = (network.x * 8.0).unwrap();
        network.op(Op::Softmax)
    });
}

#[test]
fn activations() {
    let functions = [
        ("relu", Activation::Relu),
        ("relu6", Activation::RELU6),
        ("leaky_relu", Activation::LeakyRelu(0.0)),
        ("silu", Activation::Silu),
        ("hardswish", Activation::HardSwish),
        ("hardsigmoid", Activation::HardSigmoid),
        ("gelu", Activation::Gelu),
        ("sigmoid", Activation::Sigmoid),
        ("tanh", Activation::Tanh),
    ];
    for (name, function) in functions {
        check(name, |case, params| {
            let mut network = Network::new(case, params);
            network.x = stepped(&(network.x * 8.0).unwrap(), params.flag());
            let leaky = matches!(function, Activation::LeakyRelu(_));
            let function = if leaky { Activation::LeakyRelu((params.next() as f64 / 100.0) as f32) } else { function };
            network.op(Op::Activation(function))
        });
    }
}

#[test]
fn operations_of_several_inputs() {
    check("concat", |case, params| {
        let mut network = Network::new(case, params);
        let mut inputs = vec![network.input];
        for number in 0..3 {
            let channels = params.next();
            if channels > 0 {
                inputs.push(network.branch(number, network.input, channels));
            }
        }
        network.add(Op::Concat, &inputs);
        network
    });
    check("add", |case, params| {
        let mut network = Network::new(case, params);
        let (input, channels) = (network.input, network.shape[1]);
        let branches = (0..params.next()).map(|number| network.branch(number as u64, input, channels));
        let inputs: Vec<NodeId> = std::iter::once(input).chain(branches).collect();
        network.add(Op::Add, &inputs);
        network
    });
    check("mul", |case, params| {
        let mut network = Network::new(case, params);
        let (input, channels, kind) = (network.input, network.shape[1], params.next());
        let read = if kind == 0 { input } else { network.add(Op::GLOBAL_AVG_POOL, &[input]) };
        let other = network.branch(0, read, channels);
        network.add(Op::Mul, &if kind == 2 { [other, input] } else { [input, other] });
        network
    });
}
