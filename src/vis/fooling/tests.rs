//! Attacks on networks whose boundaries are planes, and on one whose rectifier is off.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use candle_core::{Device, Tensor};

use super::ball::{eight_bits, length};
use super::victim::{Aimed, Victim};
use super::*;
use crate::image::Image;
use crate::job::{Interrupt, Job};
use crate::model::{Answer, AnswerKind, Builder, Channels, Classes, Conv2d, InputRecipe, Model, Op, Weights};
use crate::tensor::Conv2dParams;

/// The side of the images.
const SIDE: usize = 4;

/// Scores that are the mean of a weighted sum of the colours, plus a bias, perhaps behind a rectifier.
fn network(weights: &[[f32; 3]], biases: &[f32], rectified: bool) -> Model {
    let (mut graph, mut x) = Builder::new(3);
    let conv = Conv2d {
        in_channels: 3,
        out_channels: weights.len(),
        kernel: [1; 2],
        params: Conv2dParams::new(1, 0),
        weight: "conv.weight".into(),
        bias: Some("conv.bias".into()),
    };
    x = graph.add("conv", &[], Op::Conv2d(conv), &[x]);
    if rectified {
        x = graph.add("relu", &[], Op::RELU, &[x]);
    }
    x = graph.add("pool", &[], Op::GLOBAL_AVG_POOL, &[x]);
    graph.add("flatten", &[], Op::Flatten, &[x]);
    let graph = graph.finish().unwrap();
    let weight = Tensor::from_vec(weights.concat(), (weights.len(), 3, 1, 1), &Device::Cpu).unwrap();
    let bias = Tensor::from_slice(biases, biases.len(), &Device::Cpu).unwrap();
    let weights = Weights::new([("conv.weight".to_owned(), weight), ("conv.bias".to_owned(), bias)]).unwrap();
    let names = Classes::numbered(biases.len());
    let answer = Answer::new(AnswerKind::Softmax, Some(names), biases.len()).unwrap();
    Model::new("planes", graph, weights, answer, InputRecipe::plain(Channels::Rgb, SIDE, SIDE)).unwrap()
}

/// Three classes, and grey, which is of the first.
fn planes() -> (Model, Image) {
    let model = network(&[[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]], &[0.2, 0.0, -0.3], false);
    (model, Image::filled(SIDE, SIDE, [128.0 / 255.0; 3]).unwrap())
}

fn aim(model: &Model, target: Option<usize>) -> Aim {
    Aim { target: target.map(Into::into), model: Some(model.clone()) }
}

/// The distance of the image from the plane between its class and another: the difference of the scores over the length
/// of its gradient, which is the same for every pixel.
fn distance(difference: f64) -> f64 {
    let pixels = (SIDE * SIDE) as f64;
    difference / (2.0 * (3.0 / pixels).powi(2) * pixels).sqrt()
}

#[test]
fn deepfool_finds_the_distance_of_a_plane() {
    let (model, image) = planes();
    let options = DeepFoolOptions::default();
    for target in [None, Some(1)] {
        let found = deepfool(&Job::detached(), &image, &options, &aim(&model, target)).unwrap();
        assert!(found.success && found.own.before.class == 0, "{found}");
        assert_eq!(found.taken_for.class, 1);
        let exact = distance(0.2);
        let unrounded = found.unrounded_l2.unwrap();
        assert!((unrounded / exact - 1.02).abs() < 0.005, "{unrounded} for {exact}");
        // whole levels can only be further, and here not by much
        assert!(found.l2 >= exact && found.l2 < exact + 0.05, "{} for {exact}", found.l2);
        assert!(found.looks > 2 && found.moments.len() >= 2);
    }
    // on the way to the last class another one is in between
    let found = deepfool(&Job::detached(), &image, &options, &aim(&model, Some(2))).unwrap();
    assert!(found.success && found.taken_for.class == 2 && found.l2 > distance(0.5), "{found}");
}

#[test]
fn carlini_wagner_comes_near_the_distance_of_a_plane() {
    let (model, image) = planes();
    let options = CarliniWagnerOptions { steps: 300, ..CarliniWagnerOptions::default() };
    let found = carlini_wagner(&Job::detached(), &image, &options, &aim(&model, None)).unwrap();
    let (exact, unrounded) = (distance(0.2), found.unrounded_l2.unwrap());
    assert!(found.success && (1.0..1.1).contains(&(unrounded / exact)), "{unrounded} for {exact}");
    // too small a weight finds nothing by itself, but by further searches
    let few = CarliniWagnerOptions { c: 0.01, steps: 60, ..options.clone() };
    let found = carlini_wagner(&Job::detached(), &image, &few, &aim(&model, None)).unwrap();
    assert!(!found.success && found.changed == 0, "{found}");
    let found =
        carlini_wagner(&Job::detached(), &image, &CarliniWagnerOptions { searches: 4, ..few }, &aim(&model, None))
            .unwrap();
    assert!(found.success, "{found}");
    // apart by a margin
    let sure = CarliniWagnerOptions { confidence: 0.3, steps: 100, ..options };
    let found = carlini_wagner(&Job::detached(), &image, &sure, &aim(&model, None)).unwrap();
    assert!(found.rival.after.score - found.own.after.score >= 0.3, "{found}");
}

#[test]
fn the_smallest_flip_is_no_longer_than_what_it_starts_from() {
    let (model, image) = planes();
    let deep = deepfool(&Job::detached(), &image, &DeepFoolOptions::default(), &aim(&model, None)).unwrap();
    let flip = smallest_flip(&Job::detached(), &image, 20, 3, &aim(&model, None)).unwrap();
    assert!(flip.success && flip.l2 <= deep.l2, "{flip} {deep}");
}

#[test]
fn bounded_attacks_stay_within_their_bound_and_go_along_the_gradient() {
    let (model, image) = planes();
    let job = Job::detached();
    let step = fgsm(&job, &image, 10.0 / 255.0, &aim(&model, None)).unwrap();
    let change: Vec<f32> = step.perturbation().unwrap().values().unwrap();
    // of the class itself less, of the others more
    let expected = [-10.0, 10.0, 10.0].map(|levels: f32| levels / 255.0);
    assert!(
        change.chunks(SIDE * SIDE).zip(expected).all(|(plane, level)| plane.iter().all(|v| (v - level).abs() < 1e-6))
    );
    for norm in [Norm::LInf, Norm::L2] {
        let epsilon = if norm == Norm::LInf { 20.0 / 255.0 } else { 0.4 };
        let reach = Reach { norm, epsilon: Some(epsilon) };
        let pgd = pgd(&job, &image, &reach, &PgdOptions::default(), &aim(&model, Some(1))).unwrap();
        let apgd = apgd(&job, &image, &reach, &ApgdOptions::default(), &aim(&model, None)).unwrap();
        let options = SquareOptions { queries: 300, ..SquareOptions::default() };
        let square = square_attack(&job, &image, &reach, &options, &aim(&model, None)).unwrap();
        for found in [pgd, apgd, square] {
            let size = if norm == Norm::LInf { found.linf } else { found.l2 };
            assert!(size <= epsilon + 1e-6, "{norm:?} {found}");
            assert_eq!(found.image.planes(), eight_bits(found.image.planes()));
            assert!(norm == Norm::L2 || found.success, "{norm:?} {found}");
        }
    }
}

/// Behind a rectifier that is off everywhere, the target's score has no gradient; the attack gets one that switches it
/// on.
#[test]
fn a_target_behind_a_closed_rectifier_is_climbed_towards() {
    let model = network(&[[1.0, 1.0, 0.0], [2.0, -1.0, -1.0]], &[1.0, -0.4], true);
    let image = Image::filled(SIDE, SIDE, [0.5; 3]).unwrap();
    let aimed = Aimed { model: model.clone(), target: Some(1) };
    let victim = Victim::new(&Interrupt::never(), &aimed, &image).unwrap();
    assert_eq!((victim.own, victim.said.score(1)), (0, 0.0));
    for loss in [Loss::CrossEntropy, Loss::Margin] {
        let slope = victim.slope(&Interrupt::never(), victim.pixels(), loss).unwrap();
        let area = (SIDE * SIDE) as f32;
        let expected: Vec<f32> = [2.0, -1.0, -1.0].iter().flat_map(|weight| vec![weight / area; SIDE * SIDE]).collect();
        assert!(
            slope.gradient.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{loss:?} {:?}",
            slope.gradient
        );
    }
    let options = FoolOptions { steps: 200, step_size: 0.3, distance: 0.0, probability: 0.0 };
    let found = fool(&Job::detached(), &image, &options, &aim(&model, Some(1))).unwrap();
    assert!(found.rival.after.score > 0.0, "{found}");
}

/// The numbers of a result are those of its picture.
#[test]
fn results_are_measured_on_what_is_saved() {
    let (model, image) = planes();
    let found = fgsm(&Job::detached(), &image, 3.0 / 255.0, &aim(&model, None)).unwrap();
    let reloaded = Image::decode(&found.image.encode_png().unwrap(), "a result").unwrap();
    assert_eq!(reloaded, found.image);
    let change: Vec<f32> = found.perturbation().unwrap().values().unwrap();
    assert!((found.l2 - length(&change)).abs() < 1e-9);
    assert!((found.linf - 3.0 / 255.0).abs() < 1e-9 && found.changed == 3 * SIDE * SIDE);
    assert!((found.psnr - 20.0 * (255.0f64 / 3.0).log10()).abs() < 1e-4, "{}", found.psnr);
    let victim = Victim::new(&Interrupt::never(), &Aimed { model, target: None }, &reloaded).unwrap();
    assert_eq!((victim.own, victim.said.score(1)), (found.taken_for.class, found.rival.after.score));
}

#[test]
fn a_network_without_classes_is_refused() {
    let (model, image) = planes();
    let values = Answer::new(AnswerKind::Regression, None, 3).unwrap();
    let weights = model.weights().iter().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    let weights = Weights::new(weights).unwrap();
    let model = Model::new("values", model.graph().clone(), weights, values, model.recipe().clone()).unwrap();
    let error = fgsm(&Job::detached(), &image, 0.1, &aim(&model, None)).unwrap_err();
    assert_eq!(error.argument(), Some("model"));
    assert!(error.message().contains("regression"), "{error}");
}
