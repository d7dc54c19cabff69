//! What is done to all numbers of large tensors at once, off the tape or with a rule of our own.
//!
//! candle hands such work to threads of its own, which wait for more by spinning: on few cores they take the time of
//! the kernels that follow. These functions share rayon's threads with the kernels.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cpu::{rows_of, with_values};
use super::sum::sum_of;
use super::with_backward;
use crate::error::Result;

/// Numbers of one part of the work at least: less would not be worth sending it to another thread.
const PART: usize = 1 << 14;

/// `f` of each pair of numbers of two tensors of one shape, off the tape. If the channels of both lie side by side, so do those
/// of the result.
///
/// # Errors
/// The tensors hold no float32 values.
pub fn zip(a: &Tensor, b: &Tensor, f: impl Fn(f32, f32) -> f32 + Sync) -> Result<Tensor> {
    if let (Some(a), Some(b)) = (rows_of(a), rows_of(b)) {
        return Ok(zip(&a, &b, f)?.permute((0, 3, 1, 2))?);
    }
    let values = with_values(&a.detach(), |a| {
        with_values(&b.detach(), |b| -> Vec<f32> {
            let mut values = vec![0f32; a.len().min(b.len())];
            // plain loops over parts become vector instructions
            values.par_chunks_mut(PART).zip(a.par_chunks(PART).zip(b.par_chunks(PART))).for_each(|(out, (a, b))| {
                out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = f(*a, *b));
            });
            values
        })
    })??;
    Ok(Tensor::from_vec(values, a.shape(), &Device::Cpu)?.to_device(a.device())?)
}

/// `f` of each number, off the tape, in the order in memory that they had.
///
/// # Errors
/// The tensor holds no float32 values.
pub fn map(x: &Tensor, f: impl Fn(f32) -> f32 + Sync) -> Result<Tensor> {
    if let Some(x) = rows_of(x) {
        return Ok(map(&x, f)?.permute((0, 3, 1, 2))?);
    }
    let values = with_values(&x.detach(), |x| {
        let mut values = vec![0f32; x.len()];
        values.par_chunks_mut(PART).zip(x.par_chunks(PART)).for_each(|(out, x)| {
            out.iter_mut().zip(x).for_each(|(out, x)| *out = f(*x));
        });
        values
    })?;
    Ok(Tensor::from_vec(values, x.shape(), &Device::Cpu)?.to_device(x.device())?)
}

/// `[N, C, ...]` with each channel multiplied by a factor and moved by a shift, off the tape, in the order in memory that it had.
///
/// # Errors
/// The tensor holds no float32 values.
pub fn affine(x: &Tensor, factors: &[f32], shifts: &[f32]) -> Result<Tensor> {
    let rows = rows_of(x);
    // numbers of one channel that lie one after the other
    let plane = if rows.is_some() { 1 } else { x.dims().iter().skip(2).product::<usize>().max(1) };
    let all = plane * factors.len().max(1);
    let ordered = rows.as_ref().unwrap_or(x).detach();
    let mut values: Vec<f32> = with_values(&ordered, <[f32]>::to_vec)?;
    values.par_chunks_mut(all * PART.div_ceil(all)).for_each(|part| {
        for (numbers, (factor, shift)) in part.chunks_mut(plane).zip(factors.iter().zip(shifts).cycle()) {
            numbers.iter_mut().for_each(|x| *x = *x * factor + shift);
        }
    });
    let moved = Tensor::from_vec(values, ordered.shape(), &Device::Cpu)?.to_device(x.device())?;
    Ok(if rows.is_some() { moved.permute((0, 3, 1, 2))? } else { moved })
}

/// The mean of the magnitudes; 0 of no numbers.
///
/// # Errors
/// `x` holds no float32 values.
pub fn mean_abs(x: &Tensor) -> Result<f64> {
    let sum = with_values(&x.detach(), |values| sum_of(values, |value| f64::from(value.abs())))?;
    Ok(sum / x.elem_count().max(1) as f64)
}

/// Images `[N, C, …]` whose channel `c` is channel `sources[c]` of `x`, with `value(c, v)` of its numbers; `slope(c)`
/// is the derivative of the value.
///
/// # Errors
/// `x` holds no float32 values, or not as many channels as `sources` has places and names.
pub fn channelwise<const C: usize>(
    x: &Tensor,
    sources: [usize; C],
    value: impl Fn(usize, f32) -> f32 + Sync,
    slope: impl Fn(usize) -> f32 + Send + Sync + 'static,
) -> Result<Tensor> {
    let plane = x.dims().iter().skip(2).product::<usize>().max(1);
    let mut targets = [0; C];
    sources.iter().enumerate().for_each(|(to, from)| targets[*from] = to);
    with_backward(x, gathered(x, plane, sources, value)?, move |above| {
        gathered(above, plane, targets, |c, g| g * slope(targets[c]))
    })
}

fn gathered<const C: usize>(
    x: &Tensor,
    plane: usize,
    sources: [usize; C],
    value: impl Fn(usize, f32) -> f32 + Sync,
) -> Result<Tensor> {
    let values = with_values(&x.detach(), |values| {
        let mut gathered = vec![0f32; values.len()];
        gathered.par_chunks_mut(plane).enumerate().for_each(|(i, to)| {
            let (image, c) = (i / C, i % C);
            let from = &values[(image * C + sources[c]) * plane..];
            to.iter_mut().zip(from).for_each(|(to, v)| *to = value(c, *v));
        });
        gathered
    })?;
    Ok(Tensor::from_vec(values, x.shape(), &Device::Cpu)?.to_device(x.device())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{gradient, random, rng, values};

    #[test]
    fn numbers_are_paired_in_place() {
        let mut rng = rng(1);
        let (a, b) = (random(&mut rng, (3, 70, 211)), random(&mut rng, (3, 70, 211)));
        // another layout must not change what belongs together
        let (a, b) = (a.transpose(1, 2).unwrap(), b.transpose(1, 2).unwrap().contiguous().unwrap());
        assert_eq!(values(&zip(&a, &b, |a, b| a - b).unwrap()), values(&(&a - &b).unwrap()));
        let mean = values(&a).iter().map(|v| f64::from(v.abs())).sum::<f64>() / a.elem_count() as f64;
        assert!((mean_abs(&a).unwrap() - mean).abs() < 1e-12);
    }

    #[test]
    fn channels_are_picked_and_scaled_both_ways() {
        let x = random(&mut rng(3), (2, 3, 4, 5));
        let sources = [2, 0, 1];
        let (scale, shift) = ([2.0, -3.0, 0.5], [1.0, 10.0, 100.0]);
        let f = |x: &Tensor| channelwise(x, sources, |c, v| v * scale[c] + shift[c], move |c| scale[c]);
        let above = random(&mut rng(4), x.shape());
        let (y, g) = (values(&f(&x).unwrap()), values(&gradient(&x, &above, f)));
        let (x, above) = (values(&x), values(&above));
        for (n, c, i) in (0..2).flat_map(|n| (0..3).flat_map(move |c| (0..20).map(move |i| (n, c, i)))) {
            let (to, from) = ((n * 3 + c) * 20 + i, (n * 3 + sources[c]) * 20 + i);
            assert_eq!(y[to], x[from] * scale[c] + shift[c]);
            assert_eq!(g[from], above[to] * scale[c]);
        }
    }
}
