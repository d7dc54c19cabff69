//! Occlusion finds the thing: covering the koala lowers its score more than covering what is around it. What it computes
//! incrementally is what whole images give.
#![cfg(feature = "gallery")]

use percept::Job;
use percept::image::{Image, compose, compose_mask, gallery, photo};
use percept::model::{Area, Model};
use percept::vis::Explain;
use percept::vis::attribution::{HeightWidth, Windows, occlusion};
use percept::vis::objective::Goal;

use crate::common::{report, session};

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

/// Scores of images of which a window is covered with grey: incrementally, and of each image as a whole.
fn both_ways(target: &str, size: usize, window: usize, stride: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut session, _) = session();
    let outcome = session.eval(&format!("let target = {target};"));
    assert!(outcome.error.is_none(), "{}", outcome.error.as_ref().map(report).unwrap_or_default());
    let target: Goal = session.get("target").unwrap().try_cast().unwrap();
    let image = photo("chelsea").unwrap().resize(size, size).unwrap();
    let (job, explain) = (Job::detached(), Explain { target: Some(target), ..Explain::default() });
    let prediction = explain.prediction(&job, &image.into()).unwrap();
    let starts: Vec<usize> = (0..=size - window).step_by(stride).collect();
    let area = |top: usize, left: usize| Area { top, left, height: window, width: window };
    let areas: Vec<Area> = starts.iter().flat_map(|top| starts.iter().map(move |left| area(*top, *left))).collect();
    let cover = |index: usize, v: f32| v * 0.1 + index as f32;
    let incremental = prediction.scores_of_patches(&job, "test", &areas, |index, pixels| {
        pixels.iter_mut().for_each(|v| *v = cover(index, *v));
        Ok(())
    });
    let whole = prediction.scores(&job, "test", areas.len(), |index, x| {
        let mut pixels = areas[index].cut(x, [size, size]);
        pixels.iter_mut().for_each(|v| *v = cover(index, *v));
        areas[index].paste(&pixels, x, [size, size]);
        Ok(())
    });
    (incremental.unwrap(), whole.unwrap())
}

#[test]
fn incremental_scores_are_those_of_whole_images() {
    for target in [
        "class_score(\"tabby\")",
        "class_score(\"tabby\") - 0.5 * class_score(\"tiger cat\")",
        "class_score(\"tabby\", of=\"probability\")",
        "neuron(\"classifier.1\", 281, y=6, x=6)",
        "channel(\"classifier.1\", 281) + class_score(\"tabby\")",
    ] {
        let (incremental, whole) = both_ways(target, 227, 32, 39);
        let scale = whole.iter().fold(0f32, |scale, v| scale.max(v.abs()));
        let worst = incremental.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max) / scale;
        println!("{target}: off by {worst:.1e} of {scale}");
        // whole images are convolved with other roundings
        assert!(scale > 0.0 && worst <= 2e-5, "{target}: off by {worst:.1e} of {scale}");
    }
}

#[test]
fn the_number_of_threads_changes_no_score() {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| both_ways("class_score(\"tabby\")", 227, 48, 40).0)
    };
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(3));
}
