//! Rotating: another angle at each look, so that an image does not hang on exact directions.

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::sampling::{Amount, Applied, Grid, Outside, Sampling};
use super::{Drawn, Transform};
use crate::error::Result;

/// A turn about the middle of the image by an angle that is drawn; bilinear, the size stays.
///
/// Corners that the image does not reach show what [`Outside`] says. Angles that are not finite count as 0. Lucid draws
/// whole degrees from −10 to 10, and 0 six times as often as others (tensorflow/lucid, `lucid/optvis/transform.py`).
#[derive(Clone, Debug, PartialEq)]
pub struct Rotate {
    /// The angle in degrees, counter-clockwise.
    pub degrees: Amount,
    /// What is seen where the image does not reach.
    pub outside: Outside,
}

impl Rotate {
    /// By at most so many degrees to either side; outside lies what is at the edge.
    pub fn within(degrees: f64) -> Self {
        Self { degrees: Amount::Between(-degrees, degrees), outside: Outside::Edge }
    }
}

struct Rotated {
    degrees: f64,
    outside: Outside,
    applied: Applied,
}

impl Transform for Rotate {
    fn draw(&self, _progress: f64, random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        let degrees = self.degrees.draw(random, 0.0);
        Box::new(Rotated { degrees, outside: self.outside, applied: Applied::default() })
    }
}

impl Drawn for Rotated {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        self.applied.gather(image, |size| {
            let [y, x] = size.map(|side| 0.5 * (side as f64 - 1.0));
            // rows run downwards: what is seen to the right of the middle was below it before a quarter turn
            let grid =
                Grid { origin: [y - cos * y - sin * x, x + sin * y - cos * x], down: [cos, -sin], across: [sin, cos] };
            Sampling::new(size, size, vec![grid], self.outside)
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

    fn turned(image: &Tensor, degrees: f64, outside: Outside) -> Vec<f32> {
        let rotate = Rotate { degrees: Amount::OneOf(vec![degrees]), outside };
        values(&rotate.draw(0.0, &mut ChaCha8Rng::seed_from_u64(1)).apply(image).unwrap())
    }

    #[test]
    fn the_adjoint_is_exact() {
        assert_adjoint(&Rotate::within(180.0), 1);
        for value in [0.0, 0.5] {
            assert_adjoint(&Rotate { outside: Outside::Value(value), ..Rotate::within(45.0) }, 1);
        }
    }

    #[test]
    fn a_quarter_turn_moves_the_right_side_to_the_top() {
        let image = Tensor::new(&[[[[1f32, 2.0], [3.0, 4.0]]]], &Device::Cpu).unwrap();
        for outside in [Outside::Edge, Outside::Value(0.0)] {
            for (degrees, truth) in
                [(90.0, [2.0, 4.0, 1.0, 3.0]), (-90.0, [3.0, 1.0, 4.0, 2.0]), (0.0, [1.0, 2.0, 3.0, 4.0])]
            {
                for (a, b) in turned(&image, degrees, outside).iter().zip(truth) {
                    assert!((a - b).abs() < 1e-6, "{degrees}: {a} instead of {b}");
                }
            }
        }
    }

    #[test]
    fn corners_show_what_lies_outside() {
        let image = Tensor::ones((1, 1, 9, 9), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(turned(&image, 45.0, Outside::Edge).iter().all(|value| (value - 1.0).abs() < 1e-6));
        let grey = turned(&image, 45.0, Outside::Value(0.25));
        assert!((grey[0] - 0.25).abs() < 1e-6 && (grey[40] - 1.0).abs() < 1e-6);
        let whole = random(&mut ChaCha8Rng::seed_from_u64(2), &[1, 2, 6, 8]);
        for (a, b) in turned(&whole, 360.0, Outside::Value(0.0)).iter().zip(values(&whole)) {
            assert!((a - b).abs() < 1e-5);
        }
    }
}
