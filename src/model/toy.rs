//! Captum's convolutional toy (`BasicModel_ConvNet_One_Conv`), whose gradients under every rule are known.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor, Var};

use super::{Builder, Conv2d, Executor, Graph, Op, Reference, Rule, Run, Weights};
use crate::job::Interrupt;
use crate::tensor::Conv2dParams;

/// Two 3×3 filters of ones, ReLU, then the fully connected layer as the 2×2 convolution that it is, and ReLU.
fn graph() -> Graph {
    let conv = |name: &str, in_channels, out_channels, kernel, bias: bool| {
        let bias = bias.then(|| format!("{name}.bias"));
        let (weight, params) = (format!("{name}.weight"), Conv2dParams::default());
        Op::Conv2d(Conv2d { in_channels, out_channels, kernel: [kernel; 2], params, weight, bias })
    };
    let (mut graph, x) = Builder::new(1);
    let x = graph.add("conv1", &[], conv("conv1", 1, 2, 3, true), &[x]);
    let x = graph.add("relu1", &[], Op::RELU, &[x]);
    let x = graph.add("fc1", &[], conv("fc1", 2, 4, 2, false), &[x]);
    let x = graph.add("relu2", &[], Op::RELU, &[x]);
    graph.add("flatten", &[], Op::Flatten, &[x]);
    graph.finish().unwrap()
}

fn weights() -> Weights {
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let row = [1f32, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    let weights = Weights::new([
        ("conv1.weight".to_owned(), tensor(&[1.0; 18], &[2, 1, 3, 3])),
        ("conv1.bias".to_owned(), tensor(&[-50.0, -75.0], &[2])),
        ("fc1.weight".to_owned(), tensor(&row.repeat(4), &[4, 2, 2, 2])),
    ])
    .unwrap();
    weights.check(&graph()).unwrap();
    weights
}

fn gradient(rule: Rule) -> Vec<Vec<f32>> {
    let graph = graph();
    let taps = [graph.output()];
    let x = Tensor::arange(0f32, 16.0, &Device::Cpu).unwrap().reshape((1, 1, 4, 4)).unwrap();
    let x = Var::from_tensor(&x).unwrap();
    let executor = Reference::new(graph.into(), weights().into());
    let (rules, interrupt) = (rule.into(), Interrupt::never());
    let run = Run::new(&taps, &rules, &interrupt);
    let logits = executor.run(&[x.as_tensor().clone()], &run).unwrap().remove(0);
    assert_eq!(logits.to_vec2::<f32>().unwrap(), [[54.0; 4]]);
    let gradient = logits.get(0).unwrap().get(0).unwrap().backward().unwrap().remove(&x).unwrap();
    gradient.reshape((4, 4)).unwrap().to_vec2().unwrap()
}

#[test]
fn plain() {
    assert_eq!(
        gradient(Rule::Derivative),
        [[0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [0.0; 4]]
    );
}

#[test]
fn guided() {
    assert_eq!(
        gradient(Rule::Guided),
        [[0.0, 1.0, 1.0, 1.0], [1.0, 3.0, 3.0, 2.0], [1.0, 3.0, 3.0, 2.0], [1.0, 2.0, 2.0, 1.0]]
    );
}

#[test]
fn deconvnet() {
    assert_eq!(
        gradient(Rule::Deconvnet),
        [[2.0, 3.0, 3.0, 1.0], [3.0, 5.0, 5.0, 2.0], [3.0, 5.0, 5.0, 2.0], [1.0, 2.0, 2.0, 1.0]]
    );
}
