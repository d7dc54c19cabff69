//! Flipping: left and right change places at every other look.

use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Drawn, Transform};
use crate::error::Result;
use crate::tensor::with_values;

/// The image mirrored from left to right, with probability ½.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flip;

/// Is it mirrored?
struct Flipped(bool);

impl Transform for Flip {
    fn draw(&self, _progress: f64, random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        Box::new(Flipped(random.random()))
    }
}

impl Drawn for Flipped {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        let (.., width) = image.dims4()?;
        if !self.0 || width == 0 {
            return Ok(image.clone());
        }
        let mirrored = with_values(&image.detach(), |values| {
            values.chunks_exact(width).flat_map(|row| row.iter().rev()).copied().collect::<Vec<f32>>()
        })?;
        Ok(Tensor::from_vec(mirrored, image.shape(), image.device())?)
    }

    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        // twice is once not at all
        self.apply(gradient)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;

    use super::super::testing::{assert_adjoint, values};
    use super::*;

    #[test]
    fn the_adjoint_is_exact() {
        assert_adjoint(&Flip, 1);
    }

    #[test]
    fn about_half_are_mirrored() {
        let image = Tensor::new(&[[[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]]], &Device::Cpu).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut mirrored = 0;
        for _ in 0..200 {
            let seen = values(&Flip.draw(0.0, &mut random).apply(&image).unwrap());
            if seen == [3.0, 2.0, 1.0, 6.0, 5.0, 4.0] {
                mirrored += 1;
            } else {
                assert_eq!(seen, values(&image));
            }
        }
        assert!((70..=130).contains(&mirrored), "{mirrored}");
    }
}
