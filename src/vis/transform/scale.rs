//! Scaling: another size at each look, so that an image is about things and not about their exact size.

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::sampling::{Amount, Applied, Grid, Outside, Sampling};
use super::{Drawn, Transform};
use crate::error::Result;

/// Height and width times a factor that is drawn, rounded to whole pixels and at least 1; bilinear.
///
/// The size changes: `[N, C, h, w]` becomes `[N, C, round(f h), round(f w)]`. Pixels are squares whose corners keep
/// their places, as in [`interpolate`](crate::tensor::interpolate); nothing is antialiased, so factors far below 1 skip
/// pixels. Factors that are not finite count as 1. Lucid draws from 0.9, 0.92, … 1.1 (tensorflow/lucid,
/// `lucid/optvis/transform.py`).
#[derive(Clone, Debug, PartialEq)]
pub struct Scale(pub Amount);

struct Scaled {
    factor: f64,
    applied: Applied,
}

impl Transform for Scale {
    fn draw(&self, _progress: f64, random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        Box::new(Scaled { factor: self.0.draw(random, 1.0), applied: Applied::default() })
    }
}

impl Drawn for Scaled {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        self.applied.gather(image, |from| {
            // a negative side becomes 0, an endless one the largest number
            let to = from.map(|side| ((side as f64 * self.factor).round() as usize).max(1));
            let grid = Grid::covering([0.0; 2], from.map(|side| side as f64), to);
            Sampling::new(from, to, vec![grid], Outside::Edge)
        })
    }

    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        self.applied.scatter(gradient)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;

    use super::super::testing::{assert_adjoint, random, values};
    use super::*;
    use crate::tensor::{InterpolateMode, interpolate};

    #[test]
    fn the_adjoint_is_exact() {
        assert_adjoint(&Scale(Amount::Between(0.4, 2.5)), 1);
        assert_adjoint(&Scale(Amount::OneOf(vec![0.9, 1.0, 1.1])), 1);
    }

    #[test]
    fn it_is_interpolation_between_squares() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let image = random(&mut rng, &[1, 3, 10, 20]);
        for factor in [0.5, 0.9, 1.0, 1.1, 3.0] {
            let scaled = Scale(Amount::OneOf(vec![factor])).draw(0.0, &mut rng).apply(&image).unwrap();
            let (_, _, height, width) = scaled.dims4().unwrap();
            assert_eq!((height, width), ((10.0 * factor).round() as usize, (20.0 * factor).round() as usize));
            let truth = interpolate(&image, [height, width], InterpolateMode::Bilinear, false).unwrap();
            for (a, b) in values(&scaled).iter().zip(values(&truth)) {
                assert!((a - b).abs() < 1e-5, "{factor}: {a} and {b}");
            }
        }
    }

    #[test]
    fn two_pixels_become_four() {
        let image = Tensor::new(&[[[[0f32, 1.0]]]], &Device::Cpu).unwrap();
        let scaled =
            Scale(Amount::OneOf(vec![2.0])).draw(0.0, &mut ChaCha8Rng::seed_from_u64(1)).apply(&image).unwrap();
        assert_eq!(values(&scaled)[..4], [0.0, 0.25, 0.75, 1.0]);
        let huge = Scale(Amount::OneOf(vec![1e9])).draw(0.0, &mut ChaCha8Rng::seed_from_u64(1)).apply(&image);
        assert!(huge.unwrap_err().message().contains("too large"));
    }
}
