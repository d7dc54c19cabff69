//! What every parametrization must do.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};
use rand::RngExt;

use super::Param;
use crate::error::Result;
use crate::image::photo;
use crate::tensor::testing::{random, rng, values};
use crate::tensor::{map, zip};
use crate::vis::optimizer::{Adam, Optimizer};

/// A small photograph, `[1, 3, 32, 48]`.
pub(super) fn photograph() -> Tensor {
    photo("chelsea").unwrap().resize(48, 32).unwrap().tensor().unwrap()
}

/// The gradient along random directions is that of differences.
pub(super) fn assert_gradient(param: &mut dyn Param) {
    let mut rng = rng(11);
    let start = param.values().clone();
    let above = random(&mut rng, param.image().unwrap().shape());
    let slopes = values(&param.gradient(&above).unwrap());
    assert_eq!(param.gradient(&above).unwrap().dims(), start.dims());
    let mut value = |moved: Tensor| -> f64 {
        param.set(moved).unwrap();
        let image = values(&param.image().unwrap());
        image.iter().zip(values(&above)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
    };
    for _ in 0..20 {
        // few numbers at a time, so that no wrong one hides behind others
        let way: Vec<f32> = slopes
            .iter()
            .map(|_| if rng.random_range(0..4) == 0 { rng.random_range(-1.0..1.0) } else { 0.0 })
            .collect();
        let truth: f64 = way.iter().zip(&slopes).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        let length = way.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let slope = slopes.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        let step = 3e-3 / length.max(1.0);
        let moved = |step: f64| {
            let pairs = values(&start).into_iter().zip(&way);
            let moved: Vec<f32> = pairs.map(|(v, way)| v + (step * f64::from(*way)) as f32).collect();
            Tensor::from_vec(moved, start.shape(), &Device::Cpu).unwrap()
        };
        let found = (value(moved(step)) - value(moved(-step))) / (2.0 * step);
        assert!((found - truth).abs() < 1e-2 * slope * length + 1e-3, "{found} instead of {truth}");
    }
    value(start.clone());
}

/// An image, black and white in places, comes back to 10⁻⁴.
pub(super) fn assert_returns<P: Param>(from_image: impl Fn(&Tensor) -> Result<P>) {
    let mut rng = rng(12);
    for shape in [[1, 3, 32, 48], [2, 3, 17, 23], [1, 3, 1, 1], [1, 3, 5, 1]] {
        let image = map(&random(&mut rng, shape.as_slice()), |value| (0.5 + 0.7 * value).clamp(0.0, 1.0)).unwrap();
        let back = from_image(&image).unwrap().image().unwrap();
        assert_eq!(back.dims(), image.dims());
        for (a, b) in values(&back).iter().zip(values(&image)) {
            assert!((a - b).abs() < 1e-4, "{shape:?}: {a} instead of {b}");
        }
    }
    let back = from_image(&photograph()).unwrap().image().unwrap();
    assert!(distance(&back, &photograph()) < 1e-4);
}

/// Within 1,000 steps of Adam the image becomes the photograph, to a mean difference below 0.01.
pub(super) fn assert_fits(param: &mut dyn Param, step_size: f64) {
    let target = photograph();
    let mut adam = Adam::new(step_size);
    for _ in 0..1000 {
        let image = param.image().unwrap();
        if distance(&image, &target) < 0.01 {
            return;
        }
        let uphill = zip(&image, &target, |image, target| target - image).unwrap();
        let values = adam.step(param.values(), &param.gradient(&uphill).unwrap()).unwrap();
        param.set(values).unwrap();
    }
    let left = distance(&param.image().unwrap(), &target);
    assert!(left < 0.01, "a mean difference of {left} is left");
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (values(a), values(b));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
}
