//! Max-pooling with any kernel, stride, padding and ceil mode, and its gradient.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::cpu::with_values;
use super::window::{inside, pool_positions};
use super::with_backward;
use crate::error::{Error, Kind, Result};

/// A square pooling window, as in PyTorch's `MaxPool2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2dParams {
    /// Side of the window, in pixels.
    pub kernel: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Pixels of −∞ around the image; at most half the kernel.
    pub padding: usize,
    /// Whether a last window may hang over the end, as long as it starts inside the image or its left padding.
    pub ceil_mode: bool,
}

impl MaxPool2dParams {
    /// Height and width of the result for an input of `height` × `width`; none if no window fits.
    pub fn output_size(&self, height: usize, width: usize) -> Option<(usize, usize)> {
        let Self { kernel, stride, padding, ceil_mode } = *self;
        // more padding than half a window would leave windows without a single pixel
        if padding > kernel / 2 || height == 0 || width == 0 {
            return None;
        }
        let count = |size| pool_positions(size, kernel, stride, padding, ceil_mode);
        Some((count(height)?, count(width)?))
    }
}

/// The largest value of each window: `[N, C, H, W]` to `[N, C, H′, W′]`.
///
/// A tie sends its gradient to one place, the first in row-major order, as PyTorch does. NaN wins a window.
pub fn max_pool2d(x: &Tensor, params: &MaxPool2dParams) -> Result<Tensor> {
    let (n, c, height, width) = x.dims4()?;
    let (out_height, out_width) = params.output_size(height, width).ok_or_else(|| too_small(params, height, width))?;
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
    params: &MaxPool2dParams,
    out_width: usize,
    maxima: &mut [f32],
    places: &mut [u32],
) {
    let MaxPool2dParams { kernel, stride, padding, .. } = *params;
    let height = values.len() / width;
    let rows = maxima.chunks_mut(out_width).zip(places.chunks_mut(out_width));
    for (row, (maxima, places)) in rows.enumerate() {
        let top = (row * stride).saturating_sub(padding);
        let bottom = (row * stride + kernel).saturating_sub(padding).min(height);
        maxima.fill(f32::NEG_INFINITY);
        for (i, place) in places.iter_mut().enumerate() {
            *place = (top * width + (i * stride).saturating_sub(padding)) as u32;
        }
        for y in top..bottom {
            for tap in 0..kernel {
                let Some((first, last)) = inside(tap, stride, padding, width, out_width) else { continue };
                let from = y * width + first * stride + tap - padding;
                let windows = maxima[first..=last].iter_mut().zip(&mut places[first..=last]);
                let pixels = values[from..].iter().step_by(stride).zip((from..).step_by(stride));
                for ((maximum, place), (value, at)) in windows.zip(pixels) {
                    if *value > *maximum || value.is_nan() {
                        (*maximum, *place) = (*value, at as u32);
                    }
                }
            }
        }
    }
}

fn too_small(params: &MaxPool2dParams, height: usize, width: usize) -> Error {
    let MaxPool2dParams { kernel, stride, padding, .. } = params;
    Error::new(
        Kind::Tensor,
        format!(
            "an image of {width}×{height} has no place for a pooling window of {kernel}×{kernel} \
             (stride {stride}, padding {padding})"
        ),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, gradient, pick, random, rng, values};

    /// The definition: maximum and its first place, over every pixel of every window.
    fn slow(x: &Tensor, params: &MaxPool2dParams, out: (usize, usize)) -> (Vec<f32>, Vec<usize>) {
        let (n, c, height, width) = x.dims4().unwrap();
        let values = values(x);
        let (mut maxima, mut places) = (vec![], vec![]);
        for plane in 0..n * c {
            for (oy, ox) in (0..out.0).flat_map(|y| (0..out.1).map(move |x| (y, x))) {
                let mut best: Option<usize> = None;
                for (ky, kx) in (0..params.kernel).flat_map(|y| (0..params.kernel).map(move |x| (y, x))) {
                    let y = (oy * params.stride + ky).checked_sub(params.padding).filter(|y| *y < height);
                    let x = (ox * params.stride + kx).checked_sub(params.padding).filter(|x| *x < width);
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
            let kernel = pick(&mut rng, 1..=4);
            let params = MaxPool2dParams {
                kernel,
                stride: pick(&mut rng, 1..=4),
                padding: pick(&mut rng, 0..=kernel / 2),
                ceil_mode: pick(&mut rng, 0..=1) == 1,
            };
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
        let params = MaxPool2dParams { kernel: 3, stride: 2, padding: 0, ceil_mode: true };
        assert_eq!(run((2, 4), params).unwrap(), [1, 1, 1, 2]);
        assert!(run((1, 4), params).unwrap_err().to_string().contains("4×1"));
        assert!(run((2, 4), MaxPool2dParams { ceil_mode: false, ..params }).is_err());
        assert!(run((4, 4), MaxPool2dParams { stride: 0, ..params }).is_err());
        assert!(run((4, 4), MaxPool2dParams { kernel: 0, ..params }).is_err());
        assert!(run((4, 4), MaxPool2dParams { padding: 2, ..params }).is_err());
        assert!(run((0, 4), MaxPool2dParams { padding: 1, ..params }).is_err());
    }

    #[test]
    fn nan_is_not_swallowed() {
        let x = Tensor::new(&[[[[1f32, f32::NAN], [3.0, 4.0]]]], &Device::Cpu).unwrap();
        let y = max_pool2d(&x, &MaxPool2dParams { kernel: 2, stride: 2, padding: 0, ceil_mode: false }).unwrap();
        assert!(values(&y)[0].is_nan());
    }
}
