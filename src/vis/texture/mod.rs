//! Textures made of a sample's own pixels, without a network: what networks' textures are compared with.

mod cut;
mod efros_leung;
mod growth;
mod matching;
mod quilt;
mod quilting;

pub use efros_leung::efros_leung;
pub use quilt::{Blocks, quilt};

use crate::error::Result;
use crate::image::{Image, Size};
use crate::lang::Options;

/// What a texture that was stopped has where it has no pixels yet.
const UNKNOWN: f32 = 0.5;

/// How a texture is made of a sample.
#[derive(Clone, Debug, Options)]
pub struct TextureOptions {
    /// The size of the texture in pixels: a side, or [width, height]; twice the sample's if not given.
    #[default]
    pub size: Option<Size>,
    /// How much worse than the best match another may be that is drawn: 0.1 is 10 %. More makes the texture less of a
    /// copy, and its seams plainer.
    #[default(0.1)]
    #[range(0.0..=10.0)]
    pub tolerance: f64,
    /// The seed of what is drawn; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
}

impl TextureOptions {
    /// Width and height of the texture.
    fn size_for(&self, sample: &Image) -> Result<(usize, usize)> {
        let twice = Size { width: 2 * sample.width(), height: 2 * sample.height() };
        let size = self.size.unwrap_or(twice);
        size.check()?;
        Ok((size.width, size.height))
    }
}

/// The image that has these pixels of the sample, row by row, and plain grey where there is none.
fn picture(sample: &Image, sources: &[Option<u32>], (width, height): (usize, usize)) -> Result<Image> {
    let value = |plane: &[f32], source: &Option<u32>| {
        source.and_then(|source| plane.get(source as usize).copied()).unwrap_or(UNKNOWN)
    };
    let channels = sample.channels().into_iter();
    let planes = channels.flat_map(|plane| sources.iter().map(move |source| value(plane, source))).collect();
    Image::from_planes(width, height, planes, None)
}
