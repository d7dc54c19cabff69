//! Measures of attributions on networks for which the right number is known, and sampling that is stopped.

use candle_core::{Device, Tensor};
use percept::Job;
use percept::model::{Builder, Channels, Classes, Conv2d, Input, InputRecipe, Model, Op, Weights};
use percept::tensor::Conv2dParams;
use percept::vis::attribution::{Attribution, Masks, Method, Sampling, Sign, input_x_gradient, rise, saliency};
use percept::vis::evaluation::{
    Mask, Order, infidelity, mu_fidelity, pointing_game, randomisation, relevance_mass, relevance_rank, spearman,
};
use percept::vis::{Explain, Prediction};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::methods::stopping;

const SIDE: usize = 12;

/// A grey image of 12×12 pixels, each of which has its weight for each of two classes.
fn linear() -> Model {
    let (mut graph, x) = Builder::new(1);
    let params = Conv2dParams::default();
    let (in_channels, out_channels, kernel) = (1, 2, [SIDE; 2]);
    let (weight, bias) = ("fc.weight".to_owned(), None);
    let op = Op::Conv2d(Conv2d { in_channels, out_channels, kernel, params, weight, bias });
    let x = graph.add("fc", &[], op, &[x]);
    graph.add("flatten", &[], Op::Flatten, &[x]);
    let weights: Vec<f32> = (0..2 * SIDE * SIDE).map(|place| ((place * 31) % 17) as f32 / 17.0 - 0.4).collect();
    let weights = Tensor::from_vec(weights, (2, 1, SIDE, SIDE), &Device::Cpu).unwrap();
    let weights = Weights::new([("fc.weight".to_owned(), weights)]).unwrap();
    let recipe = InputRecipe::plain(Channels::Grey, SIDE, SIDE);
    Model::new("linear", graph.finish().unwrap(), weights, Classes::from_lines("a\nb"), recipe).unwrap()
}

fn input() -> Tensor {
    let values: Vec<f32> = (0..SIDE * SIDE).map(|place| ((place * 29) % 23) as f32 / 23.0).collect();
    Tensor::from_vec(values, (1, SIDE, SIDE), &Device::Cpu).unwrap()
}

fn explained() -> Prediction {
    Prediction::of(&Job::detached(), linear(), &Input::from(input()), None).unwrap()
}

/// What each pixel contributes: its value times its weight for the class, or what `change` makes of it.
fn contributions(prediction: &Prediction, times_input: bool, change: impl Fn(usize, f32) -> f32) -> Attribution {
    let class = prediction.class.as_ref().unwrap().class;
    let weights = prediction.model.weights().get("fc.weight").unwrap().get(class).unwrap();
    let values = if times_input { (weights * prediction.input.squeeze(0).unwrap()).unwrap() } else { weights };
    let values = values.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let values: Vec<f32> = values.into_iter().enumerate().map(|(place, value)| change(place, value)).collect();
    let values = Tensor::from_vec(values, (1, SIDE, SIDE), &Device::Cpu).unwrap();
    Attribution::new("by hand", prediction, values, Sign::Signed, "part of the score".into())
}

#[test]
fn what_a_linear_network_adds_up_is_faithful() {
    let (job, prediction) = (Job::detached(), explained());
    let right = contributions(&prediction, true, |_, value| value);
    let measure = mu_fidelity(&job, &right, 6, 0.2, 100, None, Some(1)).unwrap();
    assert!(measure.value > 0.9999, "{measure}");
    let opposite = contributions(&prediction, true, |_, value| -value);
    assert!(mu_fidelity(&job, &opposite, 6, 0.2, 100, None, Some(1)).unwrap().value < -0.9999);
    let other = contributions(&prediction, true, |place, _| ((place * 13) % 5) as f32);
    assert!(mu_fidelity(&job, &other, 6, 0.2, 100, None, Some(1)).unwrap().value.abs() < 0.6);

    // noise changes the score by the weights times it
    let gradient = contributions(&prediction, false, |_, value| value);
    let measure = infidelity(&job, &gradient, 50, 0.1, false, Some(1)).unwrap();
    assert!(measure.value < 1e-9, "{measure}");
    let thrice = contributions(&prediction, false, |_, value| 3.0 * value);
    assert!(infidelity(&job, &thrice, 50, 0.1, false, Some(1)).unwrap().value > 1e-3);
    assert!(infidelity(&job, &thrice, 50, 0.1, true, Some(1)).unwrap().value < 1e-9, "scaled it is the same");
}

/// Bhatt, Weller and Moura's formula, with the parts drawn as the method draws them, of a network that is not linear.
#[test]
fn mu_fidelity_is_the_correlation_of_the_sums_with_the_drops() {
    const CELLS: usize = 4;
    let (job, part, samples, seed) = (Job::detached(), 0.3, 40, 5);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx/resnet.onnx");
    let model = Model::open(&path, None).unwrap();
    let image = Input::from(percept::image::photo("chelsea").unwrap());
    for class in [1usize, 4] {
        let explain = Explain { class: Some(class.into()), target: None, model: Some(model.clone()) };
        let map = input_x_gradient(&job, &image, &explain).unwrap();
        let (_, channels, height, width) = map.prediction.input.dims4().unwrap();
        let cell = |place: usize| place / width * CELLS / height * CELLS + place % width * CELLS / width;
        let score = |x: &Tensor| model.forward(x, job.interrupt()).unwrap().to_vec2::<f32>().unwrap()[0][class];
        let (whole, relevance) = (score(&map.prediction.input), map.map_of_image().unwrap());
        let pixels = map.prediction.input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (mut sums, mut drops) = (Vec::new(), Vec::new());
        for index in 0..samples {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(index);
            let hidden: Vec<bool> = (0..CELLS * CELLS).map(|_| random.random_bool(part)).collect();
            let inside = |place: usize| hidden[cell(place % (height * width))];
            let shares = (0..height * width).filter(|place| inside(*place)).map(|place| f64::from(relevance[place]));
            sums.push(shares.sum());
            let without = pixels.iter().enumerate().map(|(place, x)| if inside(place) { 0.0 } else { *x }).collect();
            let without = Tensor::from_vec(without, (1, channels, height, width), &Device::Cpu).unwrap();
            drops.push(f64::from(whole - score(&without)));
        }
        let expected = spearman(&sums, &drops);
        let measure = mu_fidelity(&job, &map, CELLS, part, samples as usize, None, Some(seed)).unwrap();
        assert!((measure.value - expected).abs() < 1e-6, "class {class}: {measure}: {expected}");
        assert!(expected.abs() < 0.9999, "{expected}");
    }
}

#[test]
fn known_masks_are_counted() {
    let prediction = explained();
    // 1 in the first row, 2 at one place of the second
    let map = contributions(&prediction, true, |place, _| match place {
        0..SIDE => 1.0,
        14 => 2.0,
        _ => -1.0,
    });
    let mask = |inside: &dyn Fn(usize) -> bool| {
        Mask::new(SIDE, SIDE, (0..SIDE * SIDE).map(|place| f32::from(u8::from(inside(place)))).collect()).unwrap()
    };
    let first_row = mask(&|place| place < SIDE);
    // 12 of 14 of what speaks for the class, and 11 of the 12 greatest places
    assert!((relevance_mass(&map, &first_row).unwrap().value - 12.0 / 14.0).abs() < 1e-6);
    assert!((relevance_rank(&map, &first_row).unwrap().value - 11.0 / 12.0).abs() < 1e-6);
    // the greatest lies a row below
    assert_eq!(pointing_game(&map, &first_row, 0).unwrap().value, 0.0);
    assert_eq!(pointing_game(&map, &first_row, 1).unwrap().value, 1.0);
    let far = mask(&|place| place == SIDE * SIDE - 1);
    assert_eq!(pointing_game(&map, &far, 10).unwrap().value, 0.0);
    let error = relevance_mass(&map, &mask(&|_| false)).unwrap_err();
    assert!(error.message().contains("empty"), "{}", error.message());
}

/// The last stage of the cascade is a network with random parameters.
#[test]
fn the_cascade_ends_at_a_random_network() {
    let job = Job::detached();
    let image = Input::from(percept::image::photo("chelsea").unwrap());
    let method = Method::new("saliency", |job, image, explain| saliency(job, image, false, explain));
    let explain = Explain::default();
    let measure = randomisation(&job, &method, &image, Some(1), Order::TopDown, Some(7), &explain).unwrap();
    let trained = saliency(&job, &image, false, &explain).unwrap();
    let own = &trained.prediction.model;
    let random = Weights::random(own.graph(), 7).unwrap();
    let random = Model::new("random", own.graph().clone(), random, own.answer().clone(), own.recipe().clone()).unwrap();
    let goal = trained.prediction.goal.clone();
    let other =
        saliency(&job, &image, false, &Explain { class: None, target: Some(goal), model: Some(random) }).unwrap();
    let numbers = |attribution: &Attribution| -> Vec<f64> {
        let map = attribution.map().unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        map.into_iter().map(f64::from).collect()
    };
    let expected = spearman(&numbers(&trained), &numbers(&other));
    assert!((measure.value - expected).abs() < 1e-6, "{measure}: {expected}");
    assert_eq!(measure.places, [0.0, 26.0]);
}

/// A function of the image alone cannot be told another network or class.
#[test]
fn a_method_that_does_not_listen_is_an_error() {
    let job = Job::detached();
    let image = Input::from(percept::image::photo("chelsea").unwrap());
    let deaf = Method::new("deaf", |job, image, _| saliency(job, image, false, &Explain::default()));
    let error = randomisation(&job, &deaf, &image, Some(1), Order::TopDown, Some(7), &Explain::default()).unwrap_err();
    assert!(error.message().contains("another network"), "{}", error.message());
}

#[test]
fn sampling_that_is_stopped_keeps_what_it_has() {
    let image = Input::from(percept::image::photo("chelsea").unwrap());
    let sampling = Sampling { samples: Some(500), until: None, seed: Some(3) };
    let job = stopping(2);
    let stopped = rise(&job, &image, &sampling, &Masks::default(), &Explain::default()).unwrap();
    assert!(job.stopped());
    let sampled = stopped.sampled.unwrap();
    assert!(sampled.samples > 0 && sampled.samples < 500 && sampled.most == 500, "{sampled:?}");
    // it is the map of as many samples
    let fewer = Sampling { samples: Some(sampled.samples), ..sampling };
    let whole = rise(&Job::detached(), &image, &fewer, &Masks::default(), &Explain::default()).unwrap();
    let numbers = |map: &Tensor| map.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(numbers(&stopped.values), numbers(&whole.values));
    assert_eq!(numbers(&stopped.standard_error.unwrap()), numbers(&whole.standard_error.unwrap()));
}

#[test]
fn one_sample_says_nothing_about_its_error() {
    let image = Input::from(percept::image::photo("chelsea").unwrap());
    let sampling = Sampling { samples: Some(1), until: None, seed: Some(3) };
    let one = rise(&Job::detached(), &image, &sampling, &Masks::default(), &Explain::default()).unwrap();
    assert!(one.standard_error.is_none());
    assert_eq!(one.sampled.unwrap().stability, None);
}
