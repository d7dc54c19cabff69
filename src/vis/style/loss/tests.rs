//! The loss against the objectives that it is made of, in one piece and in squares.
#![allow(clippy::unwrap_used)]

use candle_core::Tensor;

use super::*;
use crate::image::{Image, photo};
use crate::job::Job;
use crate::tensor::testing::{assert_close, values};
use crate::vis::descent::value_and_gradient;
use crate::vis::objective::{FeatureDistance, Goal, Gram, Picture, Sum as Terms};

const LAYERS: [&str; 3] = ["relu_conv1", "fire2", "fire4"];

fn eye(model: Model) -> Eye {
    let layers = LAYERS.map(|name| model.layer(name).unwrap()).to_vec();
    Eye { model, layers, weights: vec![0.5, 0.3, 0.2] }
}

fn picture(name: &str, width: usize, height: usize) -> Image {
    photo(name).unwrap().resize(width, height).unwrap()
}

fn tensor(image: &Image) -> Tensor {
    image.tensor().unwrap()
}

fn style(eye: &Eye, image: &Image, mask: Option<(Vec<f32>, [usize; 2])>) -> Style {
    let grams = eye.grams(&Job::detached(), &tensor(image), None, Edges::Padded).unwrap();
    Style { grams, weight: 1.0, mask }
}

fn loss(eye: &Eye, styles: Vec<Style>, content: Option<&Image>, size: [usize; 2], tile: Option<usize>) -> StyleLoss {
    let content = content.map(|image| Content { image: tensor(image), layer: eye.model.layer("fire3").unwrap() });
    let wanted = Wanted { styles, strength: 3.0, content, smoothness: 0.4, is_grey: false };
    StyleLoss::new(&Job::detached(), eye, wanted, size, tile, Edges::Padded).unwrap()
}

/// The sum of objectives, each over its reference's own size, in the unit of this loss.
#[test]
fn it_is_the_sum_of_the_objectives() {
    let (job, model) = (Job::detached(), Model::embedded().unwrap());
    let eye = eye(model.clone());
    let (cat, china, coffee) = (picture("chelsea", 80, 64), picture("china", 80, 64), picture("coffee", 70, 90));
    let ours = loss(&eye, vec![style(&eye, &coffee, None)], Some(&china), [64, 80], None);
    let (value, gradient) = ours.at(&job, &tensor(&cat)).unwrap();
    assert!((ours.value(&job, &tensor(&cat)).unwrap() / value - 1.0).abs() < 1e-4);

    let grams = eye.grams(&job, &tensor(&coffee), None, Edges::Padded).unwrap();
    let mut terms = vec![
        (1.0, Goal::new(FeatureDistance::new(china, Some("fire3".into())))),
        (0.4, Goal::new(Picture::TotalVariation)),
    ];
    for ((name, weight), gram) in LAYERS.into_iter().zip(&eye.weights).zip(&grams) {
        // Σ ΔG² / (4 N²) becomes ‖ΔG‖² / ‖G‖²
        let channels = gram.dim(0).unwrap() as f64;
        let factor = 3.0 * weight * 4.0 * channels * channels / square(gram).unwrap();
        terms.push((factor, Goal::new(Gram::new(coffee.clone(), Some(name.into())))));
    }
    let truth = value_and_gradient(&job, &model, &Terms::new(terms), &tensor(&cat)).unwrap();
    assert!((value / truth.0 - 1.0).abs() < 1e-4, "{value} and {}", truth.0);
    assert_close(&values(&gradient), &values(&truth.1), 1e-3, "gradient");
}

#[test]
fn squares_give_the_loss_and_gradient_of_the_whole() {
    let job = Job::detached();
    let half: Vec<f32> = (0..190 * 260).map(|i| f32::from(u8::from(i % 260 < 100))).collect();
    let rest: Vec<f32> = half.iter().map(|value| 1.0 - value).collect();
    for model in [Model::embedded().unwrap(), Model::embedded().unwrap().with_average_pooling().unwrap()] {
        let eye = eye(model);
        let (cat, china) = (picture("chelsea", 260, 190), picture("china", 260, 190));
        let [coffee, brick] = ["coffee", "brick"].map(|name| picture(name, 120, 100));
        let plain = vec![style(&eye, &coffee, None), style(&eye, &brick, None)];
        let masked = vec![
            style(&eye, &coffee, Some((half.clone(), [190, 260]))),
            style(&eye, &brick, Some((rest.clone(), [190, 260]))),
        ];
        for styles in [plain, masked] {
            let whole = loss(&eye, styles.clone(), Some(&china), [190, 260], None);
            let squares = loss(&eye, styles, Some(&china), [190, 260], Some(136));
            assert_eq!(whole.squares(), 1);
            assert!(squares.squares() > 4, "{}", squares.squares());
            let (truth, slope) = whole.at(&job, &tensor(&cat)).unwrap();
            let (value, gradient) = squares.at(&job, &tensor(&cat)).unwrap();
            assert!((value / truth - 1.0).abs() < 1e-5, "{value} and {truth}");
            assert_close(&values(&gradient), &values(&slope), 1e-3, "gradient");
            assert!((squares.value(&job, &tensor(&cat)).unwrap() / truth - 1.0).abs() < 1e-4);
        }
    }
}

#[test]
fn what_has_no_room_is_looked_at_again() {
    let job = Job::detached();
    let eye = eye(Model::embedded().unwrap());
    let (cat, china) = (picture("chelsea", 200, 150), picture("china", 200, 150));
    let mut loss = loss(&eye, vec![style(&eye, &china, None)], Some(&china), [150, 200], Some(136));
    let (value, gradient) = loss.at(&job, &tensor(&cat)).unwrap();
    if let Some(likeness) = &mut loss.likeness {
        assert!(likeness.kept.take().is_some());
    }
    let again = loss.at(&job, &tensor(&cat)).unwrap();
    assert_eq!((value, values(&gradient)), (again.0, values(&again.1)));
}

#[test]
fn a_mask_of_everything_changes_nothing_and_one_of_a_part_leaves_the_rest() {
    let job = Job::detached();
    let eye = eye(Model::embedded().unwrap());
    let (cat, coffee) = (picture("chelsea", 160, 90), picture("coffee", 80, 80));
    let at = |mask: Option<(Vec<f32>, [usize; 2])>| {
        let wanted = Wanted {
            styles: vec![style(&eye, &coffee, mask)],
            strength: 1.0,
            content: None,
            smoothness: 0.0,
            is_grey: false,
        };
        let loss = StyleLoss::new(&job, &eye, wanted, [90, 160], None, Edges::Padded).unwrap();
        loss.at(&job, &tensor(&cat)).unwrap()
    };
    let (plain, all) = (at(None), at(Some((vec![1.0; 12], [3, 4]))));
    assert!((plain.0 / all.0 - 1.0).abs() < 1e-5);
    assert_close(&values(&all.1), &values(&plain.1), 1e-4, "a mask of everything");

    let left: Vec<f32> = (0..160).map(|x| f32::from(u8::from(x < 40))).collect();
    let (_, part) = at(Some((left, [1, 160])));
    let strip =
        |from: usize, count: usize| values(&part.narrow(3, from, count).unwrap()).iter().map(|v| v.abs()).sum::<f32>();
    assert!(strip(0, 40) > 0.0);
    // beyond what the deepest layer's places at the mask's edge see there is nothing but rounding
    assert!(strip(100, 60) < 1e-4 * strip(0, 40), "{}", strip(100, 60));
}

#[test]
fn grey_stays_grey() {
    let job = Job::detached();
    let eye = eye(Model::embedded().unwrap());
    let coffee = picture("coffee", 80, 80);
    let wanted = Wanted {
        styles: vec![style(&eye, &coffee, None)],
        strength: 1.0,
        content: None,
        smoothness: 0.2,
        is_grey: true,
    };
    let loss = StyleLoss::new(&job, &eye, wanted, [60, 70], None, Edges::Wrapped).unwrap();
    let (_, gradient) = loss.at(&job, &tensor(&picture("chelsea", 70, 60))).unwrap();
    let channel = |c: usize| values(&gradient.narrow(1, c, 1).unwrap());
    assert_eq!(channel(0), channel(1));
    assert_eq!(channel(0), channel(2));
}
