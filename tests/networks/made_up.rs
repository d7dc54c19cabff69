//! Networks with weights that are made from the names of their parameters, exactly as tools/golden/zoo.py makes them, and
//! the comparison with tensors of which its files keep samples.

use candle_core::{Device, Tensor};
use percept::model::{Model, ModelOptions, Weights, zoo};
use rayon::prelude::*;
use serde_json::Value;

/// A network with weights made from their names.
pub fn made_up(name: &str) -> Model {
    let entry = zoo::find(name).unwrap();
    let parameters = entry.graph().unwrap().parameters();
    let tensors = parameters.into_iter().map(|parameter| {
        let values = fill(&parameter.name, &parameter.shape);
        (parameter.name, Tensor::from_vec(values, parameter.shape, &Device::Cpu).unwrap())
    });
    entry.model(Weights::new(tensors).unwrap(), &ModelOptions::default()).unwrap()
}

fn fill(name: &str, shape: &[usize]) -> Vec<f32> {
    let u = uniform(name, shape.iter().product());
    let fan_in: usize = shape.iter().skip(1).product();
    let bound = (6.0 / fan_in as f64).sqrt();
    if name.ends_with("running_var") {
        u.map(|u| (0.5 + u) as f32).collect()
    } else if name.ends_with("bias") || name.ends_with("running_mean") {
        u.map(|u| ((2.0 * u - 1.0) / 10.0) as f32).collect()
    } else if shape.len() == 1 {
        u.map(|u| (0.6 + 0.4 * u) as f32).collect()
    } else {
        u.map(|u| ((2.0 * u - 1.0) * bound) as f32).collect()
    }
}

/// Numbers in [0, 1): the upper 24 bits of splitmix64, seeded with a name.
pub fn uniform(name: &str, count: usize) -> impl ParallelIterator<Item = f64> + use<> {
    let seed = fnv(name);
    (0..count).into_par_iter().map(move |i| {
        let z = seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 40) as f64 * 2f64.powi(-24)
    })
}

/// 64-bit FNV-1a.
pub fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The largest difference from a golden tensor, relative to its greatest value: of its samples, of that value and, relative
/// to itself, of its norm. It must be within `tolerance`.
pub fn difference(ours: &Tensor, golden: &Value, tolerance: f64, what: &str) -> f64 {
    let shape: Vec<usize> = numbers(&golden["shape"]).map(|side| side as usize).collect();
    assert_eq!(&ours.dims()[1..], shape, "{what}");
    let values: Vec<f64> = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect();
    let truth: Vec<f64> = numbers(&golden["values"]).collect();
    let (norm, greatest) = (golden["norm"].as_f64().unwrap(), golden["absmax"].as_f64().unwrap());
    assert!(greatest > 0.0 && norm.is_finite(), "{what} is worth nothing");

    let step = values.len() / truth.len();
    let samples = values.iter().step_by(step).zip(&truth).map(|(a, b)| (a - b).abs() / greatest);
    let ours_norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    let ours_greatest = values.iter().fold(0f64, |greatest, v| greatest.max(v.abs()));
    let whole = [(ours_norm - norm).abs() / norm, (ours_greatest - greatest).abs() / greatest];
    let worst = samples.chain(whole).fold(0.0, f64::max);
    assert!(worst <= tolerance, "{what}: off by {worst:.1e} of {greatest}");
    worst
}

fn numbers(values: &Value) -> impl Iterator<Item = f64> {
    values.as_array().unwrap().iter().map(|value| value.as_f64().unwrap())
}
