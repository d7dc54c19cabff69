//! How far an image may be changed, and images of 8 bits within that.

use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::lang::{Options, choices};
use crate::tensor::sum_of;

/// The greatest level of an 8-bit image.
const WHITE: f32 = 255.0;
/// What rounding may have taken from an `epsilon` that is meant to be whole levels.
const SLACK: f64 = 1e-6;
/// How exactly the scale is found at which a perturbation has a length once it is rounded.
const HALVINGS: usize = 20;
/// No perturbation is enlarged further.
const LARGEST: f32 = 1e9;
/// Numbers of one part of a sum; parts are summed in order.
const PART: usize = 1 << 14;

/// How the size of a perturbation is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norm {
    /// The greatest change of a value, L∞.
    #[default]
    LInf,
    /// The root of the sum of the squares of all changes, L2.
    L2,
}

choices!(Norm { "linf" => LInf, "l2" => L2 });

/// How far an image may be changed.
#[derive(Clone, Debug, Options)]
pub struct Reach {
    /// The largest perturbation, in units of pixels from 0 to 1, at least one of 255 levels: the greatest change of a
    /// value for "linf", 8/255.0 if not given; the root of the sum of all squared changes for "l2", 1 if not given.
    #[default]
    pub epsilon: Option<f64>,
    /// How a perturbation is measured: "linf", its greatest change, or "l2", the root of the sum of the squares.
    #[default("linf")]
    pub norm: Norm,
}

impl Reach {
    /// The perturbations that are allowed.
    ///
    /// # Errors
    /// `epsilon` is less than one level, or more than there are colours.
    pub fn ball(&self) -> Result<Ball> {
        let usual = if self.norm == Norm::LInf { 8.0 / 255.0 } else { 1.0 };
        Ball::new(self.norm, self.epsilon.unwrap_or(usual))
    }
}

/// The perturbations of at most some size.
#[derive(Clone, Copy, Debug)]
pub struct Ball {
    /// How the size is measured.
    pub norm: Norm,
    /// The largest size, in units of pixels from 0 to 1.
    pub epsilon: f64,
}

impl Ball {
    /// The perturbations of at most `epsilon`.
    ///
    /// # Errors
    /// `epsilon` is less than one level, or more than there are colours.
    pub fn new(norm: Norm, epsilon: f64) -> Result<Self> {
        let fault = |what: &str, hint: &str| {
            let message = format!("`epsilon` is {epsilon}, {what}");
            Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("epsilon"))
        };
        if epsilon * f64::from(WHITE) < 1.0 - SLACK {
            return fault(
                "less than one level of an 8-bit image",
                "one level is 1/255.0; 1/255 is 0, as integers divide",
            );
        }
        if norm == Norm::LInf && epsilon > 1.0 {
            return fault("but pixels go from 0 to 1", "8 of 255 levels are 8/255.0");
        }
        Ok(Self { norm, epsilon })
    }

    /// So many whole levels a value may change, in L∞.
    pub fn levels(&self) -> f32 {
        (self.epsilon * f64::from(WHITE) + SLACK).floor() as f32
    }

    /// Brings a perturbation of an image to the nearest one that is allowed, and makes the sum a picture.
    pub fn project(&self, original: &[f32], delta: &mut [f32]) {
        match self.norm {
            Norm::LInf => {
                let most = self.epsilon as f32;
                delta.iter_mut().for_each(|change| *change = change.clamp(-most, most));
            }
            Norm::L2 => {
                let length = length(delta);
                if length > self.epsilon {
                    let scale = (self.epsilon / length) as f32;
                    delta.iter_mut().for_each(|change| *change *= scale);
                }
            }
        }
        into_picture(original, delta);
    }

    /// The 8-bit image of a perturbed one, no further from the original than is allowed. In L∞ each value is rounded by
    /// itself. In L2 that would lose changes of less than half a level, of which there are many: the perturbation is
    /// scaled before it is rounded, such that it keeps its length. Of all whole-numbered perturbations of a length,
    /// rounding a multiple of a direction gives the one that goes furthest in it.
    pub fn rounded(&self, original: &[f32], delta: &[f32]) -> Vec<f32> {
        match self.norm {
            Norm::LInf => {
                let most = self.levels();
                let round = |(pixel, change): (&f32, &f32)| {
                    let own = level(*pixel);
                    let wanted = level((pixel + change).clamp(0.0, 1.0));
                    wanted.clamp(own - most, own + most).clamp(0.0, WHITE) / WHITE
                };
                original.iter().zip(delta).map(round).collect()
            }
            Norm::L2 => {
                let radius = length(delta).min(self.epsilon);
                scaled(original, delta, scale_of_length(original, delta, radius))
            }
        }
    }
}

/// The level of a pixel, from 0 to 255.
pub fn level(pixel: f32) -> f32 {
    (pixel * WHITE).round()
}

/// Pixels of an 8-bit image: the nearest of 256 levels each.
pub fn eight_bits(pixels: &[f32]) -> Vec<f32> {
    pixels.iter().map(|pixel| level(pixel.clamp(0.0, 1.0)) / WHITE).collect()
}

/// The 8-bit image of an original, of 8 bits, with a perturbation times `scale`.
pub fn scaled(original: &[f32], delta: &[f32], scale: f32) -> Vec<f32> {
    let moved = |(pixel, change): (&f32, &f32)| {
        let change = whole(change.abs() * WHITE * scale).copysign(*change);
        (level(*pixel) + change).clamp(0.0, WHITE) / WHITE
    };
    original.iter().zip(delta).map(moved).collect()
}

/// The largest scale at which a perturbation, rounded to levels, is no longer than `radius`; where it cannot become
/// longer, one at which it is as long as it can be.
pub fn scale_of_length(original: &[f32], delta: &[f32], radius: f64) -> f32 {
    // each change in levels, and how many levels there are in its direction
    let changes: Vec<(f32, f32)> = original
        .iter()
        .zip(delta)
        .filter(|(_, change)| **change != 0.0)
        .map(|(pixel, change)| {
            let own = level(*pixel);
            (change.abs() * WHITE, if *change > 0.0 { WHITE - own } else { own })
        })
        .filter(|(_, room)| *room > 0.0)
        .collect();
    let square = (radius * f64::from(WHITE)).powi(2) + SLACK;
    let fits = |scale: f32| {
        let part = |part: &[(f32, f32)]| -> f64 {
            part.iter().map(|(change, room)| f64::from(whole(change * scale).min(*room)).powi(2)).sum()
        };
        let parts: Vec<f64> = changes.par_chunks(PART).map(part).collect();
        parts.iter().sum::<f64>() <= square
    };
    let (mut low, mut high) = (0.0f32, 1.0f32);
    while fits(high) {
        if high > LARGEST || changes.is_empty() {
            return high;
        }
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if fits(middle) { low = middle } else { high = middle }
    }
    low
}

/// The root of the sum of squares, in double precision.
pub fn length(delta: &[f32]) -> f64 {
    sum_of(delta, |change| f64::from(change).powi(2)).sqrt()
}

/// Cuts a perturbation such that the perturbed image is a picture.
pub fn into_picture(original: &[f32], delta: &mut [f32]) {
    for (change, pixel) in delta.iter_mut().zip(original) {
        *change = change.clamp(-pixel, 1.0 - pixel);
    }
}

/// The perturbed image.
pub fn sum(original: &[f32], delta: &[f32]) -> Vec<f32> {
    original.iter().zip(delta).map(|(pixel, change)| (pixel + change).clamp(0.0, 1.0)).collect()
}

/// What was added to an image.
pub fn difference(image: &[f32], original: &[f32]) -> Vec<f32> {
    image.iter().zip(original).map(|(pixel, before)| pixel - before).collect()
}

/// The direction of each number: 1, -1, or 0.
pub fn sign(value: f32) -> f32 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        0.0
    }
}

/// Rounds a number that is not negative.
fn whole(value: f32) -> f32 {
    (value + 0.5).floor()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// An 8-bit image and a perturbation.
    fn drawn(seed: u64, spread: f32) -> (Vec<f32>, Vec<f32>) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let original = (0..600).map(|_| f32::from(random.random::<u8>()) / 255.0).collect();
        (original, (0..600).map(|_| spread * (2.0 * random.random::<f32>() - 1.0)).collect())
    }

    #[test]
    fn rounded_images_are_of_8_bits_and_stay_in_the_ball() {
        for seed in 0..20 {
            let (original, delta) = drawn(seed, 0.002 * 3f32.powi(seed as i32 % 5));
            for (norm, epsilon) in
                [(Norm::LInf, 1.0 / 255.0), (Norm::LInf, 0.0205), (Norm::L2, 0.02), (Norm::L2, 0.3), (Norm::L2, 4.0)]
            {
                let ball = Ball::new(norm, epsilon).unwrap();
                let rounded = ball.rounded(&original, &delta);
                assert_eq!(rounded, eight_bits(&rounded));
                let change = difference(&rounded, &original);
                let size = match norm {
                    Norm::LInf => f64::from(change.iter().fold(0f32, |most, change| most.max(change.abs()))),
                    Norm::L2 => length(&change),
                };
                assert!(size <= epsilon + 1e-6, "{norm:?} {epsilon}: {size}");
                let mut projected = delta.clone();
                ball.project(&original, &mut projected);
                assert!(
                    sum(&original, &projected)
                        .iter()
                        .zip(&original)
                        .zip(&projected)
                        .all(|((sum, pixel), change)| { (sum - pixel - change).abs() < 1e-6 })
                );
            }
        }
    }

    /// In L2, changes of less than half a level are not lost: what is left is as long as the whole, and goes its way.
    #[test]
    fn small_perturbations_keep_their_length_and_direction() {
        let (original, delta) = drawn(3, 0.001);
        assert_eq!(Ball::new(Norm::LInf, 0.1).unwrap().rounded(&original, &delta), original);
        let rounded = Ball::new(Norm::L2, 1.0).unwrap().rounded(&original, &delta);
        let change = difference(&rounded, &original);
        assert!((length(&change) / length(&delta) - 1.0).abs() < 0.15, "{} {}", length(&change), length(&delta));
        let product: f64 = change.iter().zip(&delta).map(|(a, b)| f64::from(a * b)).sum();
        // of 600 even changes, the 13 largest: twice as much of the direction as any 13
        assert!(product / length(&change) / length(&delta) > 0.2);
    }

    /// No change of a level more and another one less goes further in the direction.
    #[test]
    fn rounding_a_multiple_is_the_best_of_its_length() {
        let (_, delta) = drawn(5, 0.01);
        let original = vec![0.5 * 256.0 / 255.0; 600];
        for radius in [0.01, 0.05, 0.2] {
            let scale = scale_of_length(&original, &delta, radius);
            let change = difference(&scaled(&original, &delta, scale), &original);
            let levels: Vec<f64> = change.iter().map(|change| f64::from((change * 255.0).round().abs())).collect();
            let gain = |place: usize| f64::from(delta[place].abs());
            // gain for each unit of squared length: the least that was taken is worth more than the best that was not
            let taken = (0..600).filter(|i| levels[*i] > 0.0).map(|i| gain(i) / (2.0 * levels[i] - 1.0));
            let left = (0..600).map(|i| gain(i) / (2.0 * levels[i] + 1.0));
            assert!(taken.fold(f64::INFINITY, f64::min) >= left.fold(0.0, f64::max) * (1.0 - 1e-3), "{radius}");
        }
    }

    #[test]
    fn a_perturbation_that_has_no_room_stays_where_it_is() {
        let (original, delta) = (vec![1.0, 0.0, 1.0], vec![0.5, -0.5, 0.0]);
        assert_eq!(Ball::new(Norm::L2, 1.0).unwrap().rounded(&original, &delta), original);
        let all = Ball::new(Norm::L2, 100.0).unwrap().rounded(&[0.0, 1.0], &[1e-3, -1e-3]);
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn units_are_those_of_pixels_from_0_to_1() {
        let fault = |norm, epsilon| Ball::new(norm, epsilon).unwrap_err();
        assert!(fault(Norm::LInf, 8.0).hint().unwrap().contains("8/255.0"));
        assert!(fault(Norm::LInf, 0.0).hint().unwrap().contains("1/255.0"));
        assert!(fault(Norm::L2, -1.0).message().contains("less than one level"));
        assert_eq!(Ball::new(Norm::LInf, 1.0 / 255.0).unwrap().levels(), 1.0);
        assert_eq!(Ball::new(Norm::LInf, 8.0 / 255.0).unwrap().levels(), 8.0);
        assert_eq!(Ball::new(Norm::LInf, 0.05).unwrap().levels(), 12.0);
    }
}
