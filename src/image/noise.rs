//! Noise to start a dream from.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Image, size};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::tensor::Seed;

/// How far the noise reaches from mid grey on either side.
const SPREAD: f32 = 0.1;

/// Independent uniform noise around mid grey, 0.4 to 0.6, in every pixel and channel.
///
/// The same seed gives the same picture on every machine.
pub fn noise(width: usize, height: usize, seed: u64) -> Result<Image> {
    size::check(width, height)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let planes = (0..3 * width * height).map(|_| 0.5 + SPREAD * (2.0 * random.random::<f32>() - 1.0)).collect();
    Image::from_planes(width, height, planes, None)
}

/// Noise around mid grey, to start a dream from.
///
/// ```rhai
/// noise(224, 224, seed=7)
/// ```
#[function(name = "noise")]
fn noise_word(
    job: &Job,
    /// Width in pixels.
    #[range(1..)]
    width: usize,
    /// Height in pixels.
    #[range(1..)]
    height: usize,
    #[options] seed: &Seed,
) -> Result<Image> {
    noise(width, height, seed.get(job))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides() {
        let image = noise(40, 30, 7).unwrap();
        assert_eq!(image, noise(40, 30, 7).unwrap());
        assert_ne!(image, noise(40, 30, 8).unwrap());
        let mean = image.planes().iter().sum::<f32>() / image.planes().len() as f32;
        assert!((mean - 0.5).abs() < 0.005);
        assert!(image.planes().iter().all(|v| (0.4..=0.6).contains(v)));
    }
}
