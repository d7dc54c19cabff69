//! Values and gradients inside networks against PyTorch's autograd and its hooks; the numbers come from
//! tools/golden/hooks.py, which says how they are made.

use std::collections::BTreeMap;

use crate::made_up::{difference, made_up, uniform};
use candle_core::{Device, Tensor};
use percept::error::{Kind, Result};
use percept::job::Interrupt;
use percept::model::{Model, NodeId, Rule, Rules, Run};
use rayon::prelude::*;
use serde_json::Value;

/// Largest difference, relative to the greatest value of a tensor. The inputs are such that single precision alone makes
/// less than a tenth of it.
const TOLERANCE: f64 = 2e-4;

fn names(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

/// The layers of a run and what it returned for them.
struct Found {
    values: Vec<Tensor>,
    gradients: Vec<Tensor>,
}

/// The values of layers in a run from `from`, and the gradients of the class's logit at `from` and there.
fn run(model: &Model, from: NodeId, x: &Tensor, layers: &[NodeId], rules: &Rules, class: usize) -> Result<Found> {
    let taps = [&[model.output().id()], layers].concat();
    let interrupt = Interrupt::never();
    let at = [&[from], layers].concat();
    let run = Run { from: &[from], gradients_at: &at, ..Run::new(&taps, rules, &interrupt) };
    let (mut values, pullback) = model.pullback_with(std::slice::from_ref(x), &run)?;
    let mut above: Vec<Tensor> = values.iter().map(|value| value.zeros_like().unwrap()).collect();
    let logits = above[0].elem_count();
    let one: Vec<f32> = (0..logits).map(|i| if i == class { 1.0 } else { 0.0 }).collect();
    above[0] = Tensor::from_vec(one, (1, logits), &Device::Cpu).unwrap();
    let gradients = pullback.gradients(&above, &at)?;
    Ok(Found { values: values.split_off(1), gradients })
}

fn compare(name: &str) {
    let golden: Value = serde_json::from_str(include_str!("../golden/hooks.json")).unwrap();
    let golden = &golden["networks"][name];
    let model = if name == Model::EMBEDDED { Model::embedded().unwrap() } else { made_up(name) };
    let [height, width] = [0, 1].map(|side| golden["size"][side].as_u64().unwrap() as usize);
    let (seed, scale) = (golden["input"].as_str().unwrap(), golden["scale"].as_f64().unwrap());
    let pixel = |u: f64| (f64::from((4.0 * u - 2.0) as f32) * scale) as f32;
    let pixels: Vec<f32> = uniform(seed, 3 * height * width).map(pixel).collect();
    let x = Tensor::from_vec(pixels, (1, 3, height, width), &Device::Cpu).unwrap();
    let class = golden["class"].as_u64().unwrap() as usize;

    let layers = names(&golden["values"]);
    assert!(layers.len() > 12, "{name}: {} layers", layers.len());
    let ids: Vec<NodeId> = layers.iter().map(|layer| model.layer(layer).unwrap().id()).collect();
    let mixed = golden["mixed"].as_array().unwrap().iter();
    let mixed = mixed.map(|layer| (model.layer(layer.as_str().unwrap()).unwrap().id(), Rule::Guided));
    let rules = [
        ("derivative", Rules::default()),
        ("guided", Rule::Guided.into()),
        ("mixed", Rules { by_node: mixed.collect::<BTreeMap<_, _>>(), ..Rules::default() }),
    ];
    let mut worst: f64 = 0.0;
    for (rule, rules) in &rules {
        let gradients = &golden["gradients"][rule];
        let found = run(&model, NodeId::INPUT, &x, &ids, rules, class).unwrap();
        let mut check = |ours: &Tensor, truth: &Value, what: String| {
            worst = worst.max(difference(ours, truth, TOLERANCE, &what));
        };
        for (layer, value) in layers.iter().zip(&found.values) {
            check(value, &golden["values"][layer], format!("{name} {layer}"));
        }
        let at = std::iter::once("input").chain(layers.iter().map(String::as_str));
        for (layer, gradient) in at.zip(&found.gradients) {
            check(gradient, &gradients[layer], format!("{name} {rule} gradient at {layer}"));
        }
        // a run from a layer's values has the same gradient there
        let mut started = 0;
        for ((layer, id), value) in layers.iter().zip(&ids).zip(&found.values) {
            match run(&model, *id, value, &[], rules, class) {
                Ok(from) => {
                    check(&from.gradients[0], &gradients[layer], format!("{name} {rule} gradient from {layer}"));
                    started += 1;
                }
                // beside a skip connection or a branch, or behind the last ReLU that the rules act on
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Argument, "{name} {layer}: {error}");
                    let why = ["alone: the value of", "has no ReLU to act on"];
                    assert!(why.iter().any(|why| error.message().contains(why)), "{name} {layer}: {error}");
                }
            }
        }
        assert!(started >= 4, "{name} {rule}: only {started} runs start at a layer");
    }
    println!("{name}: off by {worst:.1e}");
}

#[test]
fn squeezenet_equals_pytorch() {
    compare("squeezenet1_1");
}

#[test]
fn resnet_equals_pytorch() {
    compare("resnet18");
}

#[test]
fn googlenet_equals_pytorch() {
    compare("googlenet");
}

#[test]
fn densenet_equals_pytorch() {
    compare("densenet121");
}

/// Guided backpropagation at every ReLU of a network that alone reads its input: there passes what is positive, where the
/// input was positive too.
fn check_every_relu(model: &Model) {
    let graph = model.graph();
    let (height, width) = (model.recipe().height, model.recipe().width);
    let pixels: Vec<f32> = uniform("relu", 3 * height * width).map(|u| (4.0 * u - 2.0) as f32).collect();
    let x = Tensor::from_vec(pixels, (1, 3, height, width), &Device::Cpu).unwrap();
    let reads = |id: NodeId| graph.nodes().iter().flat_map(|node| &node.inputs).filter(|input| **input == id).count();
    let rectifiers = graph.ids().filter(|id| graph.node(*id).op.is_rectifier());
    let pairs: Vec<[NodeId; 2]> =
        rectifiers.map(|id| [graph.node(id).inputs[0], id]).filter(|[input, _]| reads(*input) == 1).collect();
    assert!(pairs.len() > 1, "{}: {} ReLUs", model.name(), pairs.len());
    let layers = pairs.concat();
    let plain = run(model, NodeId::INPUT, &x, &layers, &Rules::default(), 0).unwrap();
    let guided = run(model, NodeId::INPUT, &x, &layers, &Rule::Guided.into(), 0).unwrap();
    let numbers = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut stopped = 0;
    for (index, [input, id]) in pairs.iter().enumerate() {
        let name = format!("{} {}", model.name(), graph.node(*id).name);
        // the gradient at the input of the network comes first
        let (below, above) = (numbers(&guided.gradients[1 + 2 * index]), numbers(&guided.gradients[2 + 2 * index]));
        let values = [2 * index, 2 * index + 1].map(|at| numbers(&guided.values[at]));
        for (((below, above), x), y) in below.iter().zip(&above).zip(&values[0]).zip(&values[1]) {
            // a ReLU6 is closed above, where its value is no longer its input
            let passes = *above > 0.0 && *x > 0.0 && x == y;
            assert_eq!(*below, if passes { *above } else { 0.0 }, "{name}");
            stopped += usize::from(*above < 0.0 && *x > 0.0);
        }
        assert_eq!(graph.node(*id).inputs, [*input]);
    }
    assert!(stopped > 0, "{}: the rule had nothing to stop", model.name());
    assert_ne!(numbers(&plain.gradients[0]), numbers(&guided.gradients[0]), "{}", model.name());
}

#[test]
fn rules_act_on_every_relu() {
    // ResNet's modules are used twice each; files know no modules at all
    for name in ["alexnet", "resnet18"] {
        check_every_relu(&made_up(name));
    }
    for name in ["alexnet", "resnet", "resnet_dynamo", "mobilenet_v2", "keras"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/onnx/{name}.onnx"));
        check_every_relu(&Model::open(&path, None).unwrap());
    }
}
