//! Colour spaces of images under optimization: decorrelated colours, and red, green and blue from 0 to 1.
//!
//! In natural images red, green and blue go together; along the axes of [`DECORRELATED`] they do not, so that an
//! optimization can change brightness and colour independently (Olah, Mordvintsev and Schubert, Feature Visualization,
//! Distill 2017). A sigmoid brings any number into 0 to 1.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::tensor::{map, with_values, zip};

/// A linear map of three channels; one row for each that comes out.
pub type Matrix = [[f32; 3]; 3];

/// Red, green and blue of the three decorrelated channels, before the sigmoid: the root of the colours' covariance over
/// ImageNet, scaled so that no channel is longer than 1 (tensorflow/lucid, `lucid/optvis/param/color.py`;
/// deel-ai/xplique, `preconditioning.py`).
pub const DECORRELATED: [[f64; 3]; 3] = [
    [0.562_828_54, 0.194_825_28, 0.043_294_5],
    [0.584_475_8, 0.0, -0.108_236_26],
    [0.584_475_8, -0.194_825_28, 0.064_941_76],
];

/// The decorrelated channels of red, green and blue.
const INVERSE: [[f64; 3]; 3] = inverse(DECORRELATED);

/// Pixels count as at least this far from 0 and from 1, where the sigmoid never comes.
pub const LEAST: f32 = 5e-5;

/// Numbers that one task works on.
const PART: usize = 1 << 14;

/// By cofactors; the matrix must have an inverse.
const fn inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let [[a, b, c], [d, e, f], [g, h, i]] = m;
    let first = [e * i - f * h, c * h - b * i, b * f - c * e];
    let second = [f * g - d * i, a * i - c * g, c * d - a * f];
    let third = [d * h - e * g, b * g - a * h, a * e - b * d];
    let determinant = a * first[0] + b * second[0] + c * third[0];
    [
        [first[0] / determinant, first[1] / determinant, first[2] / determinant],
        [second[0] / determinant, second[1] / determinant, second[2] / determinant],
        [third[0] / determinant, third[1] / determinant, third[2] / determinant],
    ]
}

fn single(matrix: [[f64; 3]; 3]) -> Matrix {
    matrix.map(|row| row.map(|weight| weight as f32))
}

/// The matrix whose rows are the columns of another.
pub fn transposed(m: Matrix) -> Matrix {
    [[m[0][0], m[1][0], m[2][0]], [m[0][1], m[1][1], m[2][1]], [m[0][2], m[1][2], m[2][2]]]
}

/// `[N, 3, h, w]` with its channels put through a matrix, off the tape.
///
/// # Errors
/// The tensor has another shape, or holds no float32 values.
pub fn mix(x: &Tensor, matrix: Matrix) -> Result<Tensor> {
    let &[_, 3, height, width] = x.dims() else {
        let message = format!("colours have the shape [N, 3, height, width], not {:?}", x.dims());
        return Err(Error::new(Kind::Tensor, message));
    };
    let plane = (height * width).max(1);
    let mixed = with_values(&x.detach(), |from| {
        let mut to = vec![0f32; from.len()];
        let images = to.chunks_exact_mut(3 * plane).zip(from.chunks_exact(3 * plane));
        for (to, from) in images {
            for (to, [a, b, c]) in to.chunks_exact_mut(plane).zip(matrix) {
                to.par_chunks_mut(PART).enumerate().for_each(|(part, to)| {
                    let [first, second, third] = [0, 1, 2].map(|channel| &from[channel * plane + part * PART..]);
                    for (to, ((x, y), z)) in to.iter_mut().zip(first.iter().zip(second).zip(third)) {
                        *to = a * x + b * y + c * z;
                    }
                });
            }
        }
        to
    })?;
    Ok(Tensor::from_vec(mixed, x.shape(), &Device::Cpu)?)
}

/// The image `[N, 3, h, w]`, red, green and blue from 0 to 1, of decorrelated colours of any size.
///
/// # Errors
/// The tensor has another shape.
pub fn to_rgb(decorrelated: &Tensor) -> Result<Tensor> {
    map(&mix(decorrelated, single(DECORRELATED))?, |value| 1.0 / (1.0 + (-value).exp()))
}

/// The gradient for decorrelated colours, given that for the image; `image` is what [`to_rgb`] made of them.
///
/// # Errors
/// The tensors have different shapes.
pub fn to_rgb_adjoint(image: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    same_shape(image, gradient)?;
    let inner = zip(image, gradient, |value, slope| slope * value * (1.0 - value))?;
    mix(&inner, transposed(single(DECORRELATED)))
}

/// The decorrelated colours of an image `[N, 3, h, w]`: what [`to_rgb`] gives back to within `least`. Values nearer to
/// 0 or 1 than `least`, which is at most ½, or outside, count as that near.
///
/// # Errors
/// The tensor has another shape.
pub fn from_rgb(image: &Tensor, least: f32) -> Result<Tensor> {
    let least = least.clamp(f32::MIN_POSITIVE, 0.5);
    let logits = map(image, |value| {
        let value = value.clamp(least, 1.0 - least);
        (value / (1.0 - value)).ln()
    })?;
    mix(&logits, single(INVERSE))
}

/// An error unless both have the same shape.
///
/// # Errors
/// They have not.
pub fn same_shape(expected: &Tensor, got: &Tensor) -> Result<()> {
    if expected.dims() == got.dims() {
        return Ok(());
    }
    let message = format!("a tensor of shape {:?} stands where one of {:?} is needed", got.dims(), expected.dims());
    Err(Error::new(Kind::Tensor, message))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, random, rng, values};

    #[test]
    fn the_inverse_is_one() {
        for (row, weights) in DECORRELATED.iter().enumerate() {
            for column in [0, 1, 2] {
                let product: f64 = weights.iter().zip(INVERSE).map(|(weight, inverse)| weight * inverse[column]).sum();
                assert!((product - f64::from(u8::from(row == column))).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn channels_are_mixed_pixel_by_pixel() {
        let x = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((2, 3, 1, 2)).unwrap();
        let mixed = mix(&x, [[1.0, 0.0, 0.0], [0.0, 0.0, 2.0], [1.0, 1.0, 1.0]]).unwrap();
        assert_eq!(values(&mixed), [0.0, 1.0, 8.0, 10.0, 6.0, 9.0, 6.0, 7.0, 20.0, 22.0, 24.0, 27.0]);
        assert!(mix(&x.reshape((3, 2, 1, 2)).unwrap(), [[0.0; 3]; 3]).is_err());
        // more than one part
        let large = random(&mut rng(1), (1, 3, 200, 131));
        let swapped = mix(&large, [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).unwrap();
        let back = Tensor::cat(&[2, 1, 0].map(|c| large.narrow(1, c, 1).unwrap()), 1).unwrap();
        assert_eq!(values(&swapped), values(&back));
    }

    #[test]
    fn grey_is_where_all_is_zero_and_bright_is_the_first_channel() {
        let x = Tensor::new(&[0f32, 1.0, 0.0, 0.0, 0.0, 0.0], &Device::Cpu).unwrap().reshape((1, 3, 1, 2)).unwrap();
        let image = values(&to_rgb(&x).unwrap());
        let sigmoid = |x: f64| (1.0 / (1.0 + (-x).exp())) as f32;
        let truth = [0.5, sigmoid(0.562_828_54), 0.5, sigmoid(0.584_475_8), 0.5, sigmoid(0.584_475_8)];
        assert_close(&image, &truth, 1e-6, "colours");
    }

    #[test]
    fn there_and_back_is_the_same() {
        let mut rng = rng(2);
        let image = map(&random(&mut rng, (2, 3, 9, 11)), |v| (0.6 * v + 0.5).clamp(0.0, 1.0)).unwrap();
        let back = to_rgb(&from_rgb(&image, LEAST).unwrap()).unwrap();
        for (a, b) in values(&image).iter().zip(values(&back)) {
            assert!((a - b).abs() < 6e-5, "{a} and {b}");
        }
    }

    #[test]
    fn the_gradient_is_that_of_differences() {
        let mut rng = rng(3);
        let (x, above) = (random(&mut rng, (1, 3, 2, 3)), random(&mut rng, (1, 3, 2, 3)));
        let value = |x: &[f32]| -> f64 {
            let x = Tensor::from_slice(x, (1, 3, 2, 3), &Device::Cpu).unwrap();
            let image = values(&to_rgb(&x).unwrap());
            image.iter().zip(values(&above)).map(|(a, b)| f64::from(*a) * f64::from(b)).sum()
        };
        let ours = values(&to_rgb_adjoint(&to_rgb(&x).unwrap(), &above).unwrap());
        for (place, ours) in ours.iter().enumerate() {
            let [low, high] = [-1e-2, 1e-2].map(|step| {
                let mut moved = values(&x);
                moved[place] += step;
                value(&moved)
            });
            assert!(((high - low) / 2e-2 - f64::from(*ours)).abs() < 1e-4, "{place}");
        }
    }
}
