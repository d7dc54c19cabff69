//! What every optimizer must do.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor};

use super::Optimizer;

fn tensor(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.to_vec1().unwrap()
}

/// The gradients of step 1, 2, … of the golden sequences (tools/golden/optimizers.py): some alternate, one is always 0.
fn gradient(step: u8) -> Tensor {
    let alternating = if step.is_multiple_of(2) { -2.0 } else { 1.0 };
    let step = f32::from(step);
    tensor(&[1.0 / step, alternating, 0.0, 0.01 * step * step])
}

/// Where ten steps lead from [0.5, −1, 2, 0], and that a copy made on the way leads there too.
pub(super) fn assert_sequence<O: Optimizer + Clone>(mut optimizer: O, golden: [f32; 4]) {
    let mut x = tensor(&[0.5, -1.0, 2.0, 0.0]);
    let mut kept = None;
    for step in 1..=10 {
        x = optimizer.step(&x, &gradient(step)).unwrap();
        if step == 4 {
            kept = Some((optimizer.clone(), x.clone()));
        }
    }
    for (ours, truth) in values(&x).iter().zip(golden) {
        assert!((ours - truth).abs() <= 2e-6 * truth.abs().max(1.0), "{ours} instead of {truth}");
    }
    let (mut optimizer, mut again) = kept.unwrap();
    for step in 5..=10 {
        again = optimizer.step(&again, &gradient(step)).unwrap();
    }
    assert_eq!(values(&again), values(&x));
}

/// A gradient of another shape is refused, and nothing is remembered of it.
pub(super) fn assert_refuses<O: Optimizer>(mut optimizer: O) {
    let (x, other) = (tensor(&[1.0, 2.0]), tensor(&[1.0]));
    assert!(optimizer.step(&x, &other).is_err());
    assert!(optimizer.step(&x, &x).is_ok());
    assert!(optimizer.step(&other, &other).is_err());
    assert!(optimizer.step(&x, &x).is_ok());
}
