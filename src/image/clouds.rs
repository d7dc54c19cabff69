//! A sky with clouds: a background that is no photograph.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Color, Filter, Image, resample, size};
use crate::error::Result;
use crate::job::Job;
use crate::lang::function;
use crate::tensor::Seed;

/// The sky between the clouds.
const SKY: Color = [0.35, 0.55, 0.85];
/// The clouds.
const CLOUD: Color = [0.96, 0.96, 0.97];
/// Noise of so many scales is added up, each half as coarse and half as strong as the one before.
const OCTAVES: u32 = 6;
/// Cells of the coarsest noise along the longer side.
const CELLS: usize = 3;

/// A blue sky with soft clouds, made of noise of several scales.
///
/// # Errors
/// The size is not one of an image.
pub fn clouds(width: usize, height: usize, seed: u64) -> Result<Image> {
    size::check(width, height)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut sum = vec![0f32; width * height];
    for octave in 0..OCTAVES {
        let cells =
            |side: usize| (((CELLS << octave) * side) as f32 / width.max(height) as f32).ceil().max(2.0) as usize;
        let (columns, rows) = (cells(width), cells(height));
        let coarse: Vec<f32> = (0..columns * rows).map(|_| random.random::<f32>() - 0.5).collect();
        let fine = resample(&coarse, (columns, rows), (width, height), Filter::Bicubic)?;
        sum.iter_mut().zip(fine).for_each(|(sum, value)| *sum += value * 0.5f32.powi(octave as i32));
    }
    let cover = |value: &f32| {
        let t = (value * 1.6 + 0.45).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    };
    let planes = SKY.into_iter().zip(CLOUD);
    let planes = planes.flat_map(|(sky, cloud)| sum.iter().map(move |value| sky + (cloud - sky) * cover(value)));
    Image::from_planes(width, height, planes.collect(), None)
}

/// A blue sky with clouds, made of noise; a background to put things on.
///
/// ```rhai
/// compose(clouds(227, 227, seed=3), gallery("bird/owl"), scale=0.5)
/// ```
#[function(name = "clouds")]
fn clouds_word(
    job: &Job,
    /// Width in pixels.
    #[range(1..)]
    width: usize,
    /// Height in pixels.
    #[range(1..)]
    height: usize,
    #[options] seed: &Seed,
) -> Result<Image> {
    clouds(width, height, seed.get(job))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn there_is_sky_and_there_are_clouds() {
        let image = clouds(120, 90, 3).unwrap();
        assert_eq!(image, clouds(120, 90, 3).unwrap());
        assert_ne!(image, clouds(120, 90, 4).unwrap());
        let [red, ..] = image.channels();
        let share = |of: fn(&f32) -> bool| red.iter().filter(|value| of(value)).count() as f32 / red.len() as f32;
        assert!(share(|red| *red < 0.5) > 0.15 && share(|red| *red > 0.8) > 0.15);
        assert!(clouds(1, 1, 1).is_ok() && clouds(0, 1, 1).is_err());
    }
}
