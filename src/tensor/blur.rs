//! Gaussian blur.

use candle_core::Tensor;

use super::TensorValue;
use super::banded::{Banded, separable};
use super::planes::plane_size;
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// `[..., H, W]` blurred with a Gaussian of standard deviation `sigma` pixels, as torchvision's `gaussian_blur`:
/// the kernel is sampled at whole pixels and sums to 1, and the plane is mirrored at its edges as by
/// [`pad`](super::pad()).
///
/// The kernel is `kernel_size` pixels wide and high; if that is not given, 3 σ on either side, 2 ⌈3 σ⌉ + 1.
///
/// # Errors
/// `x` has fewer than two axes or is empty, `sigma` is not above 0, `kernel_size` is even, or half of it is not
/// smaller than both sides, so that they cannot be mirrored that far.
pub fn gaussian_blur(x: &Tensor, sigma: f64, kernel_size: Option<usize>) -> Result<Tensor> {
    let (height, width) = plane_size(x, "gaussian_blur")?;
    if !(sigma > 0.0 && sigma.is_finite()) {
        let message = format!("gaussian_blur: `sigma` must be above 0, not {sigma}");
        return Err(Error::new(Kind::Argument, message).at_argument("sigma"));
    }
    if let Some(size) = kernel_size.filter(|size| size.is_multiple_of(2)) {
        let message = format!("gaussian_blur: `kernel_size` must be odd, not {size}");
        return Err(Error::new(Kind::Argument, message).at_argument("kernel_size"));
    }
    // a huge float becomes the largest integer
    let radius = kernel_size.map_or((3.0 * sigma).ceil() as usize, |size| size / 2);
    let side = height.min(width);
    if radius >= side {
        let message = format!(
            "gaussian_blur: a kernel that reaches {radius} pixels far does not fit a tensor of {height}×{width}"
        );
        let fitting = 2 * (side - 1) + 1;
        let hint = format!("kernel_size={fitting} is the largest that does");
        let argument = if kernel_size.is_some() { "kernel_size" } else { "sigma" };
        return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument(argument));
    }
    let kernel = kernel(sigma, radius);
    separable(x, matrix(height, &kernel), matrix(width, &kernel), "gaussian_blur")
}

/// The Gaussian at the whole numbers from −radius to radius, scaled so that it sums to 1.
fn kernel(sigma: f64, radius: usize) -> Vec<f64> {
    let value = |place: usize| (-0.5 * ((place as f64 - radius as f64) / sigma).powi(2)).exp();
    let sum: f64 = (0..=2 * radius).map(value).sum();
    (0..=2 * radius).map(|place| value(place) / sum).collect()
}

/// The kernel at each of `size` places of a mirrored axis.
fn matrix(size: usize, kernel: &[f64]) -> Banded {
    let radius = kernel.len() / 2;
    let mut matrix = Banded::new(size);
    for place in 0..size {
        matrix.push(kernel.iter().enumerate().map(|(tap, weight)| {
            let from_start = (place + tap).abs_diff(radius);
            (from_start.min((2 * (size - 1)).abs_diff(from_start)), *weight)
        }));
    }
    matrix
}

/// A tensor blurred with a Gaussian along its last two dimensions, which are mirrored at their edges.
///
/// ```rhai
/// gaussian_blur(randn([3, 16, 16], seed=1), 1.5)
/// ```
#[function(name = "gaussian_blur")]
fn gaussian_blur_word(
    /// The tensor, [..., H, W].
    tensor: TensorValue,
    /// The standard deviation of the Gaussian, in pixels.
    sigma: f64,
    /// The side of the kernel, an odd number; without it, the kernel reaches 3 `sigma` far.
    #[default]
    #[range(1..)]
    kernel_size: Option<usize>,
) -> Result<TensorValue> {
    Ok(gaussian_blur(tensor.inner(), sigma, kernel_size)?.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{Entry, assert_linear, pick, random, rng, stacked, values};

    /// The definition: a weighted mean over a square of the mirrored plane.
    fn slow((height, width): (usize, usize), sigma: f64, radius: i64) -> Vec<Entry> {
        let mirror = |place: i64, size: usize| {
            let last = size as i64 - 1;
            (if place < 0 {
                -place
            } else if place > last {
                2 * last - place
            } else {
                place
            }) as usize
        };
        let weight = |dy: i64, dx: i64| (-((dy * dy + dx * dx) as f64) / (2.0 * sigma * sigma)).exp();
        let square = || (-radius..=radius).flat_map(move |dy| (-radius..=radius).map(move |dx| (dy, dx)));
        let sum: f64 = square().map(|(dy, dx)| weight(dy, dx)).sum();
        let mut entries = vec![];
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            for (dy, dx) in square() {
                let from = mirror(y as i64 + dy, height) * width + mirror(x as i64 + dx, width);
                entries.push((y * width + x, from, weight(dy, dx) / sum));
            }
        }
        entries
    }

    #[test]
    fn forward_and_gradient_equal_the_definition() {
        let mut rng = rng(74);
        for case in 0..250 {
            let sigma = pick(&mut rng, 1..=30) as f64 / 10.0;
            let kernel_size = (case % 2 == 0).then(|| 2 * pick(&mut rng, 0..=6) + 1);
            let radius = kernel_size.map_or((3.0 * sigma).ceil() as usize, |size| size / 2);
            let size = (radius + pick(&mut rng, 1..=8), radius + pick(&mut rng, 1..=19));
            let x = stacked(&mut rng, &[size.0, size.1]);
            let what = format!("{size:?} sigma {sigma} kernel {kernel_size:?}");
            let entries = slow(size, sigma, radius as i64);
            assert_linear(&mut rng, &x, (2, &[size.0, size.1]), &entries, 0.0, &what, |x| {
                gaussian_blur(x, sigma, kernel_size)
            });
        }
    }

    #[test]
    fn a_hair_thin_gaussian_changes_nothing() {
        let x = random(&mut rng(4), (2, 5, 6));
        assert_eq!(values(&gaussian_blur(&x, 1e-200, None).unwrap()), values(&x));
        assert_eq!(values(&gaussian_blur(&x, 5.0, Some(1)).unwrap()), values(&x));
    }

    #[test]
    fn kernels_that_do_not_fit_are_refused() {
        let x = random(&mut rng(5), (4, 7));
        let fault = |sigma, kernel_size| gaussian_blur(&x, sigma, kernel_size).unwrap_err();
        for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(fault(sigma, None).argument(), Some("sigma"), "{sigma}");
        }
        assert!(fault(1.0, Some(4)).message().contains("odd"));
        assert!(fault(1.0, Some(0)).message().contains("odd"));
        assert_eq!(fault(1.0, Some(9)).hint(), Some("kernel_size=7 is the largest that does"));
        assert_eq!(fault(1.1, None).argument(), Some("sigma"));
        assert_eq!(fault(1e300, None).argument(), Some("sigma"));
        assert!(gaussian_blur(&x, 1.1, Some(7)).is_ok());
    }
}
