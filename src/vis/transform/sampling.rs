//! Bilinear sampling of an image at the places of a grid, and its adjoint: what scaling, rotating and cropping share.
//!
//! A grid lies over the image by an affine map, so each sample's pixels and weights follow from a few numbers; they are
//! computed where they are needed, the same in both directions, and take hardly any memory.

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Tensor};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::{Error, Kind, Result};
use crate::image::{MAX_PIXELS, MAX_SIDE};
use crate::tensor::with_values;

/// A number that each draw chooses anew.
#[derive(Clone, Debug, PartialEq)]
pub enum Amount {
    /// Anything from the first number to the second, each as likely.
    Between(f64, f64),
    /// One of a list, each as likely; what stands in it twice is twice as likely.
    OneOf(Vec<f64>),
}

impl Amount {
    /// Draws a number with one random number; `otherwise` if what is drawn is not finite, or the list is empty.
    pub(super) fn draw(&self, random: &mut ChaCha8Rng, otherwise: f64) -> f64 {
        let share: f64 = random.random();
        let drawn = match self {
            Self::Between(least, most) => Some(least + (most - least) * share),
            Self::OneOf(values) => {
                let place = (share * values.len() as f64) as usize;
                values.get(place.min(values.len().saturating_sub(1))).copied()
            }
        };
        drawn.filter(|value| value.is_finite()).unwrap_or(otherwise)
    }
}

/// What is seen outside an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outside {
    /// The nearest pixel of its edge.
    Edge,
    /// One value in all channels: 0 is black, 0.5 grey. It makes the map affine; gradients take its linear part.
    Value(f32),
}

/// Where the samples of a grid lie: that in row r and column c at `origin + r · down + c · across`, each [y, x] in
/// pixels whose middles are whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Grid {
    pub(super) origin: [f64; 2],
    pub(super) down: [f64; 2],
    pub(super) across: [f64; 2],
}

impl Grid {
    /// A grid of `to` [height, width] samples that covers the box of `size` [height, width] pixels whose top left
    /// corner is at `corner`, [y, x]; the corner of the image is at [0, 0]. Pixels are squares, so the first sample's
    /// middle lies half a sample inside the box.
    pub(super) fn covering(corner: [f64; 2], size: [f64; 2], to: [usize; 2]) -> Self {
        let [down, across] = [size[0] / to[0] as f64, size[1] / to[1] as f64];
        Self {
            origin: [corner[0] + 0.5 * down - 0.5, corner[1] + 0.5 * across - 0.5],
            down: [down, 0.0],
            across: [0.0, across],
        }
    }

    /// Are its rows level and its columns upright?
    fn is_upright(&self) -> bool {
        self.down[1] == 0.0 && self.across[0] == 0.0
    }

    fn place(&self, row: usize, column: usize) -> [f64; 2] {
        let along = |axis: usize| self.origin[axis] + row as f64 * self.down[axis] + column as f64 * self.across[axis];
        [along(0), along(1)]
    }
}

/// Images of one size sampled by grids of one size. Each grid makes an image of each image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sampling {
    /// Height and width of the images, each at least 1.
    from: [usize; 2],
    /// Rows and columns of the grids, each at least 1.
    to: [usize; 2],
    grids: Vec<Grid>,
    outside: Outside,
}

/// Rows of samples that one task makes at least.
const LINES: usize = 16;

/// Planes that are scattered to in one go: more would leave threads without work, fewer compute the same weights again.
const TOGETHER: usize = 2;

/// Two neighbours along an axis and their weights.
type Pair = [(usize, f32); 2];

impl Sampling {
    /// # Errors
    /// The images or the grids are empty, or the result is larger than an image may be.
    pub(super) fn new(from: [usize; 2], to: [usize; 2], grids: Vec<Grid>, outside: Outside) -> Result<Self> {
        if from.contains(&0) || to.contains(&0) {
            let message =
                format!("an image of {}×{} pixels cannot be sampled at {}×{}", from[1], from[0], to[1], to[0]);
            return Err(Error::new(Kind::Tensor, message));
        }
        if to.iter().any(|side| *side > MAX_SIDE) || to[0] * to[1] > MAX_PIXELS {
            return Err(Error::new(Kind::Tensor, format!("a transformed image of {}×{} is too large", to[1], to[0])));
        }
        Ok(Self { from, to, grids, outside })
    }

    /// The samples: `[N, C, h, w]` to `[G N, C, height, width]`, for G grids; all images of the first grid come first.
    pub(super) fn gather(&self, image: &Tensor) -> Result<Tensor> {
        let [images, channels] = stack(image, self.from)?;
        let [height, width] = self.to;
        let (size, planes) = (self.from[0] * self.from[1], images * channels);
        let shape = (self.grids.len() * images, channels, height, width);
        let looks = self.looks();
        let samples = with_values(&image.detach(), |from| {
            // each row of samples for all planes at once, which have the same pixels and weights
            let lines: Vec<Vec<f32>> = (0..looks.len() * height)
                .into_par_iter()
                .with_min_len(LINES)
                .map(|line| {
                    let mut samples = vec![0f32; planes * width];
                    let Some(look) = looks.get(line / height) else { return samples };
                    let seen = self.along(look, line % height);
                    for (from, to) in from.chunks_exact(size).zip(samples.chunks_exact_mut(width)) {
                        to.iter_mut().zip(&seen).for_each(|(to, seen)| *to = self.sample(from, *seen));
                    }
                    samples
                })
                .collect();
            let mut to = Vec::with_capacity(lines.len() * planes * width);
            for lines in lines.chunks_exact(height) {
                for plane in 0..planes {
                    lines.iter().for_each(|line| to.extend_from_slice(&line[plane * width..(plane + 1) * width]));
                }
            }
            to
        })?;
        Ok(Tensor::from_vec(samples, shape, &Device::Cpu)?)
    }

    fn sample(&self, from: &[f32], [[top, bottom], [left, right]]: [Pair; 2]) -> f32 {
        let across = |row: usize| {
            let at = row * self.from[1];
            left.1 * from[at + left.0] + right.1 * from[at + right.0]
        };
        let sum = top.1 * across(top.0) + bottom.1 * across(bottom.0);
        match self.outside {
            Outside::Edge => sum,
            Outside::Value(value) => sum + value * (1.0 - (top.1 + bottom.1) * (left.1 + right.1)),
        }
    }

    /// The adjoint of the linear part of [`gather`](Self::gather): each sample's gradient goes to the pixels that it
    /// was made of, by the same weights, in the order of the grids and their places.
    pub(super) fn scatter(&self, gradient: &Tensor) -> Result<Tensor> {
        let [stacked, channels] = stack(gradient, self.to)?;
        let grids = self.grids.len().max(1);
        if !stacked.is_multiple_of(grids) {
            let message = format!("a gradient of {stacked} images does not belong to {grids} samples of each image");
            return Err(Error::new(Kind::Tensor, message));
        }
        let ([height, width], planes) = (self.to, stacked / grids * channels);
        let size = self.from[0] * self.from[1];
        let looks = self.looks();
        let values = with_values(&gradient.detach(), |from| {
            let mut to = vec![0f32; planes * size];
            to.par_chunks_mut(TOGETHER * size).enumerate().for_each(|(group, to)| {
                for (index, look) in looks.iter().enumerate() {
                    let from = &from[(index * planes + group * TOGETHER) * height * width..];
                    for row in 0..height {
                        let seen = self.along(look, row);
                        for (to, from) in to.chunks_exact_mut(size).zip(from.chunks_exact(height * width)) {
                            for (value, [rows, [left, right]]) in from[row * width..].iter().zip(&seen) {
                                for (pixels, weight) in rows {
                                    let (at, value) = (pixels * self.from[1], weight * value);
                                    to[at + left.0] += left.1 * value;
                                    to[at + right.0] += right.1 * value;
                                }
                            }
                        }
                    }
                }
            });
            to
        })?;
        Ok(Tensor::from_vec(values, (stacked / grids, channels, self.from[0], self.from[1]), &Device::Cpu)?)
    }

    /// Each grid, and if its columns stand upright, the pixels beside each of them.
    fn looks(&self) -> Vec<(&Grid, Option<Vec<Pair>>)> {
        let columns = |grid: &Grid| {
            let pairs = (0..self.to[1]).map(|column| self.around(grid.place(0, column)[1], self.from[1]));
            grid.is_upright().then(|| pairs.collect())
        };
        self.grids.iter().map(|grid| (grid, columns(grid))).collect()
    }

    /// The rows and the columns of pixels that each sample of a row is made of.
    fn along(&self, (grid, columns): &(&Grid, Option<Vec<Pair>>), row: usize) -> Vec<[Pair; 2]> {
        if let Some(columns) = columns {
            let rows = self.around(grid.place(row, 0)[0], self.from[0]);
            return columns.iter().map(|pair| [rows, *pair]).collect();
        }
        let places = (0..self.to[1]).map(|column| grid.place(row, column));
        places.map(|[y, x]| [self.around(y, self.from[0]), self.around(x, self.from[1])]).collect()
    }

    /// The two pixels beside a place along an axis, with weights that are 0 for what lies outside.
    fn around(&self, place: f64, size: usize) -> Pair {
        if self.outside == Outside::Edge {
            let place = place.clamp(0.0, (size - 1) as f64);
            // rounded down, for it is not negative; this type of integers is the fastest
            let first = place as i32 as usize;
            let share = (place - first as f64) as f32;
            return [(first, 1.0 - share), ((first + 1).min(size - 1), share)];
        }
        if !(place > -1.0 && place < size as f64) {
            return [(0, 0.0); 2];
        }
        let next = (place + 1.0) as i32 as usize;
        let share = (place + 1.0 - next as f64) as f32;
        let before = next.checked_sub(1).map_or((0, 0.0), |before| (before, 1.0 - share));
        [before, if next < size { (next, share) } else { (0, 0.0) }]
    }
}

/// How many images and channels a tensor has, whose planes must have this height and width.
fn stack(tensor: &Tensor, size: [usize; 2]) -> Result<[usize; 2]> {
    let (images, channels, height, width) = tensor.dims4()?;
    if [height, width] == size {
        return Ok([images, channels]);
    }
    let message = format!("a transform for images of {}×{} got one of {width}×{height}", size[1], size[0]);
    Err(Error::new(Kind::Tensor, message))
}

/// The sampling that a drawn transform last made of an image, so that its adjoint knows the size it goes back to.
#[derive(Debug, Default)]
pub(super) struct Applied(Mutex<Option<Sampling>>);

impl Applied {
    /// Samples an image `[N, C, h, w]` by what `make` says for its height and width.
    pub(super) fn gather(&self, image: &Tensor, make: impl FnOnce([usize; 2]) -> Result<Sampling>) -> Result<Tensor> {
        let (_, _, height, width) = image.dims4()?;
        let sampling = make([height, width])?;
        let samples = sampling.gather(image)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sampling);
        Ok(samples)
    }

    /// The adjoint of what [`gather`](Self::gather) did last.
    pub(super) fn scatter(&self, gradient: &Tensor) -> Result<Tensor> {
        let sampling = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match sampling {
            Some(sampling) => sampling.scatter(gradient),
            None => Err(Error::new(Kind::Internal, "a transform's adjoint was asked for before it was applied")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::SeedableRng;

    use super::super::testing::{random, values};
    use super::*;

    #[test]
    fn a_grid_that_covers_the_image_by_as_many_samples_is_the_identity() {
        let image = random(&mut ChaCha8Rng::seed_from_u64(1), &[2, 3, 5, 7]);
        let grid = Grid::covering([0.0; 2], [5.0, 7.0], [5, 7]);
        for outside in [Outside::Edge, Outside::Value(0.5)] {
            let sampling = Sampling::new([5, 7], [5, 7], vec![grid], outside).unwrap();
            assert_eq!(values(&sampling.gather(&image).unwrap()), values(&image));
            assert_eq!(values(&sampling.scatter(&image).unwrap()), values(&image));
        }
    }

    #[test]
    fn samples_between_and_outside_pixels() {
        let image = Tensor::new(&[[[[1f32, 3.0], [5.0, 9.0]]]], &Device::Cpu).unwrap();
        let at = |y: f64, x: f64, outside| {
            let grid = Grid { origin: [y, x], down: [0.0; 2], across: [0.0; 2] };
            values(&Sampling::new([2, 2], [1, 1], vec![grid], outside).unwrap().gather(&image).unwrap())[0]
        };
        assert_eq!(at(0.5, 0.5, Outside::Edge), 4.5);
        assert_eq!(at(0.0, 0.25, Outside::Edge), 1.5);
        assert_eq!(at(-3.0, 7.0, Outside::Edge), 3.0);
        assert_eq!(at(-0.5, 0.0, Outside::Value(0.0)), 0.5);
        assert_eq!(at(-0.5, 0.0, Outside::Value(2.0)), 1.5);
        assert_eq!(at(-3.0, 7.0, Outside::Value(0.25)), 0.25);
    }

    #[test]
    fn several_grids_make_several_images_and_add_up_on_the_way_back() {
        let image = random(&mut ChaCha8Rng::seed_from_u64(2), &[2, 3, 4, 4]);
        let shifted = |x: f64| Grid { origin: [0.0, x], down: [1.0, 0.0], across: [0.0, 1.0] };
        let sampling = Sampling::new([4, 4], [4, 3], vec![shifted(0.0), shifted(1.0)], Outside::Edge).unwrap();
        let samples = sampling.gather(&image).unwrap();
        assert_eq!(samples.dims(), [4, 3, 4, 3]);
        assert_eq!(values(&samples.narrow(0, 2, 2).unwrap()), values(&image.narrow(3, 1, 3).unwrap()));
        let counts = values(&sampling.scatter(&samples.ones_like().unwrap()).unwrap());
        assert_eq!(counts[..4], [1.0, 2.0, 2.0, 1.0]);
    }

    #[test]
    fn amounts_stay_in_their_range_and_bad_ones_do_nothing() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut seen = [0; 3];
        for _ in 0..300 {
            let value = Amount::Between(-2.0, 3.0).draw(&mut random, 0.0);
            assert!((-2.0..=3.0).contains(&value));
            seen[Amount::OneOf(vec![0.0, 1.0, 2.0]).draw(&mut random, 9.0) as usize] += 1;
        }
        assert!(seen.iter().all(|count| *count > 70), "{seen:?}");
        assert_eq!(Amount::OneOf(vec![]).draw(&mut random, 1.0), 1.0);
        assert_eq!(Amount::Between(f64::NAN, 1.0).draw(&mut random, 7.0), 7.0);
        assert_eq!(Amount::Between(4.0, 4.0).draw(&mut random, 7.0), 4.0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let sampling = Sampling::new([4, 4], [2, 2], vec![Grid::covering([0.0; 2], [4.0; 2], [2, 2])], Outside::Edge);
        let other = random(&mut ChaCha8Rng::seed_from_u64(4), &[1, 3, 4, 5]);
        assert!(sampling.unwrap().gather(&other).unwrap_err().message().contains("5×4"));
        assert!(Sampling::new([0, 4], [2, 2], vec![], Outside::Edge).is_err());
        assert!(
            Sampling::new([4, 4], [1 << 20, 2], vec![], Outside::Edge).unwrap_err().message().contains("too large")
        );
        assert_eq!(Applied::default().scatter(&other).unwrap_err().kind(), Kind::Internal);
    }
}
