//! The embedded network against torchvision's; the numbers come from tools/golden/squeezenet.py.

use std::collections::HashMap;

use candle_core::{Device, Tensor, Var};
use percept::job::Interrupt;
use percept::model::{Model, Rules};

const SIZES: [(&str, usize, usize); 4] =
    [("square", 227, 227), ("torch", 224, 224), ("wide", 227, 259), ("odd", 130, 97)];
const CLASS: usize = 281;
const STEP: usize = 997;

fn golden() -> HashMap<String, Vec<f32>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/squeezenet1_1.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    tensors.into_iter().map(|(name, tensor)| (name, tensor.to_vec1().unwrap())).collect()
}

/// The input that the script makes: whole numbers from −120 to 135.
fn pixels(height: usize, width: usize) -> Tensor {
    let value = |c: usize, y: usize, x: usize| {
        let wave = (x * (c + 2) + y * (5 - c) + (x / 16) * (y / 16) * 7 + (x * y) % 13 * 5) % 256;
        wave as f32 - 120.0
    };
    let values: Vec<f32> =
        (0..3 * height * width).map(|i| value(i / (height * width), i / width % height, i % width)).collect();
    Tensor::from_vec(values, (1, 3, height, width), &Device::Cpu).unwrap()
}

/// The norm of all values, then every [`STEP`]-th.
fn sample(x: &Tensor) -> Vec<f32> {
    let values = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt() as f32;
    std::iter::once(norm).chain(values.into_iter().step_by(STEP)).collect()
}

/// The norm relative to itself, the samples relative to the greatest of them.
fn assert_sample(ours: &[f32], truth: &[f32], tolerance: f32, what: &str) {
    assert_close(&ours[..1], &truth[..1], tolerance, &format!("norm of {what}"));
    assert_close(&ours[1..], &truth[1..], tolerance, what);
}

fn assert_close(ours: &[f32], truth: &[f32], tolerance: f32, what: &str) {
    assert_eq!(ours.len(), truth.len(), "{what}: number of values");
    let scale = truth.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let worst = ours.iter().zip(truth).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max);
    println!("{what}: off by {worst:.1e} of {scale:.3}");
    assert!(worst <= tolerance, "{what}: off by {worst:.1e} of {scale}");
}

#[test]
fn logits_and_layers_equal_pytorch() {
    let (golden, model) = (golden(), Model::embedded().unwrap());
    for (name, height, width) in SIZES {
        let x = pixels(height, width);
        let logits = model.forward(&x, &Interrupt::never()).unwrap();
        assert_eq!(logits.dims(), [1, 1000]);
        let logits = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_close(&logits, &golden[&format!("{name}.logits")], 1e-4, &format!("{name} logits"));

        let prefix = format!("{name}.tap.");
        let names: Vec<&str> = golden.keys().filter_map(|key| key.strip_prefix(&prefix)).collect();
        assert_eq!(names.len(), 11);
        let taps: Vec<_> = names.iter().map(|name| model.layer(name).unwrap().id()).collect();
        let values = model.run(&x, &taps, &Rules::default(), &Interrupt::never()).unwrap();
        for (tap, value) in names.iter().zip(values) {
            assert_sample(&sample(&value), &golden[&format!("{prefix}{tap}")], 1e-4, &format!("{name} {tap}"));
        }
    }
}

#[test]
fn input_gradients_equal_pytorch_under_every_rule() {
    let (golden, model) = (golden(), Model::embedded().unwrap());
    let rules = [("plain", "derivative"), ("guided", "guided"), ("deconvnet", "deconvnet")];
    for (name, height, width) in SIZES {
        for (rule, set) in rules {
            let x = Var::from_tensor(&pixels(height, width)).unwrap();
            let taps = [model.output().id()];
            let rules = Rules::named(set, model.graph()).unwrap();
            let logits = model.run(&x, &taps, &rules, &Interrupt::never()).unwrap();
            let score = logits[0].get(0).unwrap().get(CLASS).unwrap();
            let gradient = score.backward().unwrap().remove(&x).unwrap();
            let what = format!("{name}.gradient.{rule}");
            assert_sample(&sample(&gradient), &golden[&what], 1e-3, &what);
        }
    }
}
