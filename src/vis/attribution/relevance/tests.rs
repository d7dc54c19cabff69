//! Relevance and DeepLIFT on small networks: axioms on random ones, numbers of other programs on a toy, and a slow twin.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

use super::composite::{Composite, RelevanceRule};
use super::flow::{Books, Flow, rules};
use crate::job::{Interrupt, Job};
use crate::lang::FromValue;
use crate::model::{
    Answer, AnswerKind, BatchNorm, Builder, Channels, Conv2d, Graph, Input, InputRecipe, Linear, Model, Op, Weights,
    sketch,
};
use crate::tensor::testing::{assert_close, pick, random, rng, values};
use crate::tensor::{Activation, Conv2dParams, TensorValue};
use crate::vis::attribution::{Attribution, Baselines, LiftRule, deep_lift, input_x_gradient, lrp};
use crate::vis::{Explain, Prediction};

fn model(graph: Graph, weights: Weights, [channels, height, width]: [usize; 3], outputs: usize) -> Model {
    let recipe = InputRecipe::plain(Channels::of(channels), height, width);
    let answer = Answer::new(AnswerKind::Regression, None, outputs).unwrap();
    Model::new("small", graph, weights, answer, recipe).unwrap()
}

/// A random network of the allowed operations, with an input.
fn random_model(rng: &mut ChaCha8Rng, allowed: &dyn Fn(&Op) -> bool) -> (Model, Tensor) {
    let size = pick(rng, 2..=10);
    let (graph, image) = sketch::classifier(rng, size, 3, allowed);
    let weights = sketch::weights(rng, &graph);
    let x = random(rng, (1, image[0], image[1], image[2]));
    (model(graph, weights, image, 3), x)
}

fn explain(model: &Model) -> Explain {
    Explain { class: Some(1usize.into()), target: None, model: Some(model.clone()) }
}

fn input(x: &Tensor) -> Input {
    Input::Tensor(TensorValue::from(x.clone()))
}

fn prediction(model: &Model, x: &Tensor) -> Prediction {
    explain(model).prediction(&Job::detached(), &input(x)).unwrap()
}

fn relevance(model: &Model, x: &Tensor, composite: Composite) -> Attribution {
    lrp(&Job::detached(), &input(x), composite, &explain(model)).unwrap()
}

fn all(rule: RelevanceRule) -> Composite {
    Composite { conv: rule, dense: rule, first: None, layers: Vec::new() }
}

fn black() -> Baselines {
    Baselines::from_value(&"black".into()).unwrap()
}

fn total(values: &Tensor) -> f64 {
    self::values(values).iter().map(|value| f64::from(*value)).sum()
}

fn largest(values: &Tensor) -> f64 {
    self::values(values).iter().fold(0.0, |most, value| f64::from(value.abs()).max(most))
}

fn is_linear(op: &Op) -> bool {
    matches!(
        op,
        Op::Conv2d(_)
            | Op::Linear(_)
            | Op::Add
            | Op::Concat
            | Op::AvgPool2d { .. }
            | Op::AdaptiveAvgPool2d(_)
            | Op::Flatten
            | Op::Dropout
            | Op::ZeroPad(_)
    )
}

#[test]
fn relevance_without_a_stabilizer_is_gradient_times_input() {
    let mut rng = rng(31);
    let homogeneous = |op: &Op| {
        is_linear(op) || matches!(op, Op::MaxPool2d(_) | Op::Activation(Activation::Relu | Activation::LeakyRelu(_)))
    };
    for number in 0..120 {
        let (model, x) = random_model(&mut rng, &homogeneous);
        let ours = relevance(&model, &x, all(RelevanceRule::Epsilon(0.0)));
        let truth = input_x_gradient(&Job::detached(), &input(&x), &explain(&model)).unwrap();
        let scale = largest(&truth.values).max(1e-3) as f32;
        for (a, b) in values(&ours.values).iter().zip(values(&truth.values)) {
            assert!((a - b).abs() < 2e-3 * scale, "network {number}: {a} instead of {b}\n{model}");
        }
    }
}

#[test]
fn relevance_is_complete_with_what_layers_keep() {
    let mut rng = rng(32);
    let names = ["EpsilonPlus", "EpsilonPlusFlat", "EpsilonAlpha2Beta1", "EpsilonAlpha2Beta1Flat"];
    for number in 0..120 {
        let (model, x) = random_model(&mut rng, &|op| !matches!(op, Op::Softmax | Op::ZeroPad(_)));
        let composite = Composite::named(names[number % 4]).unwrap();
        let (prediction, flow) = Flow::of(&Job::detached(), &input(&x), &composite, &explain(&model)).unwrap();
        let kept: f64 = flow.steps.iter().map(|step| step.change()).sum();
        let scale = flow.steps.iter().map(|step| step.arrives.abs()).fold(f64::from(prediction.score.abs()), f64::max);
        let error = flow.arrived - kept - f64::from(prediction.score);
        assert!(error.abs() < 1e-3 * scale.max(1e-3), "network {number}: {error} of {scale}");
    }
}

#[test]
fn without_biases_z_plus_keeps_all_relevance() {
    let mut rng = rng(33);
    let plain = |op: &Op| {
        matches!(op, Op::Conv2d(_) | Op::Activation(Activation::Relu) | Op::Concat | Op::MaxPool2d(_) | Op::Add)
    };
    for number in 0..60 {
        let (graph, image) = sketch::classifier(&mut rng, 6, 3, &plain);
        // nothing is negative, so that no unit has nothing to share out
        let parameters = sketch::weights(&mut rng, &graph);
        let positive = parameters.iter().map(|(name, tensor)| {
            let factor = if name.ends_with("bias") { 0.0 } else { 1.0 };
            (name.to_owned(), (tensor.abs().unwrap() * factor).unwrap())
        });
        let weights = Weights::new(positive.collect::<Vec<_>>()).unwrap();
        let x = random(&mut rng, (1, image[0], image[1], image[2])).abs().unwrap();
        let model = model(graph, weights, image, 3);
        for name in ["EpsilonPlus", "EpsilonPlusFlat"] {
            let found = relevance(&model, &x, Composite::named(name).unwrap());
            let (sum, score) = (total(&found.values), f64::from(found.prediction.score));
            assert!((sum - score).abs() < 1e-3 * score, "network {number}, {name}: {sum} of {score}");
            assert!((found.completeness_error.unwrap() - (sum - score)).abs() < 1e-3 * score);
        }
    }
}

#[test]
fn rules_act_on_a_batch_as_on_each_image() {
    let mut rng = rng(34);
    let names = ["EpsilonPlus", "EpsilonPlusFlat", "EpsilonAlpha2Beta1"];
    for number in 0..40 {
        let (model, x) = random_model(&mut rng, &|op| !matches!(op, Op::Softmax));
        let other = random(&mut rng, x.shape());
        let composite = Composite::named(names[number % 3]).unwrap();
        let rules = rules(&model, prediction(&model, &x).reads(), &composite, &Books::default()).unwrap();
        let run = |x: &Tensor| {
            let taps = [model.output().id()];
            let (outputs, pullback) = model.pullback(x, &taps, &rules, &Interrupt::never()).unwrap();
            values(&pullback.gradient(&outputs).unwrap())
        };
        let batch = run(&Tensor::cat(&[&x, &other], 0).unwrap());
        assert_close(&batch, &[run(&x), run(&other)].concat(), 1e-3, &format!("network {number}"));
    }
}

#[test]
fn deep_lift_is_complete() {
    let mut rng = rng(35);
    for number in 0..150 {
        let (model, x) = random_model(&mut rng, &|op| !matches!(op, Op::Softmax | Op::LocalResponseNorm(_)));
        for rule in [LiftRule::Rescale, LiftRule::RevealCancel] {
            let found = deep_lift(&Job::detached(), &input(&x), black(), rule, None, &explain(&model)).unwrap();
            let error = found.completeness_error.unwrap();
            let scale = values(&found.values).iter().map(|value| f64::from(value.abs())).sum::<f64>();
            let scale = scale.max(f64::from(found.prediction.score.abs()));
            assert!(error.abs() < 1e-3 * scale, "network {number}, {rule:?}: {error} of {scale}\n{model}");
        }
    }
}

#[test]
fn a_linear_network_is_attributed_exactly() {
    let mut rng = rng(36);
    for _ in 0..40 {
        let (model, x) = random_model(&mut rng, &is_linear);
        let truth = input_x_gradient(&Job::detached(), &input(&x), &explain(&model)).unwrap();
        let scale = largest(&truth.values).max(1e-3) as f32;
        let lifted =
            deep_lift(&Job::detached(), &input(&x), black(), LiftRule::Rescale, None, &explain(&model)).unwrap();
        let shared = relevance(&model, &x, all(RelevanceRule::Epsilon(0.0)));
        // what keeps sums and poolings from dividing by zero takes some of small values
        for (found, tolerance) in [(lifted, 1e-4), (shared, 1e-2)] {
            for (a, b) in values(&found.values).iter().zip(values(&truth.values)) {
                assert!((a - b).abs() < tolerance * scale, "{}: {a} instead of {b}", found.method);
            }
        }
    }
}

/// A convolution, a batch-norm and a ReLU; or the same with the batch-norm merged by hand.
fn with_batch_norm(merged: bool, rng: &mut ChaCha8Rng) -> Model {
    let (mut graph, x) = Builder::new(2);
    let (weight, bias, params) = ("c.weight".to_owned(), Some("c.bias".to_owned()), Conv2dParams::new(1, 1));
    let conv = Conv2d { in_channels: 2, out_channels: 4, kernel: [3, 3], params, weight, bias };
    let mut y = graph.add("c", &[], Op::Conv2d(conv), &[x]);
    let numbers: Vec<Tensor> = [vec![4, 2, 3, 3], vec![4], vec![4], vec![4], vec![4]].map(|s| random(rng, s)).to_vec();
    let [w, b, gamma, beta, mean] = <[Tensor; 5]>::try_from(numbers).unwrap();
    let var = Tensor::new(&[0.5f32, 1.0, 2.0, 0.25], &Device::Cpu).unwrap();
    let last = random(rng, (3, 4));
    let mut parameters = vec![("f.weight".to_owned(), last)];
    if merged {
        let scale = (&gamma / (&var + 1e-3).unwrap().sqrt().unwrap()).unwrap();
        let w = w.broadcast_mul(&scale.reshape((4, 1, 1, 1)).unwrap()).unwrap();
        let b = (((b - mean).unwrap() * scale).unwrap() + beta).unwrap();
        parameters.extend([("c.weight".to_owned(), w), ("c.bias".to_owned(), b)]);
    } else {
        let [weight, bias, m, v] = ["n.weight", "n.bias", "n.mean", "n.var"].map(str::to_owned);
        parameters.extend([
            ("c.weight".to_owned(), w),
            ("c.bias".to_owned(), b),
            (weight.clone(), gamma),
            (bias.clone(), beta),
            (m.clone(), mean),
            (v.clone(), var),
        ]);
        let norm = BatchNorm { channels: 4, weight, bias, mean: m, var: v, eps: 1e-3 };
        y = graph.add("n", &[], Op::BatchNorm(norm), &[y]);
    }
    let y = graph.add("r", &[], Op::RELU, &[y]);
    let y = graph.add("p", &[], Op::GLOBAL_AVG_POOL, &[y]);
    let y = graph.add("flat", &[], Op::Flatten, &[y]);
    graph.add("f", &[], dense("f", 4, 3, false), &[y]);
    model(graph.finish().unwrap(), Weights::new(parameters).unwrap(), [2, 6, 5], 3)
}

fn dense(name: &str, in_features: usize, out_features: usize, bias: bool) -> Op {
    let bias = bias.then(|| format!("{name}.bias"));
    Op::Linear(Linear { in_features, out_features, weight: format!("{name}.weight"), bias })
}

#[test]
fn a_batch_norm_counts_as_part_of_its_convolution() {
    let x = random(&mut rng(38), (1, 2, 6, 5));
    let (apart, merged) = (with_batch_norm(false, &mut rng(37)), with_batch_norm(true, &mut rng(37)));
    let rules = [
        RelevanceRule::Epsilon(0.1),
        RelevanceRule::Gamma(0.25),
        RelevanceRule::AlphaBeta(1.0),
        RelevanceRule::AlphaBeta(2.0),
        RelevanceRule::Flat,
        RelevanceRule::WSquare,
    ];
    for rule in rules {
        let (a, b) = (relevance(&apart, &x, all(rule)), relevance(&merged, &x, all(rule)));
        assert_close(&values(&a.values), &values(&b.values), 1e-4, &format!("{rule:?}"));
    }
    for rule in [LiftRule::Rescale, LiftRule::RevealCancel] {
        let run =
            |model: &Model| deep_lift(&Job::detached(), &input(&x), black(), rule, None, &explain(model)).unwrap();
        assert_close(&values(&run(&apart).values), &values(&run(&merged).values), 1e-4, &format!("{rule:?}"));
    }
}

/// Captum's convolutional toy, `BasicModel_ConvNet_One_Conv`.
fn toy() -> Model {
    let (mut graph, x) = Builder::new(1);
    let (weight, bias, params) = ("c.weight".to_owned(), Some("c.bias".to_owned()), Conv2dParams::default());
    let conv = Conv2d { in_channels: 1, out_channels: 2, kernel: [3, 3], params, weight, bias };
    let x = graph.add("c", &[], Op::Conv2d(conv), &[x]);
    let x = graph.add("r", &[], Op::RELU, &[x]);
    let x = graph.add("flat", &[], Op::Flatten, &[x]);
    let x = graph.add("f", &[], dense("f", 8, 4, false), &[x]);
    graph.add("s", &[], Op::RELU, &[x]);
    let tensor = |values: &[f32], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let row = [1f32, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0];
    let weights = Weights::new([
        ("c.weight".to_owned(), tensor(&[1.0; 18], &[2, 1, 3, 3])),
        ("c.bias".to_owned(), tensor(&[-50.0, -75.0], &[2])),
        ("f.weight".to_owned(), tensor(&row.repeat(4), &[4, 8])),
    ]);
    model(graph.finish().unwrap(), weights.unwrap(), [1, 4, 4], 4)
}

/// What zennit 0.5.1 (EpsilonPlus) and Captum 0.9.0 (DeepLift from zeros) say about the toy; both agree, since every
/// contribution is positive.
const TOY: [f32; 16] = [
    0.0,
    0.074_074_075,
    0.148_148_15,
    0.222_222_22,
    1.234_567_9,
    3.302_469_3,
    3.962_963,
    2.462_963,
    2.469_135_8,
    5.944_444_7,
    6.604_938_5,
    3.870_370_4,
    3.703_703_6,
    7.623_457,
    8.209_877,
    4.166_666_7,
];

#[test]
fn the_toy_has_the_numbers_of_zennit_and_captum() {
    let (model, x) = (toy(), Tensor::arange(0f32, 16.0, &Device::Cpu).unwrap().reshape((1, 1, 4, 4)).unwrap());
    let check =
        |found: &Attribution, truth: &[f32], what: &str| assert_close(&values(&found.values), truth, 1e-5, what);
    let named = |name: &str| relevance(&model, &x, Composite::named(name).unwrap());
    check(&named("EpsilonPlus"), &TOY, "EpsilonPlus");
    check(&named("EpsilonAlpha2Beta1"), &TOY.map(|value| 2.0 * value), "EpsilonAlpha2Beta1");
    check(
        &named("EpsilonPlusFlat"),
        &[
            0.0,
            0.444_444_4,
            0.444_444_4,
            0.444_444_4,
            2.777_777_7,
            5.999_999_5,
            5.999_999_5,
            3.222_222,
            2.777_777_7,
            5.999_999_5,
            5.999_999_5,
            3.222_222,
            2.777_777_7,
            5.555_555_3,
            5.555_555_3,
            2.777_777_7,
        ],
        "EpsilonPlusFlat",
    );
    let lift = |baseline: Baselines| {
        deep_lift(&Job::detached(), &input(&x), baseline, LiftRule::Rescale, None, &explain(&model)).unwrap()
    };
    check(&lift(black()), &TOY, "DeepLIFT");
    let white = lift(Baselines::from_value(&"white".into()).unwrap());
    assert!(white.completeness_error.unwrap().abs() < 1e-4);
}

/// RevealCancel as the paper writes it, unit by unit in double precision, for linear layers with ReLUs between them.
fn slow_reveal_cancel(layers: &[(Vec<Vec<f64>>, Vec<f64>)], x: &[f64], output: usize) -> Vec<f64> {
    let relu = |v: f64| v.max(0.0);
    let through = |(weight, bias): &(Vec<Vec<f64>>, Vec<f64>), x: &[f64]| -> Vec<f64> {
        weight.iter().zip(bias).map(|(row, b)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b).collect()
    };
    // what each layer reads, in both runs
    let (mut read, mut read0) = (vec![x.to_vec()], vec![vec![0.0; x.len()]]);
    for layer in &layers[..layers.len() - 1] {
        let next = |x: &Vec<f64>| through(layer, x).into_iter().map(relu).collect::<Vec<_>>();
        let (a, b) = (next(read.last().unwrap()), next(read0.last().unwrap()));
        read.push(a);
        read0.push(b);
    }
    let last = layers.len() - 1;
    let mut m: Vec<f64> = layers[last].0[output].clone();
    for index in (0..last).rev() {
        let (weight, bias) = &layers[index];
        let delta: Vec<f64> = read[index].iter().zip(&read0[index]).map(|(a, b)| a - b).collect();
        let mut below = vec![0.0; delta.len()];
        for (j, row) in weight.iter().enumerate() {
            let contributions: Vec<f64> = row.iter().zip(&delta).map(|(w, d)| w * d).collect();
            let plus: f64 = contributions.iter().filter(|c| **c > 0.0).sum();
            let minus: f64 = contributions.iter().filter(|c| **c < 0.0).sum();
            let z0: f64 = row.iter().zip(&read0[index]).map(|(w, x)| w * x).sum::<f64>() + bias[j];
            let rise = 0.5 * (relu(z0 + plus) - relu(z0)) + 0.5 * (relu(z0 + minus + plus) - relu(z0 + minus));
            let fall = 0.5 * (relu(z0 + minus) - relu(z0)) + 0.5 * (relu(z0 + plus + minus) - relu(z0 + plus));
            let m_plus = if plus > 0.0 { m[j] * rise / plus } else { 0.0 };
            let m_minus = if minus < 0.0 { m[j] * fall / minus } else { 0.0 };
            for (i, w) in row.iter().enumerate() {
                below[i] += w * match contributions[i] {
                    c if c > 0.0 => m_plus,
                    c if c < 0.0 => m_minus,
                    _ if delta[i] == 0.0 => 0.5 * (m_plus + m_minus),
                    _ => 0.0,
                };
            }
        }
        m = below;
    }
    m.iter().zip(x).map(|(m, x)| m * x).collect()
}

#[test]
fn reveal_cancel_is_the_papers() {
    let mut rng = rng(39);
    for number in 0..60 {
        let mut sizes: Vec<usize> = (0..pick(&mut rng, 2..=4)).map(|_| pick(&mut rng, 2..=9)).collect();
        sizes.push(3);
        let (mut graph, input_node) = Builder::new(sizes[0]);
        let mut y = graph.add("flat", &[], Op::Flatten, &[input_node]);
        let (mut parameters, mut layers) = (Vec::new(), Vec::new());
        for (index, pair) in sizes.windows(2).enumerate() {
            let name = format!("f{index}");
            if index > 0 {
                y = graph.add(&format!("r{index}"), &[], Op::RELU, &[y]);
            }
            y = graph.add(&name, &[], dense(&name, pair[0], pair[1], true), &[y]);
            let (w, b) = (random(&mut rng, (pair[1], pair[0])), random(&mut rng, pair[1]));
            let wide = |x: Vec<f32>| x.into_iter().map(f64::from).collect::<Vec<f64>>();
            layers.push((w.to_vec2().unwrap().into_iter().map(wide).collect::<Vec<_>>(), wide(b.to_vec1().unwrap())));
            parameters.extend([(format!("{name}.weight"), w), (format!("{name}.bias"), b)]);
        }
        let model = model(graph.finish().unwrap(), Weights::new(parameters).unwrap(), [sizes[0], 1, 1], 3);
        let x = random(&mut rng, (1, sizes[0], 1, 1));
        let found = deep_lift(&Job::detached(), &input(&x), black(), LiftRule::RevealCancel, None, &explain(&model));
        let truth = slow_reveal_cancel(&layers, &values(&x).into_iter().map(f64::from).collect::<Vec<_>>(), 1);
        let truth: Vec<f32> = truth.into_iter().map(|value| value as f32).collect();
        assert_close(&values(&found.unwrap().values), &truth, 1e-4, &format!("network {number}, {sizes:?}"));
    }
}

#[test]
fn networks_that_a_rule_does_not_fit_say_so() {
    let (mut graph, x) = Builder::new(1);
    let x = graph.add("r", &[], Op::RELU, &[x]);
    let x = graph.add("p", &[], Op::GLOBAL_AVG_POOL, &[x]);
    graph.add("flat", &[], Op::Flatten, &[x]);
    let model = model(graph.finish().unwrap(), Weights::new([]).unwrap(), [1, 4, 4], 1);
    let x = Tensor::arange(0f32, 16.0, &Device::Cpu).unwrap().reshape((1, 1, 4, 4)).unwrap();
    let explain = Explain { class: Some(0usize.into()), target: None, model: Some(model) };
    let error = lrp(&Job::detached(), &input(&x), all(RelevanceRule::Flat), &explain).unwrap_err();
    assert!(error.to_string().contains("no convolution and no linear layer"), "{error}");

    // two channels are no picture, so that nobody knows their bounds
    let model = with_batch_norm(true, &mut rng(1));
    let x = random(&mut rng(2), (1, 2, 6, 5));
    let composite = Composite::named("EpsilonGammaBox").unwrap();
    let error = lrp(&Job::detached(), &input(&x), composite, &self::explain(&model)).unwrap_err();
    assert!(error.to_string().contains("is no picture"), "{error}");
}
