//! Helpers of the slow-twin tests: seeded random tensors and gradients.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Shape, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::Result;

/// The random numbers of one test.
pub(crate) fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Values in [−1, 1).
pub(crate) fn random(rng: &mut ChaCha8Rng, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let values: Vec<f32> = (0..shape.elem_count()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A number in an inclusive range.
pub(crate) fn pick(rng: &mut ChaCha8Rng, range: std::ops::RangeInclusive<usize>) -> usize {
    rng.random_range(range)
}

pub(crate) fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

/// The gradient of Σ f(x)·weights with respect to x, by the tape.
pub(crate) fn gradient(x: &Tensor, weights: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Tensor {
    let x = Var::from_tensor(x).unwrap();
    let y = (f(&x).unwrap() * weights).unwrap().sum_all().unwrap();
    y.backward().unwrap().get(&x).unwrap().clone()
}

/// Asserts that two tensors agree to `tolerance` of the larger one's greatest magnitude.
pub(crate) fn assert_close(ours: &[f32], truth: &[f32], tolerance: f32, what: &str) {
    assert_eq!(ours.len(), truth.len(), "{what}: lengths");
    let scale = truth.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in ours.iter().zip(truth).enumerate() {
        assert!((a - b).abs() <= tolerance * scale, "{what}: at {i} {a} instead of {b} (scale {scale})");
    }
}
