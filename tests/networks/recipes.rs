//! Small networks of every number of channels, size and kind of answer: pictures go in, scores and probabilities come
//! out, gradients come back, and a file keeps all of it. Each number is checked against its definition.

use candle_core::{Device, Tensor, Var};
use percept::image::Image;
use percept::job::Interrupt;
use percept::model::{
    Answer, AnswerKind, Builder, Channels, Conv2d, Graph, InputRecipe, LUMINANCE, Linear, Model, Numbers, Op,
    ResizeRule, Weights,
};
use percept::tensor::Conv2dParams;

/// Numbers in [−1, 1] without a pattern that matters.
fn numbers(seed: usize, count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * i * 7 + i * 31 + seed * 101) % 257) as f32 / 128.0 - 1.0).collect()
}

/// A convolution, a sigmoid so that slopes are smooth, the mean over the image, and a linear layer.
fn graph(channels: usize, outputs: usize) -> Graph {
    let (mut graph, x) = Builder::new(channels);
    let params = Conv2dParams { padding: [[1, 1], [1, 1]], ..Conv2dParams::default() };
    let (weight, bias) = ("conv.weight".to_owned(), Some("conv.bias".to_owned()));
    let conv = Conv2d { in_channels: channels, out_channels: 5, kernel: [3, 3], params, weight, bias };
    let x = graph.add("conv", &[], Op::Conv2d(conv), &[x]);
    let x = graph.add("gate", &[], Op::Activation(percept::tensor::Activation::Sigmoid), &[x]);
    let x = graph.add("pool", &[], Op::GLOBAL_AVG_POOL, &[x]);
    let x = graph.add("flatten", &[], Op::Flatten, &[x]);
    let (weight, bias) = ("fc.weight".to_owned(), Some("fc.bias".to_owned()));
    graph.add("fc", &[], Op::Linear(Linear { in_features: 5, out_features: outputs, weight, bias }), &[x]);
    graph.finish().unwrap()
}

fn weights(graph: &Graph) -> Weights {
    let tensor = |(seed, p): (usize, percept::model::Parameter)| {
        let values = numbers(seed, p.shape.iter().product());
        (p.name, Tensor::from_vec(values, p.shape, &Device::Cpu).unwrap())
    };
    Weights::new(graph.parameters().into_iter().enumerate().map(tensor)).unwrap()
}

fn recipes(width: usize, height: usize) -> Vec<InputRecipe> {
    let plain = |channels| InputRecipe::plain(channels, height, width);
    vec![
        plain(Channels::Rgb),
        InputRecipe { resize: ResizeRule::Stretch, ..InputRecipe::torchvision().resized(height, width) },
        InputRecipe {
            range: 255.0,
            mean: vec![10.0, 100.0, 200.0],
            std: vec![60.0, 70.0, 80.0],
            ..plain(Channels::Bgr)
        },
        InputRecipe { mean: vec![0.4], std: vec![0.3], ..plain(Channels::Grey) },
        InputRecipe { range: 255.0, std: vec![200.0], ..plain(Channels::Grey) },
        InputRecipe { range: 255.0, std: vec![255.0; 3], numbers: Numbers::Byte, ..plain(Channels::Rgb) },
    ]
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn near(a: f64, b: f64, within: f64, what: &str) {
    assert!((a - b).abs() <= within, "{what}: {a} instead of {b}");
}

/// The picture as an input by the definition: (pixel · range − mean) / std.
fn by_definition(recipe: &InputRecipe, image: &Image) -> Vec<f32> {
    let [red, green, blue] = image.channels().map(<[f32]>::to_vec);
    let planes = match recipe.channels {
        Channels::Rgb => vec![red, green, blue],
        Channels::Bgr => vec![blue, green, red],
        Channels::Grey => {
            let [r, g, b] = LUMINANCE;
            vec![(0..red.len()).map(|i| r * red[i] + g * green[i] + b * blue[i]).collect()]
        }
        Channels::Other(_) => unreachable!(),
    };
    let level = |v: f32| {
        let v = v * recipe.range as f32;
        if recipe.numbers == Numbers::Byte { v.round() } else { v }
    };
    planes
        .iter()
        .enumerate()
        .flat_map(|(c, plane)| plane.iter().map(move |v| (level(*v) - recipe.mean[c]) / recipe.std[c]))
        .collect()
}

/// Probabilities by their definitions.
fn shares(kind: AnswerKind, logits: &[f32]) -> Vec<f64> {
    let logits: Vec<f64> = logits.iter().map(|v| f64::from(*v)).collect();
    let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
    match (kind, logits.as_slice()) {
        (AnswerKind::Sigmoid, [one]) => vec![sigmoid(*one), 1.0 - sigmoid(*one)],
        (AnswerKind::Probabilities, [one]) => vec![*one, 1.0 - one],
        (AnswerKind::Sigmoid, all) => all.iter().map(|v| sigmoid(*v)).collect(),
        (AnswerKind::Softmax, all) => {
            let sum: f64 = all.iter().map(|v| v.exp()).sum();
            all.iter().map(|v| v.exp() / sum).collect()
        }
        (_, all) => all.to_vec(),
    }
}

#[test]
fn every_recipe_with_every_answer() {
    let kinds = [
        (AnswerKind::Softmax, 3),
        (AnswerKind::Sigmoid, 1),
        (AnswerKind::Sigmoid, 4),
        (AnswerKind::Probabilities, 1),
        (AnswerKind::Probabilities, 3),
        (AnswerKind::Regression, 1),
        (AnswerKind::Regression, 2),
    ];
    let mut checked = 0;
    for (width, height) in [(6, 6), (9, 5), (4, 11)] {
        for recipe in recipes(width, height) {
            for (kind, outputs) in kinds {
                let what = format!("{kind:?} of {outputs} outputs, {recipe}");
                let graph = graph(recipe.channels.count(), outputs);
                let weights = weights(&graph);
                let answer = Answer::new(kind, None, outputs).unwrap();
                let model = Model::new("small", graph, weights, answer, recipe.clone()).unwrap();
                let pixels = numbers(7, 3 * 20 * 15).into_iter().map(|v| v / 2.0 + 0.5).collect();
                let image = Image::from_planes(20, 15, pixels, None).unwrap();
                check(&model, &image, &what);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 3 * 6 * 7);
}

fn check(model: &Model, image: &Image, what: &str) {
    let (recipe, answer) = (model.recipe(), model.answer());
    let view = model.view(image).unwrap();
    assert_eq!((view.width(), view.height()), (recipe.width, recipe.height), "{what}");
    let input = model.input(&view).unwrap();
    assert_eq!(input.dims(), [1, recipe.channels.count(), recipe.height, recipe.width], "{what}");
    for (ours, truth) in values(&input).iter().zip(by_definition(recipe, &view)) {
        near((*ours).into(), truth.into(), 1e-5, what);
    }
    // whole numbers come back as what they were rounded to
    let within = if recipe.numbers == Numbers::Byte { 0.502 / 255.0 } else { 1e-5 };
    for (back, pixel) in model.image_of(&input).unwrap().planes().iter().zip(view.planes()) {
        near((*back).into(), (*pixel).into(), within, what);
    }

    let output = model.forward(&input, &Interrupt::never()).unwrap();
    let scored = answer.read(&output).unwrap();
    let truth = shares(answer.kind(), &values(&output));
    assert_eq!(scored.len(), truth.len(), "{what}");
    assert_eq!(scored.len(), model.classes().len(), "{what}");
    for (scored, truth) in scored.iter().zip(truth) {
        near(scored.probability.into(), truth, 1e-6, what);
    }

    // the gradient of each score against differences along itself
    for class in 0..scored.len() {
        let x = Var::from_tensor(&input).unwrap();
        let score = |x: &Tensor| {
            let output = model.forward(x, &Interrupt::never()).unwrap();
            answer.score(&output, class).unwrap().sum_all().unwrap()
        };
        let gradient = score(&x).backward().unwrap().remove(&x).unwrap();
        let square: f32 = values(&gradient).iter().map(|v| v * v).sum();
        assert!(square > 0.0, "{what}: no gradient");
        let step = f64::from(0.05 / square.sqrt());
        let at = |by: f64| score(&(&input + (&gradient * by).unwrap()).unwrap()).to_scalar::<f32>().unwrap();
        let measured = (at(step) - at(-step)) / (2.0 * step as f32);
        near(measured.into(), square.into(), 0.02 * f64::from(square), what);
    }

    let again = Model::from_percept(&model.to_percept().unwrap()).unwrap();
    assert_eq!(again.recipe(), recipe, "{what}");
    assert_eq!(again.to_string(), model.to_string());
    assert_eq!(again.answer().read(&output).unwrap(), scored, "{what}");
}

#[test]
fn channels_that_are_no_picture_take_tensors_only() {
    for channels in [2, 4] {
        let graph = graph(channels, 3);
        let weights = weights(&graph);
        let recipe = InputRecipe::plain(Channels::of(channels), 6, 5);
        let answer = Answer::new(AnswerKind::Softmax, None, 3).unwrap();
        let model = Model::new("stack", graph, weights, answer, recipe).unwrap();
        let picture = Image::filled(5, 6, [0.5; 3]).unwrap();
        for error in [
            model.view(&picture).unwrap_err(),
            model.input(&picture).unwrap_err(),
            model
                .image_of(&Tensor::zeros((1, channels, 6, 5), candle_core::DType::F32, &Device::Cpu).unwrap())
                .unwrap_err(),
        ] {
            assert!(
                error.message().starts_with(&format!("the network takes {channels} channels; an image has 3")),
                "{error}"
            );
        }
        let x = Tensor::from_vec(numbers(3, channels * 30), (1, channels, 6, 5), &Device::Cpu).unwrap();
        assert_eq!(model.forward(&x, &Interrupt::never()).unwrap().dims(), [1, 3]);
        assert!(model.to_string().contains("only tensors can be given"), "{model}");
        let again = Model::from_percept(&model.to_percept().unwrap()).unwrap();
        assert_eq!(again.recipe(), model.recipe());
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let (colour, grey) = (InputRecipe::plain(Channels::Rgb, 6, 6), InputRecipe::plain(Channels::Grey, 6, 6));
    let make = |recipe: InputRecipe, answer: Answer| {
        let graph = graph(3, 3);
        let weights = weights(&graph);
        Model::new("small", graph, weights, answer, recipe).map(drop)
    };
    let softmax = |outputs| Answer::new(AnswerKind::Softmax, None, outputs).unwrap();
    make(colour.clone(), softmax(3)).unwrap();
    assert!(make(grey, softmax(3)).unwrap_err().message().contains("for 1 channels, the network takes 3"));
    assert!(make(colour.clone(), softmax(4)).is_err());
    let flat = InputRecipe { std: vec![1.0, 0.0, 1.0], ..colour };
    assert_eq!(make(flat, softmax(3)).unwrap_err().argument(), Some("std"));
}
