//! Times SqueezeNet's forward run and input gradient: `cargo run --release --example bench_model`.
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use percept::lang::Interrupt;
use percept::model::{Model, Op, Rules};

fn main() -> percept::error::Result<()> {
    let started = Instant::now();
    let model = Model::embedded()?;
    println!("model decoded in {:.1} ms, hash {}", started.elapsed().as_secs_f64() * 1e3, model.weights().hash());
    let flops: usize = model
        .layers()
        .iter()
        .zip(model.graph().nodes())
        .map(|(row, node)| match &node.op {
            Op::Conv2d(c) => 2 * row.shape.iter().product::<usize>() * c.in_channels * c.kernel[0] * c.kernel[1],
            _ => 0,
        })
        .sum();
    println!("{:.3} GF per image", flops as f64 * 1e-9);
    for n in [1, 8, 32] {
        let x = Var::randn(0f32, 50.0, (n, 3, 227, 227), &Device::Cpu)?;
        let gf = (n * flops) as f64 * 1e-9;
        let forward = best(|| model.forward(&x.detach(), &Interrupt::never()).map(drop))?;
        let both = best(|| gradient(&model, &x).map(drop))?;
        println!(
            "{n} images: forward {:.1} ms ({:.0} GF/s); with gradient {:.1} ms, gradient alone {:.1} ms ({:.0} GF/s)",
            forward * 1e3,
            gf / forward,
            both * 1e3,
            (both - forward) * 1e3,
            gf / (both - forward)
        );
    }
    Ok(())
}

fn gradient(model: &Model, x: &Var) -> percept::error::Result<Option<Tensor>> {
    let taps = [model.output().id()];
    let y = model.run(x, &taps, &Rules::default(), &Interrupt::never())?;
    Ok(y[0].narrow(1, 281, 1)?.sum_all()?.backward()?.remove(x))
}

/// The best of five runs, in seconds.
fn best(mut run: impl FnMut() -> percept::error::Result<()>) -> percept::error::Result<f64> {
    run()?;
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        run()?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}
