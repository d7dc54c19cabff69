//! Occlusion finds the thing: covering the koala lowers its score more than covering what is around it.
#![cfg(feature = "gallery")]

use percept::Job;
use percept::image::{Image, compose, compose_mask, gallery, photo};
use percept::model::Model;
use percept::vis::Explain;
use percept::vis::attribution::{HeightWidth, Windows, occlusion};

const SCALE: f32 = 0.55;

/// The mean of a map where a mask is set, and where it is not.
fn means(map: &[f32], mask: &[f32]) -> (f32, f32) {
    let mean = |inside: bool| {
        let chosen: Vec<f32> =
            map.iter().zip(mask).filter(|(_, mask)| (**mask > 0.5) == inside).map(|(value, _)| *value).collect();
        assert!(chosen.len() > map.len() / 20, "only {} pixels", chosen.len());
        chosen.iter().sum::<f32>() / chosen.len() as f32
    };
    (mean(true), mean(false))
}

fn koala_is_found(background: &Image, x: f32, y: f32) {
    let koala = gallery("mammal/koala").unwrap();
    let composed = compose(background, &koala, x, y, SCALE).unwrap();
    let mask = compose_mask(background, &koala, x, y, SCALE).unwrap();
    // the mask goes the way the image goes into the network
    let mask = Image::from_planes(background.width(), background.height(), mask.repeat(3), None).unwrap();
    let view = Model::embedded().unwrap().view(&mask).unwrap();

    let windows = Windows {
        window: HeightWidth { height: 48, width: 48 },
        stride: HeightWidth { height: 24, width: 24 },
        ..Windows::default()
    };
    let explain = Explain { class: Some("koala".into()), ..Explain::default() };
    let map = occlusion(&Job::detached(), &composed.into(), &windows, &explain).unwrap().map().unwrap();
    let values: Vec<f32> = map.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(values.len(), view.width() * view.height());

    let (inside, outside) = means(&values, view.channels()[0]);
    assert!(inside > 0.0 && inside > 2.0 * outside.abs(), "at {x}, {y}: inside {inside}, outside {outside}");
}

#[test]
fn a_koala_on_grey_is_found_on_the_left() {
    koala_is_found(&Image::filled(260, 240, [0.5; 3]).unwrap(), 0.3, 0.6);
}

#[test]
fn a_koala_on_grey_is_found_on_the_right() {
    koala_is_found(&Image::filled(260, 240, [0.5; 3]).unwrap(), 0.7, 0.35);
}

#[test]
fn a_koala_on_grass_is_found_on_the_left() {
    koala_is_found(&photo("grass").unwrap(), 0.35, 0.4);
}

#[test]
fn a_koala_on_grass_is_found_on_the_right() {
    koala_is_found(&photo("grass").unwrap(), 0.65, 0.65);
}
