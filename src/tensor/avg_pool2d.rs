//! Average-pooling with any kernel, stride, padding and ceil mode, or to a given size, and its gradient.

use std::ops::Range;

use candle_core::{Device, Tensor};
use percept_kernels::pool::Windows;
use rayon::prelude::*;

use super::cpu::with_values;
use super::pool2d::Pool2dParams;
use super::sum::sum_of;
use super::with_backward;
use crate::error::{Error, Kind, Result};

/// The windows of pooling along one axis, as PyTorch's `AvgPool2d` cuts them.
pub(crate) fn pooling_windows(
    params: &Pool2dParams,
    axis: usize,
    size: usize,
    count: usize,
    count_include_pad: bool,
) -> Windows {
    let (kernel, stride, padding) = (params.kernel[axis], params.stride[axis], params.padding[axis]);
    Windows::sliding(kernel, stride, padding, size, count, count_include_pad)
}

/// The mean of each window: `[N, C, H, W]` to `[N, C, H′, W′]`.
///
/// With `count_include_pad` the padding counts as zeros, otherwise only what lies in the image is averaged.
pub fn avg_pool2d(x: &Tensor, params: &Pool2dParams, count_include_pad: bool) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let (out_height, out_width) = params.output_size(height, width).ok_or_else(|| params.too_small(height, width))?;
    let rows = pooling_windows(params, 0, height, out_height, count_include_pad);
    let columns = pooling_windows(params, 1, width, out_width, count_include_pad);
    average(x, rows, columns)
}

/// The mean of each part of an image cut into `size` parts: `[N, C, H, W]` to `[N, C, size[0], size[1]]`, as
/// PyTorch's `AdaptiveAvgPool2d`.
pub fn adaptive_avg_pool2d(x: &Tensor, size: [usize; 2]) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    if size.contains(&0) || height == 0 || width == 0 {
        return Err(Error::new(Kind::Tensor, format!("an image of {width}×{height} cannot be pooled to {size:?}")));
    }
    average(x, Windows::adaptive(height, size[0]), Windows::adaptive(width, size[1]))
}

fn average(x: &Tensor, rows: Windows, columns: Windows) -> Result<Tensor> {
    let (n, c, height, width) = x.dims4()?;
    let (out_height, out_width) = (rows.0.len(), columns.0.len());
    let plane = out_height * out_width;

    let mut means = vec![0f32; n * c * plane];
    with_values(&x.detach(), |values| {
        let planes = values.par_chunks(height * width);
        means.par_chunks_mut(plane).zip(planes).for_each(|(means, values)| {
            each_window(&rows, &columns, |at, y, x, share| {
                let row = |y: usize| sum_of(&values[y * width..][x.clone()], f64::from);
                means[at] = (y.map(row).sum::<f64>() * f64::from(share)) as f32;
            });
        });
    })?;

    let device = x.device().clone();
    let y = Tensor::from_vec(means, (n, c, out_height, out_width), &Device::Cpu)?.to_device(&device)?;
    with_backward(x, y, move |gradient| {
        let mut result = vec![0f32; n * c * height * width];
        with_values(gradient, |gradient| {
            let planes = gradient.par_chunks(plane);
            result.par_chunks_mut(height * width).zip(planes).for_each(|(result, gradient)| {
                each_window(&rows, &columns, |at, y, x, share| {
                    for y in y {
                        result[y * width..][x.clone()].iter_mut().for_each(|v| *v += gradient[at] * share);
                    }
                });
            });
        })?;
        Ok(Tensor::from_vec(result, (n, c, height, width), &Device::Cpu)?.to_device(&device)?)
    })
}

/// Calls `visit(place, rows, columns, share)` for each window in row-major order; a value's weight is `share`.
fn each_window(rows: &Windows, columns: &Windows, mut visit: impl FnMut(usize, Range<usize>, Range<usize>, f32)) {
    for (i, (y, height)) in rows.0.iter().enumerate() {
        for (j, (x, width)) in columns.0.iter().enumerate() {
            visit(i * columns.0.len() + j, y.clone(), x.clone(), 1.0 / (height * width).max(1) as f32);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, gradient, pick, random, rng, values};

    /// The definition of pooling: every pixel of every window, the padding counted or not.
    fn slow(x: &Tensor, params: &Pool2dParams, out: (usize, usize), include: bool) -> (Vec<f32>, Vec<Vec<f32>>) {
        let (n, c, height, width) = x.dims4().unwrap();
        let values = values(x);
        let [[top, bottom], [left, right]] = params.padding;
        let (mut means, mut shares) = (vec![], vec![]);
        for plane in 0..n * c {
            for (oy, ox) in (0..out.0).flat_map(|y| (0..out.1).map(move |x| (y, x))) {
                let (mut sum, mut count, mut taps) = (0.0, 0, vec![]);
                for (ky, kx) in (0..params.kernel[0]).flat_map(|y| (0..params.kernel[1]).map(move |x| (y, x))) {
                    let (y, x) = (oy * params.stride[0] + ky, ox * params.stride[1] + kx);
                    if y >= height + top + bottom || x >= width + left + right {
                        continue;
                    }
                    let inside = (top..height + top).contains(&y) && (left..width + left).contains(&x);
                    if inside {
                        let at = (plane * height + y - top) * width + x - left;
                        sum += values[at];
                        taps.push(at);
                    }
                    count += usize::from(inside || include);
                }
                means.push(sum / count as f32);
                let mut share = vec![0f32; values.len()];
                taps.iter().for_each(|at| share[*at] = 1.0 / count as f32);
                shares.push(share);
            }
        }
        (means, shares)
    }

    #[test]
    fn forward_and_gradient_equal_the_definition() {
        let mut rng = rng(12);
        for _ in 0..300 {
            let params = Pool2dParams::random(&mut rng);
            let include = pick(&mut rng, 0..=1) == 1;
            let shape = (pick(&mut rng, 1..=2), pick(&mut rng, 1..=2), pick(&mut rng, 4..=9), pick(&mut rng, 4..=9));
            let x = random(&mut rng, shape);
            let y = avg_pool2d(&x, &params, include).unwrap();
            let (means, shares) = slow(&x, &params, (y.dim(2).unwrap(), y.dim(3).unwrap()), include);
            assert_close(&values(&y), &means, 1e-5, &format!("{params:?}"));

            let above = random(&mut rng, y.shape());
            let mut truth = vec![0f32; x.elem_count()];
            for (g, share) in values(&above).iter().zip(shares) {
                truth.iter_mut().zip(share).for_each(|(t, share)| *t += g * share);
            }
            let ours = gradient(&x, &above, |x| avg_pool2d(x, &params, include));
            assert_close(&values(&ours), &truth, 1e-5, &format!("{params:?}"));
        }
    }

    #[test]
    fn adaptive_windows_are_pytorchs() {
        let mut rng = rng(13);
        for _ in 0..200 {
            let (height, width) = (pick(&mut rng, 1..=9), pick(&mut rng, 1..=9));
            let size = [pick(&mut rng, 1..=9), pick(&mut rng, 1..=9)];
            let x = random(&mut rng, (1, 2, height, width));
            let y = adaptive_avg_pool2d(&x, size).unwrap();
            let above = random(&mut rng, y.shape());
            let slope = values(&gradient(&x, &above, |x| adaptive_avg_pool2d(x, size)));
            let (v, above, mut means, mut truth) = (values(&x), values(&above), vec![], vec![0f32; x.elem_count()]);
            for (c, i, j) in (0..2).flat_map(|c| (0..size[0]).flat_map(move |i| (0..size[1]).map(move |j| (c, i, j)))) {
                let (y0, y1) = (i * height / size[0], (i * height + height).div_ceil(size[0]));
                let (x0, x1) = (j * width / size[1], (j * width + width).div_ceil(size[1]));
                let places = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (c * height + y) * width + x));
                let count = ((y1 - y0) * (x1 - x0)) as f32;
                means.push(places.clone().map(|at| v[at]).sum::<f32>() / count);
                places.for_each(|at| truth[at] += above[(c * size[0] + i) * size[1] + j] / count);
            }
            assert_close(&values(&y), &means, 1e-5, "mean");
            assert_close(&slope, &truth, 1e-5, "gradient");
        }
        let x = random(&mut rng, (1, 1, 2, 2));
        assert!(adaptive_avg_pool2d(&x, [0, 1]).is_err());
    }
}
