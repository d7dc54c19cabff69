//! Every network of the zoo against PyTorch with the same made-up weights; the numbers come from tools/golden/zoo.py,
//! which says how they are made.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use candle_core::{Device, Tensor, Var};
use percept::lang::Interrupt;
use percept::model::{Graph, Model, ModelOptions, Rules, Weights, zoo};
use rayon::prelude::*;
use serde_json::Value;

/// Largest difference, relative to the greatest value of a tensor: less than a batch-norm's wrong epsilon makes.
const TOLERANCE: f64 = 1e-4;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/zoo.json")).unwrap()
}

/// Runs a network with weights made from their names, and compares taps, logits and the gradient of the input.
fn compare(name: &str) {
    let golden = &golden()["networks"][name];
    let model = made_up(name);
    let [height, width] = [0, 1].map(|side| golden["size"][side].as_u64().unwrap() as usize);
    let pixels: Vec<f32> =
        uniform(golden["input"].as_str().unwrap(), 3 * height * width).map(|u| (4.0 * u - 2.0) as f32).collect();
    let x = Var::from_vec(pixels, (1, 3, height, width), &Device::Cpu).unwrap();

    let expected = golden["taps"].as_object().unwrap();
    assert!(expected.len() >= 3, "{name}: {} taps", expected.len());
    let ids: Vec<_> = expected.keys().map(|tap| model.layer(tap).unwrap().id()).collect();
    let ids = [ids, vec![model.output().id()]].concat();
    let values = model.run(&x, &ids, &Rules::default(), &Interrupt::never()).unwrap();
    let (logits, taps) = values.split_last().unwrap();
    let best = golden["class"].as_u64().unwrap() as usize;
    let gradient = logits.get(0).unwrap().get(best).unwrap().backward().unwrap().remove(&x).unwrap();

    let mut worst: f64 = 0.0;
    for ((tap, expected), value) in expected.iter().zip(taps) {
        worst = worst.max(difference(value, expected, &format!("{name} {tap}")));
    }
    let logits = difference(logits, &golden["logits"], &format!("{name} logits"));
    let gradient = difference(&gradient, &golden["gradient"], &format!("{name} gradient"));
    println!("{name}: taps off by {worst:.1e}, logits by {logits:.1e}, gradient by {gradient:.1e}");
}

/// A network with weights made from their names.
fn made_up(name: &str) -> Model {
    let entry = zoo::find(name).unwrap();
    let parameters = entry.graph().unwrap().parameters();
    let tensors = parameters.into_iter().map(|parameter| {
        let values = fill(&parameter.name, &parameter.shape);
        (parameter.name, Tensor::from_vec(values, parameter.shape, &Device::Cpu).unwrap())
    });
    entry.model(Weights::new(tensors).unwrap(), &ModelOptions::default()).unwrap()
}

fn fill(name: &str, shape: &[usize]) -> Vec<f32> {
    let u = uniform(name, shape.iter().product());
    let fan_in: usize = shape.iter().skip(1).product();
    let bound = (6.0 / fan_in as f64).sqrt();
    if name.ends_with("running_var") {
        u.map(|u| (0.5 + u) as f32).collect()
    } else if name.ends_with("bias") || name.ends_with("running_mean") {
        u.map(|u| ((2.0 * u - 1.0) / 10.0) as f32).collect()
    } else if shape.len() == 1 {
        u.map(|u| (0.6 + 0.4 * u) as f32).collect()
    } else {
        u.map(|u| ((2.0 * u - 1.0) * bound) as f32).collect()
    }
}

/// Numbers in [0, 1): the upper 24 bits of splitmix64, seeded with a name.
fn uniform(name: &str, count: usize) -> impl ParallelIterator<Item = f64> + use<> {
    let seed = fnv(name);
    (0..count).into_par_iter().map(move |i| {
        let z = seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 40) as f64 * 2f64.powi(-24)
    })
}

/// 64-bit FNV-1a.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The largest difference from a golden tensor, relative to its greatest value: of its samples, of that value and, relative
/// to itself, of its norm.
fn difference(ours: &Tensor, golden: &Value, what: &str) -> f64 {
    let shape: Vec<usize> = numbers(&golden["shape"]).map(|side| side as usize).collect();
    assert_eq!(&ours.dims()[1..], shape, "{what}");
    let values: Vec<f64> = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect();
    let truth: Vec<f64> = numbers(&golden["values"]).collect();
    let (norm, greatest) = (golden["norm"].as_f64().unwrap(), golden["absmax"].as_f64().unwrap());
    assert!(greatest > 0.0 && norm.is_finite(), "{what} is worth nothing");

    let step = values.len() / truth.len();
    let samples = values.iter().step_by(step).zip(&truth).map(|(a, b)| (a - b).abs() / greatest);
    let ours_norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let ours_greatest = values.iter().fold(0f64, |greatest, v| greatest.max(v.abs()));
    let whole = [(ours_norm - norm).abs() / norm, (ours_greatest - greatest).abs() / greatest];
    let worst = samples.chain(whole).fold(0.0, f64::max);
    assert!(worst <= TOLERANCE, "{what}: off by {worst:.1e} of {greatest}");
    worst
}

fn numbers(values: &Value) -> impl Iterator<Item = f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap())
}

/// Compares the lines that stand for a graph with the hash of PyTorch's.
fn assert_lines(lines: &[String], golden: &Value, what: &str) {
    let ours = (lines.len() as u64, format!("{:016x}", fnv(&lines.join("\n"))));
    let truth = (golden["lines"].as_u64().unwrap(), golden["hash"].as_str().unwrap().to_owned());
    let advice = "compare with `python tools/golden/zoo.py --list NETWORK`";
    assert_eq!(ours, truth, "the {what} are not PyTorch's; {advice}:\n{}", lines.join("\n"));
}

/// All networks with their graphs and golden numbers.
fn networks() -> Vec<(&'static str, Graph, Value)> {
    let golden = golden();
    let network = |entry: &zoo::Entry| (entry.name, entry.graph().unwrap(), golden["networks"][entry.name].clone());
    assert_eq!(golden["networks"].as_object().unwrap().len(), zoo::ENTRIES.len());
    zoo::ENTRIES.iter().map(network).collect()
}

#[test]
fn parameters_have_pytorchs_names_and_shapes() {
    for (name, graph, golden) in networks() {
        let side = |shape: &[usize]| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let parameters = graph.parameters();
        let mut lines: Vec<String> = parameters.iter().map(|p| format!("{} {}", p.name, side(&p.shape))).collect();
        lines.sort();
        assert_lines(&lines, &golden["parameters"], &format!("parameters of {name}"));

        let trained = parameters.iter().filter(|p| !p.name.contains(".running_"));
        let count: usize = trained.map(|p| p.shape.iter().product::<usize>()).sum();
        assert_eq!(count as u64, golden["count"].as_u64().unwrap(), "{name}");
    }
}

#[test]
fn layers_have_torchvisions_names_and_order() {
    for (name, graph, golden) in networks().into_iter().filter(|(name, ..)| *name != "efficientnet_lite0") {
        let lines: Vec<String> = graph.nodes().iter().skip(1).map(|node| node.name.clone()).collect();
        assert_lines(&lines, &golden["nodes"], &format!("layers of {name}"));
    }
}

#[test]
fn the_smallest_image_is_pytorchs() {
    for (name, graph, golden) in networks() {
        let least = golden["minimum"].as_u64().unwrap() as usize;
        assert_eq!(graph.minimum_size(&[graph.output()], [299; 2]).unwrap(), (least, least), "{name}");
    }
}

#[test]
fn alexnet_and_vgg_equal_pytorch() {
    compare("alexnet");
    for depth in [11, 13, 16, 19] {
        compare(&format!("vgg{depth}"));
        compare(&format!("vgg{depth}_bn"));
    }
}

#[test]
fn squeezenets_equal_pytorch() {
    ["squeezenet1_0", "squeezenet1_1"].into_iter().for_each(compare);
}

#[test]
fn inception_networks_equal_pytorch() {
    ["googlenet", "inception_v3"].into_iter().for_each(compare);
}

#[test]
fn resnets_equal_pytorch() {
    ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"].into_iter().for_each(compare);
}

#[test]
fn densenet_equals_pytorch() {
    compare("densenet121");
}

#[test]
fn mobile_networks_equal_pytorch() {
    ["mobilenet_v2", "efficientnet_lite0"].into_iter().for_each(compare);
}
