//! Cropping: random boxes of an image, seen at the network's own size, so that an image makes sense at several scales.

use candle_core::Tensor;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::sampling::{Applied, Grid, Outside, Sampling};
use super::{Drawn, Transform};
use crate::error::Result;
use crate::tensor::normal;

/// Random square boxes inside an image, each resampled bilinearly to `size` × `size` pixels.
///
/// `[N, C, h, w]` becomes `[count N, C, size, size]`: first the first box of all images, then the second. The adjoint
/// adds the gradients of all boxes. Nothing is antialiased: boxes of more than twice `size` pixels skip some.
///
/// The box sampler of MaCo (Fel et al., Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained
/// Optimization, 2023, arXiv:2306.06805; deel-ai/xplique, `maco.py`): 32 boxes whose middles spread by 0.15 and whose
/// side shrinks from 50 % to 5 % over the steps. Two things differ: boxes stay inside the image, and a box is square
/// whatever the image's shape. Feature accentuation takes 16 boxes of 5 to 99 % anywhere (Hamblin et al., 2024).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// The side of the smallest box, as a share of the image's shorter side, from 0 to 1.
    pub least: f64,
    /// The side of the largest box; all sides between both are as likely.
    pub most: f64,
    /// Whether the side shrinks from the largest to the smallest over the steps instead of being drawn.
    pub shrinks: bool,
    /// The standard deviation of a box's middle from that of the image, as a share of the image's height and width; if
    /// not given, all places inside the image are as likely.
    pub spread: Option<f64>,
    /// The side of what comes out, in pixels.
    pub size: usize,
    /// How many boxes are drawn at once.
    pub count: usize,
}

/// A box: its side as a share of the image's shorter side, and where it lies.
#[derive(Clone, Copy, Debug)]
struct Cut {
    side: f64,
    place: Place,
}

/// [y, x] of a box.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Its middle, as a share of height and width.
    Middle([f64; 2]),
    /// How far its corner is moved of what it could be, from 0 to 1.
    Corner([f64; 2]),
}

struct Cropped {
    cuts: Vec<Cut>,
    size: usize,
    applied: Applied,
}

impl Transform for Crop {
    fn draw(&self, progress: f64, random: &mut ChaCha8Rng) -> Box<dyn Drawn> {
        let cuts = (0..self.count.max(1)).map(|_| {
            let share = if self.shrinks { 1.0 - progress } else { random.random() };
            let side = self.least + (self.most - self.least) * share;
            let place = match self.spread {
                None => Place::Corner([random.random(), random.random()]),
                Some(spread) => {
                    let mut away = normal(random).map(f64::from);
                    let mut middle = || 0.5 + spread * away.next().unwrap_or(0.0);
                    Place::Middle([middle(), middle()])
                }
            };
            Cut { side, place }
        });
        Box::new(Cropped { cuts: cuts.collect(), size: self.size, applied: Applied::default() })
    }
}

impl Cut {
    fn grid(&self, image: [usize; 2], to: [usize; 2]) -> Grid {
        let image = image.map(|side| side as f64);
        let shorter = image[0].min(image[1]);
        // max of NaN and a number is the number
        let side = (self.side * shorter).max(1.0).min(shorter);
        let corner = [0, 1].map(|axis| {
            let room = image[axis] - side;
            match self.place {
                Place::Corner(shares) => shares[axis] * room,
                Place::Middle(middle) => (middle[axis] * image[axis] - 0.5 * side).max(0.0).min(room),
            }
        });
        Grid::covering(corner, [side; 2], to)
    }
}

impl Drawn for Cropped {
    fn apply(&self, image: &Tensor) -> Result<Tensor> {
        let to = [self.size; 2];
        self.applied.gather(image, |from| {
            let grids = self.cuts.iter().map(|cut| cut.grid(from, to)).collect();
            Sampling::new(from, to, grids, Outside::Edge)
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

    use super::super::testing::{assert_adjoint, values};
    use super::*;

    const CROP: Crop = Crop { least: 0.05, most: 0.99, shrinks: false, spread: None, size: 7, count: 3 };

    #[test]
    fn boxes_shrink_over_the_steps() {
        let side = |progress: f64| {
            let crop = Crop { least: 0.1, most: 0.5, shrinks: true, spread: None, size: 4, count: 1 };
            // a ramp along x: what the box covers of it is its side
            let ramp: Vec<f32> = (0..100).flat_map(|_| (0..100).map(|x| x as f32)).collect();
            let ramp = Tensor::from_vec(ramp, (1, 1, 100, 100), &Device::Cpu).unwrap();
            let seen = values(&crop.draw(progress, &mut ChaCha8Rng::seed_from_u64(2)).apply(&ramp).unwrap());
            (seen[3] - seen[0]) / 3.0 * 4.0
        };
        for (progress, truth) in [(0.0, 50.0), (0.5, 30.0), (1.0, 10.0)] {
            assert!((side(progress) - truth).abs() < 0.1, "{} instead of {truth}", side(progress));
        }
    }

    #[test]
    fn the_adjoint_is_exact() {
        for spread in [None, Some(0.15), Some(2.0)] {
            assert_adjoint(&Crop { spread, ..CROP }, 1);
        }
        assert_adjoint(&Crop { count: 1, size: 1, ..CROP }, 1);
    }

    #[test]
    fn the_largest_box_of_a_square_is_all_of_it() {
        let image = Tensor::arange(0f32, 49.0, &Device::Cpu).unwrap().reshape((1, 1, 7, 7)).unwrap();
        let whole = Crop { least: 1.0, most: 1.0, count: 2, ..CROP };
        let boxes = whole.draw(0.0, &mut ChaCha8Rng::seed_from_u64(1)).apply(&image).unwrap();
        assert_eq!(boxes.dims(), [2, 1, 7, 7]);
        assert_eq!(values(&boxes), values(&image).repeat(2));
    }

    #[test]
    fn boxes_lie_inside_the_image() {
        // each pixel says where it is
        let ramp: Vec<f32> =
            (0..20 * 30).map(|i| (i % 30) as f32).chain((0..20 * 30).map(|i| (i / 30) as f32)).collect();
        let image = Tensor::from_vec(ramp, (1, 2, 20, 30), &Device::Cpu).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for spread in [None, Some(0.5)] {
            let crop = Crop { least: 0.3, most: 0.6, shrinks: false, spread, size: 4, count: 50 };
            let seen = values(&crop.draw(0.0, &mut random).apply(&image).unwrap());
            for cut in seen.chunks_exact(32) {
                // four samples stand for a box of 6 to 12 pixels
                let width = (cut[3] - cut[0]) * 4.0 / 3.0;
                let height = (cut[28] - cut[16]) * 4.0 / 3.0;
                assert!((width - height).abs() < 1e-3 && (5.99..=12.01).contains(&width), "{width}×{height}");
                let (left, top) = (cut[0] + 0.5 - width / 8.0, cut[16] + 0.5 - height / 8.0);
                assert!(left > -1e-3 && top > -1e-3 && left + width < 30.001 && top + height < 20.001);
            }
        }
    }

    #[test]
    fn boxes_that_shrink_go_from_the_largest_to_the_smallest() {
        // each pixel says which column it is in
        let ramp: Vec<f32> = (0..40 * 40).map(|i| (i % 40) as f32).collect();
        let image = Tensor::from_vec(ramp, (1, 1, 40, 40), &Device::Cpu).unwrap();
        let crop = Crop { least: 0.25, most: 0.75, shrinks: true, spread: None, size: 2, count: 1 };
        for (progress, side) in [(0.0, 30.0), (0.5, 20.0), (1.0, 10.0)] {
            let seen = values(&crop.draw(progress, &mut ChaCha8Rng::seed_from_u64(4)).apply(&image).unwrap());
            // two samples are half a box apart
            assert!((2.0 * (seen[1] - seen[0]) - side).abs() < 1e-3, "{side}");
        }
    }

    #[test]
    fn absurd_sides_become_possible_ones() {
        let image = Tensor::arange(0f32, 6.0, &Device::Cpu).unwrap().reshape((1, 1, 2, 3)).unwrap();
        for (least, most) in [(-4.0, -3.0), (5.0, 9.0), (f64::NAN, 1.0)] {
            let crop = Crop { least, most, ..CROP };
            let seen = crop.draw(0.0, &mut ChaCha8Rng::seed_from_u64(3)).apply(&image).unwrap();
            assert!(values(&seen).iter().all(|value| (0.0..=5.0).contains(value)));
        }
        assert!(Crop { size: 0, ..CROP }.draw(0.0, &mut ChaCha8Rng::seed_from_u64(3)).apply(&image).is_err());
    }
}
