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

/// One number of the matrix of a linear operation on a plane: where in the result, where in the plane, and how much.
pub(crate) type Entry = (usize, usize, f64);

/// Random planes of a shape behind no, one or two axes.
pub(crate) fn stacked(rng: &mut ChaCha8Rng, plane: &[usize]) -> Tensor {
    let leading = (0..pick(rng, 0..=2)).map(|_| pick(rng, 1..=3)).collect::<Vec<_>>();
    random(rng, [leading.as_slice(), plane].concat())
}

/// Asserts that `f` puts each plane of `x` (its last axes, as many as `result` says) through the matrix with these
/// entries into a plane of the shape in `result`, and that the gradient goes through the transposed matrix.
///
/// Places of the result that the matrix has no entry for hold `outside`.
pub(crate) fn assert_linear(
    rng: &mut ChaCha8Rng,
    x: &Tensor,
    result: (usize, &[usize]),
    entries: &[Entry],
    outside: f64,
    what: &str,
    f: impl Fn(&Tensor) -> Result<Tensor>,
) {
    let (leading, plane) = x.dims().split_at(x.rank() - result.0);
    let y = f(x).unwrap();
    assert_eq!(y.dims(), [leading, result.1].concat(), "{what}: shape");
    let (size, result_size) = (plane.iter().product::<usize>(), result.1.iter().product::<usize>());

    let mut start = vec![outside; result_size];
    entries.iter().for_each(|(to, _, _)| start[*to] = 0.0);
    let forward = values(x).chunks(size).flat_map(|plane| through(entries, plane, start.clone())).collect::<Vec<_>>();
    assert_close(&values(&y), &forward, 1e-5, what);

    let above = random(rng, y.shape());
    let turned: Vec<Entry> = entries.iter().map(|(to, from, weight)| (*from, *to, *weight)).collect();
    let above_values = values(&above);
    let back = above_values.chunks(result_size).flat_map(|plane| through(&turned, plane, vec![0.0; size]));
    let ours = gradient(x, &above, f);
    assert_eq!(ours.dims(), x.dims(), "{what}: shape of the gradient");
    assert_close(&values(&ours), &back.collect::<Vec<_>>(), 1e-5, &format!("gradient of {what}"));
}

fn through(entries: &[Entry], plane: &[f32], mut sums: Vec<f64>) -> Vec<f32> {
    for (to, from, weight) in entries {
        sums[*to] += weight * f64::from(plane[*from]);
    }
    sums.into_iter().map(|sum| sum as f32).collect()
}
