//! Pictures and planes of numbers at the size they are looked at.

use super::raster::Raster;
use crate::error::Result;
use crate::image::{Filter, Image, WHITE, resample};

/// Below this, a picture is shown with each pixel as a square: there is nothing to smooth.
const TINY: usize = 64;

/// A picture at the size it is looked at: small ones enlarged, wide ones shrunk to `room` pixels.
pub fn show_picture(image: &Image, room: f32) -> Result<Raster> {
    let (width, height) = shown_size(image.width(), image.height(), room);
    if image.width().max(image.height()) <= TINY && width % image.width() == 0 {
        return Ok(Raster::from_image(image).enlarge(width / image.width()));
    }
    // a cut-out is put on white first: its own edge is then resized with what it is seen on
    Ok(Raster::from_image(&image.flatten(WHITE).resize(width, height)?))
}

/// How large a picture of this size is shown: about 450 pixels, or as it is if that is more and fits.
pub fn shown_size(width: usize, height: usize, room: f32) -> (usize, usize) {
    const COMFORTABLE: f32 = 454.0;
    let longest = width.max(height) as f32;
    let most = (room / width as f32).min(900.0 / longest);
    let mut factor = (COMFORTABLE / longest).max(1.0).min(most);
    if width.max(height) <= TINY {
        // whole pixels, and no giant squares for a picture of a few
        factor = factor.min(24.0).floor().max(1.0).min(most);
    }
    let scaled = |length: usize| ((length as f32 * factor).round() as usize).max(1);
    (scaled(width), scaled(height))
}

/// A plane of numbers at another size, smooth, and within its own range.
pub fn smooth(values: &[f32], from: (usize, usize), to: (usize, usize)) -> Result<Vec<f32>> {
    if to.0 < from.0 || to.1 < from.1 {
        return resample(values, from, to, Filter::Bilinear);
    }
    resample(values, from, to, Filter::Bicubic)
}
