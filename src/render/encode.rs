//! Figures as files.

use super::raster::Raster;
use crate::error::Result;
use crate::image::png;

/// A PNG with texts in it, such as `("Description", "occlusion(…)")`.
pub fn to_png(raster: &Raster, texts: &[(&str, &str)]) -> Result<Vec<u8>> {
    png::encode(raster.width(), raster.height(), false, raster.pixels(), texts)
}
