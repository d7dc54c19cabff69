//! An image that is made from coarse to fine: each size is a descent that starts from what the one before has made.

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::vis::ascent::Ended;
use crate::vis::descent::Descent;

/// Sizes, and how far the image has come: interrupted, it can be looked at, and go on as if nothing had happened.
#[derive(Clone, Debug)]
pub struct Stages {
    /// Width and height of each, from small to large.
    sizes: Vec<(usize, usize)>,
    /// How many steps each has.
    steps: usize,
    at: usize,
    /// What has been made so far, at the size of the latest descent.
    image: Option<Tensor>,
    descent: Option<Descent>,
}

impl Stages {
    /// The sizes of an image of [width, height], `octaves` of them, each half as large as the next.
    pub fn new(size: [usize; 2], octaves: usize, steps: usize) -> Self {
        let sizes = (0..octaves).rev().map(|octave| shrunk(size, octave)).collect();
        Self { sizes, steps, at: 0, image: None, descent: None }
    }

    /// Width and height of each, from small to large.
    pub fn sizes(&self) -> &[(usize, usize)] {
        &self.sizes
    }

    /// Goes on until the image is finished, or interrupted. `begin` makes the descent of the `n`th size, from what the one
    /// before has made, at its size: `[1, 3, h, w]`.
    ///
    /// # Errors
    /// A fault of the network's run. An interrupt is no error.
    pub fn advance(
        &mut self,
        job: &Job,
        label: &str,
        begin: &dyn Fn(usize, Option<Tensor>) -> Result<Descent>,
    ) -> Result<Ended> {
        let begun = self.descent.as_ref().map_or(0, |descent| self.steps.saturating_sub(descent.left()));
        let left = (self.sizes.len() - self.at.min(self.sizes.len())) * self.steps;
        let progress = job.progress(label, left.saturating_sub(begun));
        while let Some(&(width, height)) = self.sizes.get(self.at) {
            let mut descent = match self.descent.take() {
                Some(descent) => descent,
                None => {
                    let start = self.image.as_ref().map(|image| resized(image, width, height)).transpose()?;
                    match begin(self.at, start) {
                        Err(error) if error.kind() == Kind::Interrupted => return Ok(Ended::Interrupted),
                        descent => descent?,
                    }
                }
            };
            let ended = descent.run(job, &progress)?;
            self.image = Some(descent.image()?);
            if ended == Ended::Interrupted {
                self.descent = Some(descent);
                return Ok(ended);
            }
            self.at += 1;
        }
        Ok(Ended::Finished)
    }

    /// The image so far, at full size; none if nothing has been made yet.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn image(&self) -> Result<Option<Tensor>> {
        let Some(&(width, height)) = self.sizes.last() else {
            return Err(Error::new(Kind::Internal, "an image of no sizes"));
        };
        self.image.as_ref().map(|image| resized(image, width, height)).transpose()
    }
}

/// A length, halved so many times.
fn shrunk([width, height]: [usize; 2], octave: usize) -> (usize, usize) {
    let side = |length: usize| ((length as f64 / f64::powi(2.0, octave as i32)).round() as usize).max(1);
    (side(width), side(height))
}

/// An image at the size that goes with one of `octaves` sizes.
///
/// # Errors
/// It cannot be resized.
pub fn at_octave(image: &Image, octaves: usize, octave: usize) -> Result<Image> {
    let (width, height) = shrunk([image.width(), image.height()], octaves.saturating_sub(octave + 1));
    image.resize(width, height)
}

/// How often a shorter side can be halved without falling below `least` pixels; at least one size, at most `most`.
pub fn usual_octaves(shorter: usize, least: usize, most: usize) -> usize {
    (1..most).take_while(|octaves| shorter >> octaves >= least).count() + 1
}

fn resized(image: &Tensor, width: usize, height: usize) -> Result<Tensor> {
    let (_, _, own_height, own_width) = image.dims4()?;
    if (own_width, own_height) == (width, height) {
        return Ok(image.clone());
    }
    Image::from_tensor(image)?.resize(width, height)?.tensor()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::job::Interrupt;
    use crate::tensor::{map, testing::values, zip};

    #[test]
    fn sizes_are_halved() {
        let stages = Stages::new([101, 64], 3, 5);
        assert_eq!(stages.sizes(), [(25, 16), (51, 32), (101, 64)]);
        assert_eq!([64, 127, 128, 300, 2000].map(|side| usual_octaves(side, 64, 4)), [1, 1, 2, 3, 4]);
    }

    /// Each size brightens what the one before has made.
    fn brighter(interrupt: Option<(Interrupt, usize)>) -> impl Fn(usize, Option<Tensor>) -> Result<Descent> {
        let looks = Rc::new(std::cell::Cell::new(0));
        move |_, start| {
            let start = match start {
                Some(start) => start,
                None => Image::filled(6, 4, [0.2; 3])?.tensor()?,
            };
            let goal = map(&start, |value| value + 0.2)?;
            let (interrupt, looks) = (interrupt.clone(), Rc::clone(&looks));
            let loss = move |job: &Job, image: &Tensor| {
                looks.set(looks.get() + 1);
                if let Some((interrupt, every)) = &interrupt
                    && looks.get() % every == 0
                {
                    interrupt.raise();
                }
                job.interrupt().check()?;
                let away = zip(image, &goal, |a, b| a - b)?;
                let value = values(&away).iter().map(|v| f64::from(*v).powi(2)).sum();
                Ok((value, map(&away, |v| 2.0 * v)?))
            };
            Descent::by_lbfgs(Rc::new(loss), &start, 8)
        }
    }

    #[test]
    fn each_size_goes_on_from_the_one_before_also_after_interrupts() {
        let mut whole = Stages::new([24, 16], 3, 8);
        assert_eq!(whole.advance(&Job::detached(), "test", &brighter(None)).unwrap(), Ended::Finished);
        let image = whole.image().unwrap().unwrap();
        assert_eq!(image.dims(), [1, 3, 16, 24]);
        assert!(values(&image).iter().all(|value| (value - 0.8).abs() < 1e-3));

        let interrupt = Interrupt::default();
        let mut parts = Stages::new([24, 16], 3, 8);
        let begin = brighter(Some((interrupt.clone(), 4)));
        let mut stops = 0;
        loop {
            interrupt.clear();
            let job = Job::detached().with_interrupt(interrupt.clone());
            if parts.advance(&job, "test", &begin).unwrap() == Ended::Finished {
                break;
            }
            stops += 1;
            assert!(stops < 50);
            if let Some(image) = parts.image().unwrap() {
                assert_eq!(image.dims(), [1, 3, 16, 24]);
            }
        }
        assert!(stops > 0);
        assert_eq!(values(&parts.image().unwrap().unwrap()), values(&image));
    }
}
