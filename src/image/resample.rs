//! Resampling one plane of numbers to another size.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::F32;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

use super::size;
use crate::error::{Error, Kind, Result};

/// How values between the given ones are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Bicubic (Catmull–Rom, a = −0.5, as Pillow's): sharp, and may overshoot a little at edges.
    Bicubic,
    /// Bilinear: never leaves the range of its neighbours.
    Bilinear,
}

/// A plane of `width × height` values at another size, antialiased when it shrinks.
///
/// `from` and `to` are (width, height) in pixels; both are checked.
pub fn resample(plane: &[f32], from: (usize, usize), to: (usize, usize), filter: Filter) -> Result<Vec<f32>> {
    run(plane, from, to, options(filter))
}

/// The largest part of the plane with the shape of `to`, around its centre, at that size.
pub(super) fn resample_cover(plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Result<Vec<f32>> {
    run(plane, from, to, options(Filter::Bicubic).fit_into_destination(Some((0.5, 0.5))))
}

/// The middle of the plane, 1 / `factor` of each side, at the plane's own size.
pub(super) fn resample_middle(plane: &[f32], size: (usize, usize), factor: f64) -> Result<Vec<f32>> {
    let part = |side: usize| side as f64 / factor;
    let start = |side: usize| (side as f64 - part(side)) / 2.0;
    let options = options(Filter::Bicubic).crop(start(size.0), start(size.1), part(size.0), part(size.1));
    convolve(plane, size, size, options)
}

fn options(filter: Filter) -> ResizeOptions {
    let filter = match filter {
        Filter::Bicubic => FilterType::CatmullRom,
        Filter::Bilinear => FilterType::Bilinear,
    };
    ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter))
}

fn run(plane: &[f32], from: (usize, usize), to: (usize, usize), options: ResizeOptions) -> Result<Vec<f32>> {
    size::check(from.0, from.1)?;
    size::check(to.0, to.1)?;
    if from == to {
        return Ok(plane.to_vec());
    }
    convolve(plane, from, to, options)
}

fn convolve(plane: &[f32], from: (usize, usize), to: (usize, usize), options: ResizeOptions) -> Result<Vec<f32>> {
    let pixels: Vec<F32> = plane.iter().map(|&v| F32::new(v)).collect();
    // the sizes fit u32: `check` allows no side above 65,535
    let source = TypedImageRef::new(from.0 as u32, from.1 as u32, &pixels)
        .map_err(|_| Error::new(Kind::Internal, "a plane whose length is not its width times its height"))?;
    let mut result: TypedImage<'_, F32> = TypedImage::new(to.0 as u32, to.1 as u32);
    Resizer::new()
        .resize_typed(&source, &mut result, &options)
        .map_err(|error| Error::new(Kind::Internal, format!("resizing: {error}")))?;
    Ok(result.pixels().iter().map(|p| p.0).collect())
}
