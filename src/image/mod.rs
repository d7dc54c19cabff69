//! Pictures as values: loading, saving, resizing, composing, and the embedded ones.

mod clouds;
mod compose;
mod convert;
mod embedded;
mod film;
mod gallery_classes;
mod load;
mod measure;
mod noise;
pub(crate) mod png;
mod resample;
mod resize;
mod save;
mod scenes;
mod size;
pub mod superpixels;

use std::fmt;
use std::sync::Arc;

use rhai::Engine;

pub use clouds::clouds;
pub use compose::{compose, compose_mask};
pub use embedded::{
    full_gallery_name, gallery, gallery_categories, gallery_category, gallery_category_names, gallery_names, photo,
    photo_names,
};
pub use film::Film;
pub use gallery_classes::gallery_class;
pub use measure::{psnr, saturated, spectrum_share, ssim, total_variation};
pub use noise::noise;
pub use resample::{Filter, resample};
pub use scenes::{Background, Cutout, Scene, SceneOptions, Scenes, Side};
pub use size::{MAX_PIXELS, MAX_SIDE, Size};

use crate::error::{Error, Kind, Result};
use crate::lang::{Extension, Provenance, function, value_type};

/// A colour: red, green and blue in `[0, 1]`.
pub type Color = [f32; 3];

/// Plain white, which a cut-out is put on wherever transparency cannot be kept.
pub const WHITE: Color = [1.0; 3];

/// An RGB picture with values in `[0, 1]`; immutable, and cheap to clone.
///
/// Its pixels are planar (all reds, then all greens, then all blues; row by row from the top), which is
/// the order a network reads them in. A cut-out also has an alpha plane; its colours are not
/// premultiplied by it.
#[derive(Clone)]
pub struct Image {
    width: usize,
    height: usize,
    planes: Arc<Vec<f32>>,
    alpha: Option<Arc<Vec<f32>>>,
    provenance: Provenance,
}

impl Image {
    /// Whether it is the very same image.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.planes, &other.planes) && self.width == other.width
    }

    /// An image from `3 * width * height` planar values and, for a cut-out, `width * height` of alpha.
    ///
    /// Values outside `[0, 1]` are clamped; NaN and infinities are refused.
    pub fn from_planes(width: usize, height: usize, mut planes: Vec<f32>, alpha: Option<Vec<f32>>) -> Result<Self> {
        size::check(width, height)?;
        check_values("the planes", planes.len(), 3 * width * height, &planes)?;
        if let Some(alpha) = &alpha {
            check_values("the alpha plane", alpha.len(), width * height, alpha)?;
        }
        clamp(&mut planes);
        // an alpha plane that hides nothing would only make everything after it slower
        let alpha = alpha.filter(|alpha| alpha.iter().any(|&a| a < 1.0)).map(|mut alpha| {
            clamp(&mut alpha);
            Arc::new(alpha)
        });
        Ok(Self { width, height, planes: Arc::new(planes), alpha, provenance: None })
    }

    /// An image of one colour.
    pub fn filled(width: usize, height: usize, color: Color) -> Result<Self> {
        size::check(width, height)?;
        let planes = color.iter().flat_map(|&c| std::iter::repeat_n(c, width * height)).collect();
        Self::from_planes(width, height, planes, None)
    }

    /// Width in pixels, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels, at least 1.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The colours in `[0, 1]`: `3 * width * height` values, plane after plane.
    pub fn planes(&self) -> &[f32] {
        &self.planes
    }

    /// How opaque each pixel is, in `[0, 1]`, if this is a cut-out.
    pub fn alpha(&self) -> Option<&[f32]> {
        self.alpha.as_deref().map(Vec::as_slice)
    }

    /// How this image was made, if it is known: the call, its arguments and the seed.
    pub fn provenance(&self) -> Option<&str> {
        self.provenance.as_deref()
    }

    /// The same image, with a text that says how it was made; saved PNGs carry it.
    #[must_use]
    pub fn with_provenance(mut self, provenance: impl Into<Arc<str>>) -> Self {
        self.provenance = Some(provenance.into());
        self
    }

    /// `3 * width * height` bytes, pixel after pixel; a cut-out is put on white.
    pub fn to_rgb8(&self) -> Vec<u8> {
        let flat = self.flatten(WHITE);
        let [red, green, blue] = flat.channels();
        let mut bytes = Vec::with_capacity(3 * red.len());
        for ((&r, &g), &b) in red.iter().zip(green).zip(blue) {
            bytes.extend([to_byte(r), to_byte(g), to_byte(b)]);
        }
        bytes
    }

    /// The red, green and blue planes.
    pub fn channels(&self) -> [&[f32]; 3] {
        let (red, rest) = self.planes.split_at(self.width * self.height);
        let (green, blue) = rest.split_at(self.width * self.height);
        [red, green, blue]
    }

    /// The planes put on a plain colour; the same image if it is no cut-out.
    #[must_use]
    pub fn flatten(&self, background: Color) -> Self {
        let Some(alpha) = &self.alpha else {
            return self.clone();
        };
        let mut planes = Vec::with_capacity(self.planes.len());
        for (plane, under) in self.channels().into_iter().zip(background) {
            planes.extend(plane.iter().zip(alpha.iter()).map(|(&c, &a)| c * a + under.clamp(0.0, 1.0) * (1.0 - a)));
        }
        Self { planes: Arc::new(planes), alpha: None, ..self.clone() }
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cutout = if self.alpha.is_some() { ", cut-out" } else { "" };
        write!(f, "Image({}×{}{cutout})", self.width, self.height)
    }
}

impl PartialEq for Image {
    /// The same pixels, however they were made.
    fn eq(&self, other: &Self) -> bool {
        self.width == other.width
            && self.height == other.height
            && self.planes == other.planes
            && self.alpha == other.alpha
    }
}

fn check_values(what: &str, got: usize, wanted: usize, values: &[f32]) -> Result<()> {
    if got != wanted {
        return Err(Error::new(Kind::Tensor, format!("{what} of this image need {wanted} values, got {got}")));
    }
    let bad = values.iter().filter(|v| !v.is_finite()).count();
    if bad > 0 {
        return Err(Error::new(Kind::Tensor, format!("{bad} of {got} values of the image are NaN or infinite")));
    }
    Ok(())
}

fn clamp(values: &mut [f32]) {
    for value in values {
        *value = value.clamp(0.0, 1.0);
    }
}

fn to_byte(value: f32) -> u8 {
    // saturating: `as` clamps to 0..=255
    (value * 255.0).round() as u8
}

value_type!(
    Image,
    "image",
    "an image",
    "A picture: red, green and blue from 0 to 1; a cut-out also has transparency.",
    provenance
);

inventory::submit! { Extension(comparisons) }

/// `a == b` and `a != b`: the same pixels, however they were made.
fn comparisons(engine: &mut Engine) {
    engine.register_fn("==", |a: Image, b: Image| a == b);
    engine.register_fn("!=", |a: Image, b: Image| a != b);
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cutout = if self.alpha.is_some() { "cut-out " } else { "" };
        write!(f, "{cutout}image {}×{}", self.width, self.height)
    }
}

/// The width of an image in pixels.
///
/// ```rhai
/// photo("china").width
/// ```
#[function(property, name = "width")]
fn width_word(
    /// The image.
    image: Image,
) -> Result<usize> {
    Ok(image.width)
}

/// The height of an image in pixels.
///
/// ```rhai
/// photo("china").height
/// ```
#[function(property, name = "height")]
fn height_word(
    /// The image.
    image: Image,
) -> Result<usize> {
    Ok(image.height)
}

/// An image of one colour.
///
/// ```rhai
/// plain(64, 64, color=[0.2, 0.5, 0.2])
/// ```
#[function]
fn plain(
    /// Width in pixels.
    #[range(1..)]
    width: usize,
    /// Height in pixels.
    #[range(1..)]
    height: usize,
    /// Red, green and blue from 0 to 1.
    #[default([0.5, 0.5, 0.5])]
    color: Vec<f64>,
) -> Result<Image> {
    match color.as_slice() {
        [red, green, blue] => Image::filled(width, height, [*red as f32, *green as f32, *blue as f32]),
        _ => Err(Error::new(Kind::Argument, format!("plain: a colour has 3 numbers, not {}", color.len()))
            .at_argument("color")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_clamped() {
        let image = Image::from_planes(1, 1, vec![-1.0, 0.5, 2.0], None).unwrap();
        assert_eq!(image.planes(), [0.0, 0.5, 1.0]);
        assert_eq!(image.to_rgb8(), [0, 128, 255]);
        let error = Image::from_planes(2, 2, vec![0.0; 11], None).unwrap_err();
        assert_eq!(error.message(), "the planes of this image need 12 values, got 11");
        let error = Image::from_planes(1, 1, vec![0.0, f32::NAN, 0.0], None).unwrap_err();
        assert_eq!(error.message(), "1 of 3 values of the image are NaN or infinite");
        assert!(Image::from_planes(0, 4, vec![], None).is_err());
        assert!(Image::filled(1 << 40, 1 << 40, WHITE).is_err());
    }

    #[test]
    fn a_cut_out_is_flattened_onto_a_colour() {
        let image = Image::from_planes(2, 1, vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0], Some(vec![1.0, 0.25])).unwrap();
        assert_eq!(image.flatten([0.0, 1.0, 0.0]).planes(), [1.0, 0.25, 0.0, 0.75, 0.0, 0.0]);
        assert_eq!(image.to_rgb8(), [255, 0, 0, 255, 191, 191]);
        // an alpha plane that hides nothing is dropped
        let opaque = Image::from_planes(1, 1, vec![0.0; 3], Some(vec![1.0])).unwrap();
        assert!(opaque.alpha().is_none());
    }
}
