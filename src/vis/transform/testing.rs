//! What every transform must do.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Drawn, Transform};

/// Values in [−1, 1).
pub(super) fn random(rng: &mut ChaCha8Rng, shape: &[usize]) -> Tensor {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(super) fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn dot(a: &Tensor, b: &Tensor) -> f64 {
    values(a).iter().zip(values(b)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
}

/// ⟨Ax, y⟩ = ⟨x, Aᵀy⟩ for draws of a transform and images of random sizes, where Ax is what is left without the part
/// that does not depend on x.
pub(super) fn assert_adjoint(transform: &dyn Transform, least: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for case in 0..60 {
        let drawn: Box<dyn Drawn> = transform.draw(0.0, &mut rng);
        let shape = [
            rng.random_range(1..=3),
            rng.random_range(1..=4),
            rng.random_range(least..=least + 30),
            rng.random_range(least..=least + 30),
        ];
        let x = random(&mut rng, &shape);
        let constant = drawn.apply(&x.zeros_like().unwrap()).unwrap();
        let linear = (drawn.apply(&x).unwrap() - &constant).unwrap();
        let y = random(&mut rng, linear.dims());
        let back = drawn.adjoint(&y).unwrap();
        assert_eq!(back.dims(), x.dims(), "{case}: {shape:?}");
        let (there, back) = (dot(&linear, &y), dot(&x, &back));
        let scale = (dot(&linear, &linear) * dot(&y, &y)).sqrt().max(1e-3);
        assert!((there - back).abs() < 1e-5 * scale, "{case}: {shape:?}: {there} and {back}");
    }
}
