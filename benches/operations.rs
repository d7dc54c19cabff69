//! Single operations, forward and back: `cargo bench --bench operations`.
//!
//! Networks of one operation run through the planned executor as a script would run them, so a time holds everything
//! that a user waits for: the change of channel order at both ends, and candle's tape. The items of a second are
//! arithmetic operations by the definition, whatever the method saves; `peak` is what this machine can do.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use divan::Bencher;
use divan::counter::ItemsCount;
use percept::job::Interrupt;
use percept::model::{Builder, Conv2d, Executor, Linear, Op, Planned, Rules, Run, Weights};
use percept::tensor::{
    Activation, Conv2dParams, FftNorm, InterpolateMode, LocalResponseNorm, Padding, Pool2dParams, gaussian_blur,
    interpolate, pad, rfft2, roll,
};
use pulp::{Arch, Simd, WithSimd};

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn noise(shape: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1.0, shape, &Device::Cpu).unwrap()
}

/// Multiplications and additions that depend on nothing but registers, on every thread.
#[divan::bench]
fn peak(bencher: Bencher<'_, '_>) {
    const ROUNDS: usize = 200_000;
    /// Enough sums on their way to hide the latency of an addition.
    const SUMS: usize = 12;
    struct Spin;
    impl WithSimd for Spin {
        type Output = (usize, f32);
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> (usize, f32) {
            let (a, b) = (black_box(simd.splat_f32s(0.999)), black_box(simd.splat_f32s(1e-3)));
            let mut sums = [simd.splat_f32s(1.0); SUMS];
            for _ in 0..ROUNDS {
                sums.iter_mut().for_each(|sum| *sum = simd.mul_add_f32s(*sum, a, b));
            }
            (2 * ROUNDS * SUMS * S::F32_LANES, sums.iter().map(|sum| simd.reduce_sum_f32s(*sum)).sum())
        }
    }
    let operations = Arch::new().dispatch(Spin).0 * rayon::current_num_threads();
    bencher.counter(ItemsCount::new(operations)).bench(|| rayon::broadcast(|_| Arch::new().dispatch(Spin)));
}

/// A network of one operation.
struct Network {
    executor: Planned,
    output: percept::model::NodeId,
    x: Tensor,
}

impl Network {
    fn new(shape: [usize; 4], op: Op, weights: &[(&str, &[usize])]) -> Self {
        let (mut builder, input) = Builder::new(shape[1]);
        let before = if matches!(op, Op::Linear(_)) { builder.add("flat", &[], Op::Flatten, &[input]) } else { input };
        let output = builder.add("operation", &[], op, &[before]);
        let weights = Weights::new(weights.iter().map(|(name, shape)| ((*name).to_owned(), noise(shape)))).unwrap();
        let executor = Planned::new(Arc::new(builder.finish().unwrap()), Arc::new(weights));
        Self { executor, output, x: noise(&shape) }
    }

    fn run(&self, x: &Tensor) -> Tensor {
        let (taps, rules, interrupt) = ([self.output], Rules::default(), Interrupt::never());
        let run = Run::new(&taps, &rules, &interrupt);
        self.executor.run(std::slice::from_ref(x), &run).unwrap().remove(0)
    }

    fn forward(self, bencher: Bencher<'_, '_>, operations: usize) {
        bencher.counter(ItemsCount::new(operations)).bench(|| self.run(&self.x));
    }

    /// The backward pass alone.
    fn backward(self, bencher: Bencher<'_, '_>, operations: usize) {
        let x = Var::from_tensor(&self.x).unwrap();
        let score = || (&x, self.run(&x).sum_all().unwrap());
        let bencher = bencher.counter(ItemsCount::new(operations)).with_inputs(score);
        bencher.bench_values(|(x, score)| score.backward().unwrap().remove(x));
    }
}

/// Batch, channels in and out, side of the image, kernel, stride, groups.
#[derive(Clone, Copy)]
struct Case(&'static str, usize, [usize; 2], usize, usize, usize, usize);

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Case {
    fn network(self) -> (Network, usize) {
        let Self(_, batch, [c, o], side, kernel, stride, groups) = self;
        let conv = Conv2d {
            in_channels: c,
            out_channels: o,
            kernel: [kernel; 2],
            params: Conv2dParams { groups, ..Conv2dParams::new(stride, kernel / 2) },
            weight: "weight".into(),
            bias: None,
        };
        let network =
            Network::new([batch, c, side, side], Op::Conv2d(conv), &[("weight", &[o, c / groups, kernel, kernel])]);
        let places = side.div_ceil(stride).pow(2);
        (network, 2 * batch * places * o * c / groups * kernel * kernel)
    }
}

const CONVOLUTIONS: [Case; 11] = [
    Case("3x3 64 to 64, 224", 1, [64, 64], 224, 3, 1, 1),
    Case("3x3 128 to 128, 112", 1, [128, 128], 112, 3, 1, 1),
    Case("3x3 256 to 256, 56", 1, [256, 256], 56, 3, 1, 1),
    Case("3x3 512 to 512, 28", 1, [512, 512], 28, 3, 1, 1),
    Case("3x3 512 to 512, 14", 1, [512, 512], 14, 3, 1, 1),
    Case("3x3 32 to 128, 28, batch 16", 16, [32, 128], 28, 3, 1, 1),
    Case("3x3 64 to 128, 56, stride 2", 1, [64, 128], 56, 3, 2, 1),
    Case("7x7 3 to 64, 224, stride 2", 1, [3, 64], 224, 7, 2, 1),
    Case("1x1 256 to 64, 56", 1, [256, 64], 56, 1, 1, 1),
    Case("1x1 512 to 1000, 14", 1, [512, 1000], 14, 1, 1, 1),
    Case("3x3 depthwise 144, 56", 1, [144, 144], 56, 3, 1, 144),
];

#[divan::bench(args = CONVOLUTIONS)]
fn convolution(bencher: Bencher<'_, '_>, case: Case) {
    let (network, operations) = case.network();
    network.forward(bencher, operations);
}

#[divan::bench(args = CONVOLUTIONS)]
fn convolution_backward(bencher: Bencher<'_, '_>, case: Case) {
    let (network, operations) = case.network();
    network.backward(bencher, operations);
}

const SHAPE: [usize; 4] = [1, 64, 112, 112];
const NUMBERS: usize = 64 * 112 * 112;

fn others() -> [(&'static str, Op); 8] {
    let pool = Pool2dParams { kernel: [3; 2], stride: [2; 2], padding: [[0; 2]; 2], ceil_mode: true };
    [
        ("max-pool 3x3, stride 2", Op::MaxPool2d(pool)),
        ("average pool 3x3, stride 2", Op::AvgPool2d { params: pool, count_include_pad: true }),
        ("global average pool", Op::GLOBAL_AVG_POOL),
        ("relu", Op::Activation(Activation::Relu)),
        ("silu", Op::Activation(Activation::Silu)),
        ("gelu", Op::Activation(Activation::Gelu)),
        ("local response norm", Op::LocalResponseNorm(LocalResponseNorm { size: 5, alpha: 1e-4, beta: 0.75, k: 1.0 })),
        ("softmax", Op::Softmax),
    ]
}

#[divan::bench(args = others().map(|(name, _)| name))]
fn layer(bencher: Bencher<'_, '_>, name: &str) {
    let op = others().into_iter().find(|(other, _)| *other == name).unwrap().1;
    Network::new(SHAPE, op, &[]).forward(bencher, NUMBERS);
}

#[divan::bench(args = others().map(|(name, _)| name))]
fn layer_backward(bencher: Bencher<'_, '_>, name: &str) {
    let op = others().into_iter().find(|(other, _)| *other == name).unwrap().1;
    Network::new(SHAPE, op, &[]).backward(bencher, NUMBERS);
}

#[divan::bench(args = [1, 16])]
fn linear_9216_to_4096(bencher: Bencher<'_, '_>, batch: usize) {
    let fc = Linear { in_features: 9216, out_features: 4096, weight: "weight".into(), bias: None };
    let network = Network::new([batch, 9216, 1, 1], Op::Linear(fc), &[("weight", &[4096, 9216])]);
    network.forward(bencher, 2 * batch * 9216 * 4096);
}

type Plane = fn(&Tensor) -> Tensor;

/// Operations on planes, over an RGB image of 512².
fn planes() -> [(&'static str, Plane); 7] {
    [
        ("interpolate bilinear to 365", |x| interpolate(x, [365, 365], InterpolateMode::Bilinear, false).unwrap()),
        ("interpolate bicubic to 365, antialiased", |x| {
            interpolate(x, [365, 365], InterpolateMode::Bicubic, true).unwrap()
        }),
        ("interpolate nearest to 700", |x| interpolate(x, [700, 700], InterpolateMode::Nearest, false).unwrap()),
        ("roll", |x| roll(x, [17, -23]).unwrap()),
        ("pad reflect 12", |x| pad(x, [12; 4], Padding::Reflect).unwrap()),
        ("gaussian blur, sigma 2", |x| gaussian_blur(x, 2.0, None).unwrap()),
        ("rfft2", |x| rfft2(x, FftNorm::Backward).unwrap()),
    ]
}

#[divan::bench(args = planes().map(|(name, _)| name))]
fn plane(bencher: Bencher<'_, '_>, name: &str) {
    let (x, f) = (noise(&[1, 3, 512, 512]), planes().into_iter().find(|(other, _)| *other == name).unwrap().1);
    bencher.bench(|| f(&x));
}

#[divan::bench(args = planes().map(|(name, _)| name))]
fn plane_backward(bencher: Bencher<'_, '_>, name: &str) {
    let x = Var::from_tensor(&noise(&[1, 3, 512, 512])).unwrap();
    let f = planes().into_iter().find(|(other, _)| *other == name).unwrap().1;
    let bencher = bencher.with_inputs(|| f(&x).sum_all().unwrap());
    bencher.bench_values(|score| score.backward().unwrap().remove(&x));
}
