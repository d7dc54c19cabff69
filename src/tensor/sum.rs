//! Sums of many numbers: in double precision and in a fixed order, so that they are right and do not depend on the
//! number of threads.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cpu::with_values;
use super::rows::{reduced_shape, rows};
use super::with_backward;
use crate::error::Result;

/// Numbers of one part of a sum; parts are summed in order.
const PART: usize = 1 << 14;
/// Sums that run side by side, so that the loop can use vectors.
const LANES: usize = 8;

/// The sum of `f` over numbers.
pub fn sum_of(values: &[f32], f: impl Fn(f32) -> f64 + Sync) -> f64 {
    if values.len() <= PART {
        return sum_part(values, &f);
    }
    let parts: Vec<f64> = values.par_chunks(PART).map(|part| sum_part(part, &f)).collect();
    parts.iter().sum()
}

fn sum_part(values: &[f32], f: &impl Fn(f32) -> f64) -> f64 {
    let mut lanes = [0f64; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += f(*value));
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| f(*value)).sum::<f64>()
}

/// `f` of each row along the dimensions `dims`, off the tape: the shape of `x` without them, or with 1 in their places.
///
/// # Errors
/// `x` holds no float32 values or has no such dimensions.
pub(super) fn reduce(x: &Tensor, dims: &[usize], keepdim: bool, f: impl Fn(&[f32]) -> f32 + Sync) -> Result<Tensor> {
    let shape = reduced_shape(x.dims(), dims, keepdim);
    let (length, rows) = rows(x, dims)?;
    let values: Vec<f32> = with_values(&rows, |values| match length {
        0 => vec![f(&[]); shape.iter().product()],
        _ => values.par_chunks(length).map(&f).collect(),
    })?;
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_device(x.device())?)
}

/// The sums along `dims`; differentiable.
///
/// # Errors
/// `x` holds no float32 values or has no such dimensions.
pub fn sum(x: &Tensor, dims: &[usize], keepdim: bool) -> Result<Tensor> {
    scaled_sum(x, dims, keepdim, 1.0)
}

/// The means along `dims`; differentiable.
///
/// # Errors
/// `x` holds no float32 values or has no such dimensions.
pub fn mean(x: &Tensor, dims: &[usize], keepdim: bool) -> Result<Tensor> {
    let count: usize = dims.iter().filter_map(|dim| x.dims().get(*dim)).product();
    scaled_sum(x, dims, keepdim, 1.0 / count as f64)
}

fn scaled_sum(x: &Tensor, dims: &[usize], keepdim: bool, factor: f64) -> Result<Tensor> {
    let y = reduce(x, dims, keepdim, |row| (sum_of(row, f64::from) * factor) as f32)?;
    let (kept, shape) = (reduced_shape(x.dims(), dims, true), x.dims().to_vec());
    with_backward(x, y, move |gradient| {
        Ok((gradient.reshape(kept.as_slice())? * factor)?.broadcast_as(shape.as_slice())?)
    })
}

/// The sum of all numbers; differentiable.
///
/// # Errors
/// `x` holds no float32 values.
pub fn sum_all(x: &Tensor) -> Result<Tensor> {
    sum(x, &(0..x.rank()).collect::<Vec<_>>(), false)
}

/// The gradient of a tensor of this shape that was broadcast to the shape of `gradient`, off the tape.
///
/// # Errors
/// `gradient` holds no float32 values, or the shape cannot be broadcast to its.
pub(super) fn sum_to(gradient: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if gradient.dims() == shape {
        return Ok(gradient.clone());
    }
    let added = gradient.rank().saturating_sub(shape.len());
    let is_stretched = |dim: usize| dim < added || (shape[dim - added] == 1 && gradient.dims()[dim] != 1);
    let dims: Vec<usize> = (0..gradient.rank()).filter(|dim| is_stretched(*dim)).collect();
    Ok(sum(&gradient.detach(), &dims, true)?.reshape(shape)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, gradient, pick, random, rng, values};

    #[test]
    fn a_constant_has_itself_as_its_mean() {
        let x = Tensor::full(0.7f32, (3, 2000, 2000), &Device::Cpu).unwrap();
        assert_eq!(mean(&x, &[0, 1, 2], false).unwrap().to_scalar::<f32>().unwrap(), 0.7);
        assert_eq!(values(&mean(&x, &[1, 2], false).unwrap()), [0.7; 3]);
        assert_eq!(values(&mean(&x, &[0, 1], true).unwrap()), [0.7; 2000]);
        // what is added to a large number is not lost
        let mut numbers = vec![1f32; 1 << 25];
        numbers[0] = 1e9;
        assert_eq!(sum_of(&numbers, f64::from), 1e9 + f64::from((1 << 25) - 1));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let x = random(&mut rng(8), (5, 100_003));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| (values(&sum(&x, &[1], false).unwrap()), sum_of(&values(&x), f64::from).to_bits()))
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(7));
    }

    #[test]
    fn sums_and_their_gradients_equal_the_definition() {
        let mut rng = rng(9);
        for _ in 0..300 {
            let shape: Vec<usize> = (0..pick(&mut rng, 0..=4)).map(|_| pick(&mut rng, 1..=5)).collect();
            let dims: Vec<usize> = (0..shape.len()).filter(|_| pick(&mut rng, 0..=1) == 1).collect();
            let x = random(&mut rng, shape.clone());
            let keepdim = pick(&mut rng, 0..=1) == 1;
            let y = mean(&x, &dims, keepdim).unwrap();
            assert_eq!(y.dims(), reduced_shape(&shape, &dims, keepdim));

            // place by place: where does each number go?
            let kept = reduced_shape(&shape, &dims, true);
            let to = |place: usize| {
                let (mut rest, mut target, mut stride) = (place, 0, 1);
                for (size, kept) in shape.iter().zip(&kept).rev() {
                    target += if *kept == 1 { 0 } else { rest % size * stride };
                    stride *= kept;
                    rest /= size;
                }
                target
            };
            let count = (x.elem_count() / y.elem_count()) as f64;
            let mut truth = vec![0f64; y.elem_count()];
            values(&x).iter().enumerate().for_each(|(place, v)| truth[to(place)] += f64::from(*v) / count);
            let truth: Vec<f32> = truth.iter().map(|v| *v as f32).collect();
            assert_close(&values(&y), &truth, 1e-6, &format!("{shape:?} over {dims:?}"));
            let above = random(&mut rng, y.shape());
            let g = values(&above);
            let truth: Vec<f32> = (0..x.elem_count()).map(|place| (f64::from(g[to(place)]) / count) as f32).collect();
            assert_close(&values(&gradient(&x, &above, |x| mean(x, &dims, keepdim))), &truth, 1e-6, "gradient");

            // broadcasting, and its adjoint
            let small = random(&mut rng, kept.clone());
            let above = random(&mut rng, shape.clone());
            let g = values(&above);
            let mut truth = vec![0f32; small.elem_count()];
            (0..x.elem_count()).for_each(|place| truth[to(place)] += g[place]);
            assert_close(&values(&sum_to(&above, &kept).unwrap()), &truth, 1e-5, "sum_to");
        }
    }
}
