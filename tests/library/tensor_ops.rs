//! The operations on planes against PyTorch's on random shapes; the numbers come from tools/golden/tensor_ops.py.

use std::collections::HashMap;

use candle_core::{Device, Tensor, Var};
use percept::error::Result;
use percept::tensor::{FftNorm, InterpolateMode, Padding, gaussian_blur, interpolate, irfft2, pad, rfft2, roll};

/// The operations, in the script's order.
const OPERATIONS: [&str; 11] = [
    "bilinear",
    "bilinear_antialias",
    "bicubic",
    "bicubic_antialias",
    "nearest",
    "roll",
    "pad_constant",
    "pad_reflect",
    "gaussian_blur",
    "rfft2",
    "irfft2",
];
const SAMPLES: usize = 22;

/// 32-bit hashes of 0, 1, …, count − 1, as the script makes them.
fn hashed(count: usize, seed: u32) -> impl Iterator<Item = u32> {
    let start = seed.wrapping_mul(2_246_822_519).wrapping_add(374_761_393);
    (0..count as u32).map(move |i| {
        let mut h = i.wrapping_mul(2_654_435_761).wrapping_add(start);
        for (shift, factor) in [(15, 2_246_822_519), (13, 3_266_489_917)] {
            h = (h ^ (h >> shift)).wrapping_mul(factor);
        }
        h ^ (h >> 16)
    })
}

/// Multiples of 2⁻¹⁵ from −1 up to 1.
fn numbers(shape: &[usize], seed: u32) -> Tensor {
    let values: Vec<f32> =
        hashed(shape.iter().product(), seed).map(|hash| (hash >> 16) as f32 / 32768.0 - 1.0).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn places(count: usize, seed: u32) -> Vec<usize> {
    if count <= SAMPLES {
        return (0..count).collect();
    }
    hashed(SAMPLES, seed).map(|hash| hash as usize % count).collect()
}

/// The input's shape, which starts with the number of planes.
fn input_shape(name: &str, case: &[i16]) -> Vec<usize> {
    let [planes, height, width] = [case[0], case[1], case[2]].map(|size| size as usize);
    if name == "irfft2" { vec![planes, height, width / 2 + 1, 2] } else { vec![planes, height, width] }
}

fn run(name: &str, x: &Tensor, case: &[i16]) -> Result<Tensor> {
    let size = |at: usize| case[at] as usize;
    let resized = |mode, antialias| interpolate(x, [size(3), size(4)], mode, antialias);
    let margins = || [size(3), size(4), size(5), size(6)];
    let norm = || if case[3] == 1 { FftNorm::Ortho } else { FftNorm::Backward };
    match name {
        "bilinear" => resized(InterpolateMode::Bilinear, false),
        "bilinear_antialias" => resized(InterpolateMode::Bilinear, true),
        "bicubic" => resized(InterpolateMode::Bicubic, false),
        "bicubic_antialias" => resized(InterpolateMode::Bicubic, true),
        "nearest" => resized(InterpolateMode::Nearest, false),
        "roll" => roll(x, [case[3].into(), case[4].into()]),
        "pad_constant" => pad(x, margins(), Padding::Constant(f32::from(case[7]) / 8.0)),
        "pad_reflect" => pad(x, margins(), Padding::Reflect),
        "gaussian_blur" => gaussian_blur(x, f64::from(case[3]) / 100.0, (case[4] > 0).then(|| size(4))),
        "rfft2" => rfft2(x, norm()),
        _ => irfft2(x, size(1), size(2), norm()),
    }
}

/// How far off a tensor is: its samples as shares of the greatest value, and its weighted sum as a share of what an
/// error of that value everywhere would make, with random signs.
fn distance(ours: &Tensor, sums: &[f32], samples: &mut impl Iterator<Item = i16>, seed: u32) -> (f64, f64) {
    let values = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (scale, total) = (f64::from(sums[0]).max(f64::MIN_POSITIVE), f64::from(sums[1]));
    let weights = numbers(&[values.len()], seed).to_vec1::<f32>().unwrap();
    let sum: f64 = values.iter().zip(weights).map(|(value, weight)| f64::from(*value) * f64::from(weight)).sum();
    let worst = places(values.len(), seed + 1)
        .into_iter()
        .map(|place| (f64::from(values[place]) / scale - f64::from(samples.next().unwrap()) / 32767.0).abs())
        .fold(0.0, f64::max);
    (worst, (sum - total).abs() / (scale * (values.len() as f64).sqrt()))
}

#[test]
fn every_operation_and_its_gradient_equal_pytorch() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tensor_ops.safetensors");
    let golden: HashMap<String, Tensor> = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    assert_eq!(golden.len(), 3 * OPERATIONS.len());
    for (number, name) in OPERATIONS.iter().enumerate() {
        let cases = golden[&format!("{name}.cases")].to_vec2::<i16>().unwrap();
        assert!(cases.len() >= 200, "{name}: {} cases", cases.len());
        let sums = golden[&format!("{name}.sums")].to_vec2::<f32>().unwrap();
        let mut samples = golden[&format!("{name}.samples")].to_vec1::<i16>().unwrap().into_iter();
        let mut worst = (0f64, 0f64);
        for (at, (case, sums)) in cases.iter().zip(sums.chunks(2)).enumerate() {
            let seed = 10 * (number * 1000 + at) as u32;
            let x = Var::from_tensor(&numbers(&input_shape(name, case), seed)).unwrap();
            let y = run(name, &x, case).unwrap();
            let loss = (&y * numbers(y.dims(), seed + 1)).unwrap().sum_all().unwrap();
            let gradient = loss.backward().unwrap().remove(&x).unwrap();
            for (what, ours, sums, seed) in
                [("result", &y, &sums[0], seed + 2), ("gradient", &gradient, &sums[1], seed + 4)]
            {
                let (sample, sum) = distance(ours, sums, &mut samples, seed);
                // 16 bits are good for 1.5e-5
                assert!(sample < 1e-4, "{name} {case:?}: a value of the {what} is off by {sample:.1e}");
                assert!(sum < 1e-5, "{name} {case:?}: the sum of the {what} is off by {sum:.1e}");
                worst = (worst.0.max(sample), worst.1.max(sum));
            }
        }
        assert_eq!(samples.next(), None, "{name}: samples that no case has");
        println!("{name}: {} cases, values off by {:.1e}, sums by {:.1e}", cases.len(), worst.0, worst.1);
    }
}
