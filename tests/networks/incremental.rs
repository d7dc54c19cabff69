//! Images with a changed rectangle, computed incrementally and as a whole, on every network of the zoo's families and on
//! graphs of other programs.

use std::path::Path;

use candle_core::{Device, Tensor};
use percept::job::Interrupt;
use percept::model::{Area, Model, Rules, Run};

use crate::made_up::{made_up, uniform};

/// How far scores may be apart, relative to the largest, in exact runs and in others.
const TOLERANCES: [f32; 2] = [1e-6, 1e-5];

/// Small rectangles at the corners, at the borders and inside.
fn areas(size: usize) -> Vec<Area> {
    let side = size / 8;
    let places = [0, size / 2 + 1, size - side];
    let area =
        |top: usize, left: usize| Area { top, left, height: side, width: side + (left % 3).min(size - side - left) };
    places.iter().flat_map(|top| places.iter().map(move |left| area(*top, *left))).collect()
}

/// The outputs of images that differ in these areas, one after the other as whole images.
fn whole(model: &Model, images: &[Vec<f32>], size: usize) -> Vec<Vec<f32>> {
    let (rules, interrupt) = (Rules::default(), Interrupt::never());
    let taps = [model.output().id()];
    let run = Run { exact: true, ..Run::new(&taps, &rules, &interrupt) };
    let one = |image: &Vec<f32>| {
        let channels = image.len() / (size * size);
        let x = Tensor::from_slice(image, (1, channels, size, size), &Device::Cpu).unwrap();
        model.run_with(&[x], &run).unwrap()[0].flatten_all().unwrap().to_vec1().unwrap()
    };
    images.iter().map(one).collect()
}

/// Runs both ways, all outputs and a single one; returns whether the incremental way was taken.
fn compare(name: &str, model: &Model, size: usize) -> bool {
    let (channels, areas) = (model.recipe().channels.count(), areas(size));
    let image: Vec<f32> = rayon::iter::ParallelIterator::collect(rayon::iter::ParallelIterator::map(
        uniform(name, channels * size * size),
        |u| (4.0 * u - 2.0) as f32,
    ));
    let cover = |index: usize, value: f32| (value * 0.3 + (index % 5) as f32 * 0.4 - 0.8) * 1.5;
    let variants: Vec<Vec<f32>> = areas
        .iter()
        .enumerate()
        .map(|(index, area)| {
            let mut changed = image.clone();
            let mut pixels = area.cut(&image, [size, size]);
            pixels.iter_mut().for_each(|v| *v = cover(index, *v));
            area.paste(&pixels, &mut changed, [size, size]);
            changed
        })
        .collect();
    let truth = whole(model, &variants, size);
    let scale = truth.iter().flatten().fold(0f32, |scale, v| scale.max(v.abs()));
    let x = Tensor::from_slice(&image, (1, channels, size, size), &Device::Cpu).unwrap();
    let outputs = truth[0].len();
    let (taps, chosen) = ([model.output().id()], [outputs / 2]);
    let (rules, interrupt) = (Rules::default(), Interrupt::never());
    let mut worst = [0f32; 2];
    for (only, exact) in [(None, true), (Some(chosen.as_slice()), true), (Some(chosen.as_slice()), false)] {
        let run = Run { exact, channels: only, ..Run::new(&taps, &rules, &interrupt) };
        let patches = model.patches(&x, &run, &areas).unwrap();
        let worst = &mut worst[usize::from(!exact)];
        let Some(patches) = patches else { return false };
        let mut seen = vec![false; areas.len()];
        let make = |index: usize, pixels: &mut [f32]| {
            pixels.iter_mut().for_each(|v| *v = cover(index, *v));
            Ok(())
        };
        patches
            .each(make, |indices, found| {
                let found: Vec<Vec<f32>> = found[0].to_vec2().unwrap();
                for (index, found) in indices.iter().zip(found) {
                    seen[*index] = true;
                    assert_eq!(found.len(), outputs);
                    let looked_at = |output: &usize| only.is_none_or(|only| only.contains(output));
                    for output in (0..outputs).filter(looked_at) {
                        *worst = worst.max((found[output] - truth[*index][output]).abs() / scale);
                    }
                }
                Ok(())
            })
            .unwrap();
        assert!(seen.iter().all(|seen| *seen), "{name}: an image is missing");
    }
    let spread = truth.iter().map(|row| (row[chosen[0]] - truth[0][chosen[0]]).abs()).fold(0f32, f32::max) / scale;
    println!("{name}: off by {:.1e}, with fast convolutions {:.1e}, the images by {spread:.1e}", worst[0], worst[1]);
    assert!(spread > 100.0 * TOLERANCES[0], "{name}: the changes change nothing");
    assert!(worst.iter().zip(TOLERANCES).all(|(worst, most)| *worst <= most), "{name}: off by {worst:?} of {scale}");
    true
}

#[test]
fn every_family_gives_the_scores_of_whole_images() {
    let sizes = [
        ("squeezenet1_1", 160),
        ("alexnet", 160),
        ("vgg11_bn", 128),
        ("resnet18", 160),
        ("googlenet", 160),
        ("inception_v3", 187),
        ("densenet121", 160),
        ("mobilenet_v2", 160),
        ("efficientnet_lite0", 160),
    ];
    for (name, size) in sizes {
        let model = if name == Model::EMBEDDED { Model::embedded().unwrap() } else { made_up(name) };
        assert!(compare(name, &model, size), "{name} was run as a whole");
    }
}

#[test]
fn graphs_of_other_programs_give_the_scores_of_whole_images() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx");
    let mut taken = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "onnx") {
            let model = Model::open(&path, None).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if compare(&name, &model, model.recipe().height) {
                taken.push(name);
            }
        }
    }
    println!("incrementally: {taken:?}");
    assert!(taken.len() >= 5, "only {taken:?}");
}
