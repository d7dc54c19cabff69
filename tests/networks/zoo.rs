//! Every network of the zoo against PyTorch with the same made-up weights; the numbers come from tools/golden/zoo.py,
//! which says how they are made.

use crate::made_up::{difference, fnv, made_up, uniform};
use candle_core::{Device, Var};
use percept::job::Interrupt;
use percept::model::{Graph, Rules, zoo};
use rayon::prelude::*;
use serde_json::Value;

/// Largest difference, relative to the greatest value of a tensor: less than a batch-norm's wrong epsilon makes.
const TOLERANCE: f64 = 1e-4;

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/zoo.json")).unwrap()
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
        worst = worst.max(difference(value, expected, TOLERANCE, &format!("{name} {tap}")));
    }
    let logits = difference(logits, &golden["logits"], TOLERANCE, &format!("{name} logits"));
    let gradient = difference(&gradient, &golden["gradient"], TOLERANCE, &format!("{name} gradient"));
    println!("{name}: taps off by {worst:.1e}, logits by {logits:.1e}, gradient by {gradient:.1e}");
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
