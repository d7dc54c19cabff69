//! Blurring: a look that does not see the finest details.

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::{Drawn, Transform};
use crate::error::{Error, Kind, Result};
use crate::tensor::{Separable, mirrored};

/// A Gaussian blur; nothing about it is random.
///
/// It is that of [`gaussian_blur`](crate::tensor::gaussian_blur): a kernel that reaches 3 σ far over an image that is
/// mirrored at its edges, mirrored again where the kernel reaches further than the image. At the edges the map is not
/// symmetric; the adjoint is its exact transpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blur {
    /// The standard deviation σ in pixels; 0 changes nothing.
    pub sigma: f64,
}

/// The largest standard deviation, in pixels.
const LARGEST: f64 = 1000.0;

impl Blur {
    fn matrices(&self, image: &Tensor) -> Result<Separable> {
        if !(0.0..=LARGEST).contains(&self.sigma) {
            let message = format!("a blur's standard deviation is from 0 to {LARGEST} pixels, not {}", self.sigma);
            return Err(Error::new(Kind::Argument, message).at_argument("sigma"));
        }
        let (_, _, height, width) = image.dims4()?;
        let reach = (3.0 * self.sigma).ceil() as isize;
        // of a hair-thin Gaussian only the middle is left
        let weight = |away: isize| if away == 0 { 1.0 } else { (-0.5 * (away as f64 / self.sigma).powi(2)).exp() };
        let sum: f64 = (-reach..=reach).map(weight).sum();
        Separable::new([height, width], [height, width], |size, place| {
            (-reach..=reach).map(|away| (mirrored(place as isize + away, size), weight(away) / sum)).collect()
        })
    }
}

impl Transform for Blur {
    fn draw(&self, _progress: f64, _random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        Box::new(*self)
    }
}

impl Drawn for Blur {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        self.matrices(image)?.apply(image)
    }

    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        self.matrices(gradient)?.adjoint(gradient)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;

    use super::super::testing::{assert_adjoint, random, values};
    use super::*;
    use crate::tensor::gaussian_blur;

    #[test]
    fn the_adjoint_is_exact() {
        for sigma in [0.0, 0.5, 1.0, 7.0] {
            assert_adjoint(&Blur { sigma }, 1);
        }
    }

    #[test]
    fn it_equals_the_operation_on_tensors() {
        let image = random(&mut ChaCha8Rng::seed_from_u64(1), &[1, 3, 20, 31]);
        for sigma in [0.3, 1.0, 2.5] {
            let truth = values(&gaussian_blur(&image, sigma, None).unwrap());
            for (a, b) in values(&Blur { sigma }.apply(&image).unwrap()).iter().zip(truth) {
                assert!((a - b).abs() < 1e-6, "{sigma}: {a} and {b}");
            }
        }
        assert_eq!(values(&Blur { sigma: 0.0 }.apply(&image).unwrap()), values(&image));
        for sigma in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Blur { sigma }.apply(&image).unwrap_err().argument(), Some("sigma"));
        }
    }
}
