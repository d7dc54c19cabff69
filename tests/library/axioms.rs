//! What holds for every attribution method, whatever the network: on random small networks of 1, 3 and 4 channels.

use candle_core::{Device, Tensor, Var};
use percept::job::Interrupt;
use percept::lang::{IntoValue, functions};
use percept::model::{Builder, Channels, Classes, Conv2d, InputRecipe, Linear, Model, Op, Rules, Weights};
use percept::session::Session;
use percept::tensor::{Conv2dParams, Pool2dParams, TensorValue};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::common::{session, value};

const SIDE: usize = 20;

/// Every attribution method with settings that are small, called on `x` with the options in `o`; what stands before the
/// bracket is its name.
const METHODS: [&str; 40] = [
    "saliency(x, o)",
    "saliency(x, o + #{signed: true})",
    "input_x_gradient(x, o)",
    "smooth_grad(x, o + #{samples: 3, seed: 1})",
    "smooth(saliency, x, o + #{samples: 2, seed: 1})",
    "integrated_gradients(x, o + #{steps: 8, baseline: \"black\"})",
    "expected_gradients(x, o + #{samples: 4, seed: 1, baseline: \"black\"})",
    "guided_ig(x, o + #{steps: 5, baseline: \"black\"})",
    "blur_ig(x, o + #{steps: 5, sigma: 4})",
    "idgi(x, o + #{steps: 5, baseline: \"black\"})",
    "conductance(x, o + #{steps: 5, baseline: \"black\", layer: \"conv2\"})",
    "internal_influence(x, o + #{steps: 5, baseline: \"black\", layer: \"conv2\"})",
    "low_pass(saliency(x, o))",
    "guided_backprop(x, o)",
    "deconvnet(x, o)",
    "guided_grad_cam(x, o + #{layer: \"relu2\"})",
    "deep_lift(x, o + #{baseline: \"black\"})",
    "deep_lift(x, o + #{baseline: \"black\", rule: \"reveal-cancel\"})",
    "lrp(x, o + #{composite: \"EpsilonPlus\"})",
    "lrp(x, o + #{composite: \"EpsilonAlpha2Beta1Flat\"})",
    "full_grad(x, o)",
    "crp(x, o + #{layer: \"conv2\", channels: 1})",
    "cam(x, o)",
    "grad_cam(x, o + #{layer: \"relu2\"})",
    "grad_cam_plus_plus(x, o + #{layer: \"relu2\"})",
    "x_grad_cam(x, o + #{layer: \"relu2\"})",
    "hires_cam(x, o + #{layer: \"relu2\"})",
    "layer_cam(x, o + #{layer: \"relu2\"})",
    "score_cam(x, o + #{layer: \"relu2\"})",
    "ablation_cam(x, o + #{layer: \"relu2\"})",
    "eigen_cam(x, o + #{layer: \"relu2\"})",
    "refine_cam(x, o)",
    "occlusion(x, o + #{window: 5, stride: 3, baseline: \"black\"})",
    "rise(x, o + #{samples: 8, seed: 1})",
    "sobol(x, o + #{cells: 2, samples: 2, seed: 1, baseline: \"black\"})",
    "hsic(x, o + #{cells: 2, samples: 8, seed: 1, baseline: \"black\"})",
    "lime(x, o + #{samples: 8, seed: 1, baseline: \"black\"})",
    "kernel_shap(x, o + #{samples: 64, seed: 1, baseline: \"black\"})",
    "xrai(x, o + #{steps: 4})",
    "extremal_perturbation(x, o + #{steps: 3})",
];

/// Words that return an attribution and are no methods.
const OTHERS: [&str; 1] = ["style"];

fn uniform(rng: &mut ChaCha8Rng, shape: &[usize], bound: f32) -> Tensor {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| bound * (2.0 * rng.random::<f32>() - 1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Two convolutions, the second of which ends in as many maps as there are classes if `maps`, whose means are the scores;
/// else a linear layer follows. Nothing bends if it is `linear`.
fn network(channels: Channels, maps: bool, linear: bool, seed: u64) -> Model {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut graph, mut x) = Builder::new(channels.count());
    let mut weights = Vec::new();
    let mut from = channels.count();
    for (index, to) in [6, if maps { 4 } else { 8 }].into_iter().enumerate() {
        let name = format!("conv{}", index + 1);
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let bound = 1.5 / ((from * 9) as f32).sqrt();
        weights.push((weight.clone(), uniform(&mut rng, &[to, from, 3, 3], bound)));
        weights.push((bias.clone(), uniform(&mut rng, &[to], 0.2)));
        let params = Conv2dParams::new(1, 1);
        let conv = Conv2d { in_channels: from, out_channels: to, kernel: [3, 3], params, weight, bias: Some(bias) };
        x = graph.add(&name, &[], Op::Conv2d(conv), &[x]);
        if !linear {
            x = graph.add(&format!("relu{}", index + 1), &[], Op::RELU, &[x]);
        }
        if index == 0 {
            let halves = Pool2dParams { kernel: [2, 2], stride: [2, 2], padding: [[0, 0]; 2], ceil_mode: false };
            let pool =
                if linear { Op::AvgPool2d { params: halves, count_include_pad: true } } else { Op::MaxPool2d(halves) };
            x = graph.add("pool1", &[], pool, &[x]);
        }
        from = to;
    }
    x = graph.add("pool2", &[], Op::GLOBAL_AVG_POOL, &[x]);
    x = graph.add("flatten", &[], Op::Flatten, &[x]);
    if !maps {
        let (weight, bias) = ("fc.weight".to_owned(), "fc.bias".to_owned());
        weights.push((weight.clone(), uniform(&mut rng, &[4, from], 1.0)));
        weights.push((bias.clone(), uniform(&mut rng, &[4], 0.2)));
        graph.add("fc", &[], Op::Linear(Linear { in_features: from, out_features: 4, weight, bias: Some(bias) }), &[x]);
    }
    let weights = Weights::new(weights).unwrap();
    let recipe = InputRecipe::plain(channels, SIDE, SIDE);
    Model::new("random", graph.finish().unwrap(), weights, Classes::from_lines("a\nb\nc\nd"), recipe).unwrap()
}

/// A session with a network `m`, an input `x`, and the options `o`.
fn prepared(model: &Model, seed: u64) -> (Session, Tensor) {
    let (mut session, _) = session();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let channels = model.graph().input_channels();
    let x = (uniform(&mut rng, &[1, channels, SIDE, SIDE], 0.5) + 0.5).unwrap();
    let tensor = |tensor: &Tensor| TensorValue::from(tensor.clone()).into_value();
    session.set("x", tensor(&x));
    session.set("m", model.clone().into_value());
    value(&session.eval("let o = #{model: m, class: \"b\"};"));
    (session, x)
}

fn tensor(session: &Session, name: &str) -> Vec<f32> {
    let value = session.get(name).unwrap().try_cast::<TensorValue>().unwrap();
    value.inner().flatten_all().unwrap().to_vec1().unwrap()
}

fn number(session: &mut Session, code: &str) -> f64 {
    value(&session.eval(&format!("let number = {code};")));
    session.get("number").unwrap().as_float().unwrap()
}

/// The gradient of the score of a class by candle's tape.
fn gradient(model: &Model, x: &Tensor, class: usize) -> Tensor {
    let var = Var::from_tensor(x).unwrap();
    let output = [model.graph().output()];
    let logits = model.run(var.as_tensor(), &output, &Rules::default(), &Interrupt::never()).unwrap().remove(0);
    let score = logits.get(0).unwrap().get(class).unwrap();
    score.backward().unwrap().remove(&var).unwrap().detach()
}

fn close(found: &[f32], expected: &[f32], bound: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let greatest = expected.iter().fold(0f32, |greatest, value| greatest.max(value.abs())).max(1e-6);
    let worst = found.iter().zip(expected).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(worst <= bound * greatest, "{what}: {worst} of {greatest}");
}

#[test]
fn no_method_is_forgotten() {
    let called: Vec<&str> = METHODS.iter().map(|call| call.split('(').next().unwrap()).collect();
    let makes = |name: &str| {
        functions().filter(|(known, _)| *known == name).flat_map(|(_, overloads)| overloads.iter()).any(|function| {
            function.section() == "vis/attribution" && !function.property && function.returns.contains("attribution")
        })
    };
    for (name, _) in functions().filter(|(name, _)| makes(name)) {
        assert!(called.contains(&name) || OTHERS.contains(&name), "{name} is not in METHODS");
    }
    assert!(called.iter().all(|name| makes(name)), "what makes an attribution says so");
}

#[test]
fn every_method_explains_networks_of_1_3_and_4_channels_and_leaves_them_as_they_are() {
    for (channels, seed) in [(Channels::Grey, 1), (Channels::Rgb, 2), (Channels::Other(4), 3)] {
        let model = network(channels, true, false, seed);
        let before = model.weights().iter().map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        let before: Vec<Vec<f32>> = before.collect();
        let (mut session, x) = prepared(&model, seed);
        let answer = |model: &Model| model.forward(&x, &Interrupt::never()).unwrap().to_vec2::<f32>().unwrap();
        let scores = answer(&model);
        for call in METHODS {
            value(
                &session
                    .eval(&format!("let result = {call}; let values = result.values; let again = ({call}).values;")),
            );
            let values = tensor(&session, "values");
            assert!(values.iter().all(|value| value.is_finite()), "{call}");
            assert_eq!(values, tensor(&session, "again"), "{call} is the same again");
            let score = number(&mut session, "result.score");
            assert!((score - f64::from(scores[0][1])).abs() < 1e-4, "{call}: {score} is not {}", scores[0][1]);
        }
        let after = model.weights().iter().map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        assert_eq!(before, after.collect::<Vec<_>>());
        assert_eq!(scores, answer(&model));
    }
}

#[test]
fn several_images_are_explained_as_each_by_itself() {
    let model = network(Channels::Rgb, true, false, 4);
    let (mut session, _) = prepared(&model, 5);
    value(&session.eval("let y = x * 0.5 + 0.1;"));
    for call in METHODS {
        let with =
            |image: &str| call.replacen("(x", &format!("({image}"), 1).replacen(", x,", &format!(", {image},"), 1);
        if call.starts_with("low_pass") {
            continue;
        }
        let code =
            format!("let both = {}; let one = both[1].values; let alone = ({}).values;", with("[x, y]"), with("y"));
        value(&session.eval(&code));
        assert_eq!(tensor(&session, "one"), tensor(&session, "alone"), "{call}");
    }
}

#[test]
fn integrated_gradients_are_complete() {
    for seed in 0..8 {
        let model = network(Channels::Other(1 + seed as usize % 4), seed % 2 == 0, false, seed);
        let (mut session, x) = prepared(&model, seed);
        let of = |x: &Tensor| model.forward(x, &Interrupt::never()).unwrap().to_vec2::<f32>().unwrap()[0][1];
        let difference = f64::from(of(&x) - of(&x.zeros_like().unwrap()));
        let map = "integrated_gradients(x, o + #{steps: 200, baseline: \"black\", tolerance: 0.001})";
        let sum = number(&mut session, &format!("{map}.values.sum().item()"));
        let stated = number(&mut session, &format!("{map}.completeness_error"));
        let scale = difference.abs().max(0.05);
        assert!((sum - difference).abs() < 5e-3 * scale, "seed {seed}: {sum} of {difference}");
        assert!((sum - difference - stated).abs() < 1e-4 * scale.max(1.0), "seed {seed}: stated {stated}");
    }
}

#[test]
fn without_noise_smooth_grad_is_the_gradient() {
    for seed in 0..6 {
        let model = network(Channels::Rgb, seed % 2 == 0, false, seed);
        let (mut session, x) = prepared(&model, seed);
        value(&session.eval("let values = smooth_grad(x, o + #{samples: 1, noise: 0, seed: 1}).values;"));
        let expected: Vec<f32> = gradient(&model, &x, 1).flatten_all().unwrap().to_vec1().unwrap();
        close(&tensor(&session, "values"), &expected, 1e-5, "SmoothGrad");
    }
}

/// Of a network in which nothing bends each pixel contributes its value times its weight, and nothing else.
#[test]
fn linear_networks_are_explained_exactly() {
    for seed in 0..4 {
        let model = network(Channels::Rgb, seed % 2 == 0, true, seed);
        let (mut session, x) = prepared(&model, seed);
        let weights = gradient(&model, &x, 1);
        let expected: Vec<f32> = (weights * &x).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        for call in [
            "input_x_gradient(x, o)",
            "integrated_gradients(x, o + #{steps: 2, baseline: \"black\"})",
            "expected_gradients(x, o + #{samples: 3, seed: 1, baseline: \"black\", noise: 0})",
            "guided_ig(x, o + #{steps: 20, baseline: \"black\"})",
            "deep_lift(x, o + #{baseline: \"black\"})",
        ] {
            value(&session.eval(&format!("let values = ({call}).values;")));
            close(&tensor(&session, "values"), &expected, 1e-3, call);
        }
        // a covered pixel takes off what all its channels contribute
        value(&session.eval("let values = occlusion(x, o + #{window: 1, stride: 1, baseline: \"black\"}).values;"));
        let by_pixel: Vec<f32> =
            (0..SIDE * SIDE).map(|place| (0..3).map(|channel| expected[channel * SIDE * SIDE + place]).sum()).collect();
        close(&tensor(&session, "values"), &by_pixel, 2e-3, "occlusion");
    }
}
