//! Noise: other small disturbances at each look, which an image must withstand.

use candle_core::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Drawn, Transform};
use crate::error::Result;
use crate::tensor::{normal, with_values};

/// Numbers of one part of an image; each part has random numbers of its own.
const PART: usize = 1 << 14;

/// Normally distributed noise that is added to each number; the adjoint is the identity.
///
/// What is drawn is the noise's seed, so that one draw takes as many random numbers for any image. Values may leave 0
/// to 1. MaCo adds 0.08, and evenly spread noise beside it that adds 4 % to the deviation (deel-ai/xplique, `maco.py`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The standard deviation, in units of the image: 0 to 1.
    pub deviation: f32,
}

struct Noisy {
    deviation: f32,
    seed: u64,
}

impl Transform for Noise {
    fn draw(&self, _progress: f64, random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        Box::new(Noisy { deviation: self.deviation, seed: random.random() })
    }
}

impl Drawn for Noisy {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        let noisy = with_values(&image.detach(), |values| {
            let mut values = values.to_vec();
            values.par_chunks_mut(PART).enumerate().for_each(|(part, values)| {
                let mut random = ChaCha8Rng::seed_from_u64(self.seed);
                random.set_stream(part as u64);
                for (value, noise) in values.iter_mut().zip(normal(&mut random)) {
                    *value += self.deviation * noise;
                }
            });
            values
        })?;
        Ok(Tensor::from_vec(noisy, image.shape(), &Device::Cpu)?)
    }

    fn adjoint(&self, gradient: &Tensor) -> Result<Tensor> {
        Ok(gradient.clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::DType;

    use super::super::testing::{assert_adjoint, values};
    use super::*;

    #[test]
    fn the_adjoint_is_exact() {
        assert_adjoint(&Noise { deviation: 0.3 }, 1);
    }

    #[test]
    fn noise_is_normal_and_new_at_each_draw() {
        let image = Tensor::zeros((1, 3, 150, 150), DType::F32, &Device::Cpu).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let [a, b] = [(); 2].map(|()| Noise { deviation: 0.1 }.draw(0.0, &mut random));
        let noise = values(&a.apply(&image).unwrap());
        assert_eq!(noise, values(&a.apply(&image).unwrap()));
        assert_ne!(noise, values(&b.apply(&image).unwrap()));
        let count = noise.len() as f64;
        let mean = noise.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let deviation = (noise.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count).sqrt();
        assert!(mean.abs() < 1e-3 && (deviation - 0.1).abs() < 1e-3, "{mean} {deviation}");
        // parts do not repeat each other
        assert_ne!(noise[..PART], noise[PART..2 * PART]);
    }
}
