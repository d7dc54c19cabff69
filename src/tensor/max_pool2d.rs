//! Max-pooling with any kernel, stride, padding and ceil mode, and its gradient.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cpu::with_values;
use super::pool2d::Pool2dParams;
use super::window::inside;
use super::with_backward;
use crate::error::Result;

/// The largest value of each window: `[N, C, H, W]` to `[N, C, H′, W′]`.
///
/// A tie sends its gradient to one place, the first in row-major order, as PyTorch does. NaN wins a window.
pub fn max_pool2d(x: &Tensor, params: &Pool2dParams) -> Result<Tensor> {
    let (n, c, height, width) = x.dims4()?;
    let (out_height, out_width) = params.output_size(height, width).ok_or_else(|| params.too_small(height, width))?;
    let plane = out_height * out_width;

    let mut maxima = vec![0f32; n * c * plane];
    let mut places = vec![0u32; n * c * plane];
    with_values(&x.detach(), |values| {
        let planes = values.par_chunks(height * width);
        let outputs = maxima.par_chunks_mut(plane).zip(places.par_chunks_mut(plane));
        planes.zip(outputs).for_each(|(values, (maxima, places))| {
            pool_plane(values, width, params, out_width, maxima, places);
        });
    })?;

    let shape = (n, c, out_height, out_width);
    let y = Tensor::from_vec(maxima, shape, &Device::Cpu)?.to_device(x.device())?;
    let device = x.device().clone();
    with_backward(x, y, move |gradient| {
        let mut result = vec![0f32; n * c * height * width];
        with_values(gradient, |gradient| {
            let inputs = gradient.par_chunks(plane).zip(places.par_chunks(plane));
            result.par_chunks_mut(height * width).zip(inputs).for_each(|(result, (gradient, places))| {
                for (g, &place) in gradient.iter().zip(places) {
                    result[place as usize] += g;
                }
            });
        })?;
        Ok(Tensor::from_vec(result, (n, c, height, width), &Device::Cpu)?.to_device(&device)?)
    })
}

/// Pools one channel of one image; `places` are row-major positions in it.
///
/// Tap by tap over a whole row of windows, in row-major order, so that the first of equal values stays.
fn pool_plane(
    values: &[f32],
    width: usize,
    params: &Pool2dParams,
    out_width: usize,
    maxima: &mut [f32],
    places: &mut [u32],
) {
    let Pool2dParams { kernel, stride, padding: [[above, _], [left, _]], .. } = *params;
    let height = values.len() / width;
    let rows = maxima.chunks_mut(out_width).zip(places.chunks_mut(out_width));
    for (row, (maxima, places)) in rows.enumerate() {
        let top = (row * stride[0]).saturating_sub(above);
        let bottom = (row * stride[0] + kernel[0]).saturating_sub(above).min(height);
        maxima.fill(f32::NEG_INFINITY);
        for (i, place) in places.iter_mut().enumerate() {
            *place = (top * width + (i * stride[1]).saturating_sub(left)) as u32;
        }
        for y in top..bottom {
            for tap in 0..kernel[1] {
                let Some((first, last)) = inside(tap, stride[1], left, width, out_width) else { continue };
                let from = y * width + first * stride[1] + tap - left;
                let windows = maxima[first..=last].iter_mut().zip(&mut places[first..=last]);
                let pixels = values[from..].iter().step_by(stride[1]).zip((from..).step_by(stride[1]));
                for ((maximum, place), (value, at)) in windows.zip(pixels) {
                    if *value > *maximum || value.is_nan() {
                        (*maximum, *place) = (*value, at as u32);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, gradient, pick, random, rng, values};

    /// The definition: maximum and its first place, over every pixel of every window.
    fn slow(x: &Tensor, params: &Pool2dParams, out: (usize, usize)) -> (Vec<f32>, Vec<usize>) {
        let (n, c, height, width) = x.dims4().unwrap();
        let values = values(x);
        let (mut maxima, mut places) = (vec![], vec![]);
        for plane in 0..n * c {
            for (oy, ox) in (0..out.0).flat_map(|y| (0..out.1).map(move |x| (y, x))) {
                let mut best: Option<usize> = None;
                for (ky, kx) in (0..params.kernel[0]).flat_map(|y| (0..params.kernel[1]).map(move |x| (y, x))) {
                    let y = (oy * params.stride[0] + ky).checked_sub(params.padding[0][0]).filter(|y| *y < height);
                    let x = (ox * params.stride[1] + kx).checked_sub(params.padding[1][0]).filter(|x| *x < width);
                    if let (Some(y), Some(x)) = (y, x) {
                        let at = (plane * height + y) * width + x;
                        if best.is_none_or(|best| values[at] > values[best]) {
                            best = Some(at);
                        }
                    }
                }
                maxima.push(values[best.unwrap()]);
                places.push(best.unwrap());
            }
        }
        (maxima, places)
    }

    #[test]
    fn forward_and_gradient_equal_the_definition() {
        let mut rng = rng(11);
        for _ in 0..300 {
            let params = Pool2dParams::random(&mut rng);
            let shape = (pick(&mut rng, 1..=2), pick(&mut rng, 1..=3), pick(&mut rng, 4..=9), pick(&mut rng, 4..=9));
            // few different values, so that there are ties
            let x = (random(&mut rng, shape) * 3.0).unwrap().round().unwrap();

            let y = max_pool2d(&x, &params).unwrap();
            let (maxima, places) = slow(&x, &params, (y.dim(2).unwrap(), y.dim(3).unwrap()));
            assert_eq!(values(&y), maxima, "{params:?}");

            let above = random(&mut rng, y.shape());
            let mut truth = vec![0f32; x.elem_count()];
            values(&above).iter().zip(places).for_each(|(g, at)| truth[at] += g);
            let ours = gradient(&x, &above, |x| max_pool2d(x, &params));
            assert_close(&values(&ours), &truth, 1e-6, &format!("{params:?}"));
        }
    }

    #[test]
    fn windows_that_fit_nowhere_are_refused() {
        let run = |size: (usize, usize), params| {
            let x = Tensor::zeros((1, 1, size.0, size.1), candle_core::DType::F32, &Device::Cpu).unwrap();
            max_pool2d(&x, &params).map(|y| y.dims().to_vec())
        };
        let params = Pool2dParams { ceil_mode: true, ..Pool2dParams::new(3, 2, 0) };
        assert_eq!(run((2, 4), params).unwrap(), [1, 1, 1, 2]);
        assert!(run((1, 4), params).unwrap_err().to_string().contains("4×1"));
        assert!(run((2, 4), Pool2dParams { ceil_mode: false, ..params }).is_err());
        assert!(run((4, 4), Pool2dParams { stride: [2, 0], ..params }).is_err());
        assert!(run((4, 4), Pool2dParams { kernel: [0, 2], ..params }).is_err());
        assert!(run((4, 4), Pool2dParams { padding: [[0, 2], [0, 0]], ..params }).is_err());
        assert!(run((0, 4), Pool2dParams { padding: [[1; 2]; 2], ..params }).is_err());
    }

    #[test]
    fn nan_is_not_swallowed() {
        let x = Tensor::new(&[[[[1f32, f32::NAN], [3.0, 4.0]]]], &Device::Cpu).unwrap();
        let y = max_pool2d(&x, &Pool2dParams::new(2, 2, 0)).unwrap();
        assert!(values(&y)[0].is_nan());
    }
}
