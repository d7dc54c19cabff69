//! Image quilting: a texture sewn together from blocks of a sample.

use super::matching::Windows;
use super::quilting::Quilting;
use super::{TextureOptions, picture};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::Job;
use crate::lang::{Dynamic, Options, function};

/// The blocks that a texture is sewn together from.
#[derive(Clone, Debug, Options)]
pub struct Blocks {
    /// The side of a block, in pixels; a fifth of the sample's shorter side if not given. It should hold the largest
    /// regular thing in the sample.
    #[default]
    #[range(1..)]
    pub block: Option<usize>,
    /// How many rows and columns of pixels neighbouring blocks share; a sixth of a block if not given. With 0, blocks
    /// are drawn at random and stand side by side.
    #[default]
    pub overlap: Option<usize>,
}

/// A texture sewn together from square blocks of a sample, which are cut where they differ least.
///
/// Blocks are laid from left to right and from top to bottom. Each is drawn from those of the sample whose squared
/// distance from what it overlaps is at most 1 + `tolerance` times the least one, and cut along the path through the
/// overlap with the least squared difference. Every pixel of the texture is one of the sample. Interrupted, it returns
/// the texture so far, in plain grey where there is none yet.
///
/// ```rhai
/// quilt(photo("brick").resize(128, 128), size=[200, 160], block=32, seed=1)
/// ```
#[function(source = "Efros and Freeman, Image Quilting for Texture Synthesis and Transfer, 2001")]
pub fn quilt(
    job: &Job,
    /// The sample; a cut-out is put on white.
    sample: &Image,
    #[options] blocks: &Blocks,
    #[options] options: &TextureOptions,
) -> Result<Image> {
    let size = options.size_for(sample)?;
    let sides = blocks.sides(sample)?;
    let sample = sample.flatten(WHITE);
    let windows = Windows::new(sample.channels(), sample.width(), (sides.0, sides.0));
    let windows = windows.ok_or_else(|| does_not_fit(&sample, sides.0))?;
    let mut quilting = Quilting::new(windows, sides, options.tolerance as f32, size, job.seed(options.seed));
    let progress = job.progress("quilt", quilting.blocks());
    while quilting.advance() {
        let preview = || Ok(Dynamic::from(picture(&sample, quilting.sources(), size)?));
        match progress.advance_showing(1, &preview) {
            Err(error) if error.kind() == Kind::Interrupted => break,
            outcome => outcome?,
        }
    }
    picture(&sample, quilting.sources(), size)
}

impl Blocks {
    /// The side of a block, and by how much blocks overlap.
    fn sides(&self, sample: &Image) -> Result<(usize, usize)> {
        let side = sample.width().min(sample.height());
        let block = self.block.unwrap_or((side / 5).max(2).min(side));
        if block == 0 || block > side {
            return Err(does_not_fit(sample, block));
        }
        let overlap = self.overlap.unwrap_or((block / 6).max(1).min(block - 1));
        if overlap >= block {
            let message = format!("quilt: blocks of {block} pixels cannot overlap by {overlap}");
            let hint = format!("overlap={} is the most, a sixth of `block` is usual", block - 1);
            return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("overlap"));
        }
        Ok((block, overlap))
    }
}

/// There is no such block in the sample.
fn does_not_fit(sample: &Image, block: usize) -> Error {
    let (width, height) = (sample.width(), sample.height());
    let message = format!("quilt: a sample of {width}×{height} has no blocks of {block}×{block}");
    let hint = format!("`block` is from 1 to {}", width.min(height));
    Error::new(Kind::Argument, message).with_hint(hint).at_argument("block")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::UNKNOWN;
    use super::*;
    use crate::image::{Size, photo};
    use crate::job::Interrupt;

    fn made(sample: &Image, block: usize, overlap: usize, width: usize, height: usize) -> Image {
        let options = TextureOptions { size: Some(Size { width, height }), seed: Some(5), ..Default::default() };
        let blocks = Blocks { block: Some(block), overlap: Some(overlap) };
        quilt(&Job::detached(), sample, &blocks, &options).unwrap()
    }

    /// Red, green and blue of each pixel, as bits.
    fn colors(image: &Image) -> Vec<[u32; 3]> {
        let [red, green, blue] = image.channels();
        red.iter().zip(green).zip(blue).map(|((r, g), b)| [r, g, b].map(|value| value.to_bits())).collect()
    }

    #[test]
    fn every_pixel_is_one_of_the_sample() {
        let sample = photo("coffee").unwrap().crop(300, 250, 30, 24).unwrap();
        for (block, overlap) in [(8, 2), (24, 3), (9, 8), (3, 0)] {
            let texture = made(&sample, block, overlap, 61, 45);
            assert_eq!((texture.width(), texture.height()), (61, 45));
            let known = colors(&sample);
            assert!(colors(&texture).iter().all(|color| known.contains(color)));
            assert_eq!(texture, made(&sample, block, overlap, 61, 45));
        }
        let twice = quilt(&Job::detached(), &sample, &Blocks::default(), &Default::default()).unwrap();
        assert_eq!((twice.width(), twice.height()), (60, 48));
    }

    #[test]
    fn a_plain_sample_gives_a_plain_texture() {
        let plain = Image::filled(12, 12, [0.2, 0.5, 0.9]).unwrap();
        assert_eq!(made(&plain, 5, 2, 20, 17), Image::filled(20, 17, [0.2, 0.5, 0.9]).unwrap());
        let pixel = Image::filled(1, 1, [0.3; 3]).unwrap();
        let options = TextureOptions::default();
        let texture = quilt(&Job::detached(), &pixel, &Blocks::default(), &options).unwrap();
        assert_eq!(texture, Image::filled(2, 2, [0.3; 3]).unwrap());
    }

    #[test]
    fn stripes_go_on() {
        // oblique ones, of four colours
        let value = |at: usize| ((at % 16 + at / 16) % 4) as f32 / 4.0;
        let plane: Vec<f32> = (0..256).map(value).collect();
        let sample = Image::from_planes(16, 16, plane.repeat(3), None).unwrap();
        let texture = made(&sample, 7, 2, 37, 29);
        let [red, ..] = texture.channels();
        let first = (red[0] * 4.0) as usize;
        for (at, value) in red.iter().enumerate() {
            assert_eq!(*value, ((at % 37 + at / 37 + first) % 4) as f32 / 4.0, "{at}");
        }
    }

    #[test]
    fn stopped_it_is_grey_where_no_block_is_laid() {
        let interrupt = Interrupt::never();
        interrupt.raise();
        let job = Job::detached().with_interrupt(interrupt);
        let options = TextureOptions { size: Some(Size { width: 40, height: 40 }), ..Default::default() };
        let blocks = Blocks { block: Some(8), overlap: None };
        let texture = quilt(&job, &Image::filled(15, 15, [0.0; 3]).unwrap(), &blocks, &options).unwrap();
        let count = |value: f32| texture.planes().iter().filter(|other| **other == value).count();
        assert_eq!((count(0.0), count(UNKNOWN)), (3 * 64, 3 * (1600 - 64)));
    }

    #[test]
    fn what_is_wrong_is_said_first() {
        let sample = Image::filled(10, 20, [0.0; 3]).unwrap();
        let fault = |block: Option<usize>, overlap: Option<usize>| {
            quilt(&Job::detached(), &sample, &Blocks { block, overlap }, &TextureOptions::default()).unwrap_err()
        };
        assert_eq!(fault(Some(11), None).hint(), Some("`block` is from 1 to 10"));
        assert_eq!(fault(Some(0), None).argument(), Some("block"));
        assert_eq!(fault(Some(6), Some(6)).hint(), Some("overlap=5 is the most, a sixth of `block` is usual"));
        assert_eq!(fault(None, Some(2)).argument(), Some("overlap"));
    }
}
