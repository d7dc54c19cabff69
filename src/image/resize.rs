//! Other sizes and parts of an image.

use super::resample::{Filter, resample, resample_cover, resample_middle};
use super::{Color, Image, size};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// How far `zoom` goes at most.
const MAX_ZOOM: f64 = 100.0;

impl Image {
    /// The whole image at `width × height` pixels: bicubic, antialiased when it shrinks.
    pub fn resize(&self, width: usize, height: usize) -> Result<Self> {
        self.map_planes((width, height), |plane| {
            resample(plane, (self.width, self.height), (width, height), Filter::Bicubic)
        })
    }

    /// The part of `width × height` pixels whose top left corner is at (`x`, `y`).
    pub fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Result<Self> {
        size::check(width, height)?;
        check_extent("x", x, "width", width, self.width)?;
        check_extent("y", y, "height", height, self.height)?;
        self.map_planes((width, height), |plane| {
            Ok(plane
                .chunks_exact(self.width)
                .skip(y)
                .take(height)
                .flat_map(|row| row.iter().skip(x).take(width).copied())
                .collect())
        })
    }

    /// The middle of the image, 1 / `factor` of each side, enlarged to the image's own size: bicubic. Parts of pixels count, so
    /// that repeated small zooms move evenly.
    ///
    /// # Errors
    /// `factor` is not from 1 to 100.
    pub fn zoom(&self, factor: f64) -> Result<Self> {
        if !(1.0..=MAX_ZOOM).contains(&factor) {
            let message = format!("zoom: `factor` must be from 1 to {MAX_ZOOM}, not {factor}");
            return Err(Error::new(Kind::Argument, message).at_argument("factor"));
        }
        if factor == 1.0 {
            return Ok(self.clone());
        }
        let size = (self.width, self.height);
        self.map_planes(size, |plane| resample_middle(plane, size, factor))
    }

    /// `width × height` pixels, filled: resized with its proportions kept, and cropped around the centre where it is
    /// longer than that.
    pub fn cover(&self, width: usize, height: usize) -> Result<Self> {
        self.map_planes((width, height), |plane| resample_cover(plane, (self.width, self.height), (width, height)))
    }

    /// `width × height` pixels that hold the whole image: a cut-out is put on `background`, and the space beside or
    /// above the image is filled with it.
    pub fn letterbox(&self, width: usize, height: usize, background: Color) -> Result<Self> {
        size::check(width, height)?;
        let scale = (width as f32 / self.width as f32).min(height as f32 / self.height as f32);
        let fit = |length: usize, most: usize| ((length as f32 * scale).round() as usize).clamp(1, most);
        let inner = self.flatten(background).resize(fit(self.width, width), fit(self.height, height))?;
        let (left, top) = ((width - inner.width) / 2, (height - inner.height) / 2);
        let mut planes = Vec::with_capacity(3 * width * height);
        for (plane, color) in inner.channels().into_iter().zip(background) {
            let mut canvas = vec![color; width * height];
            let rows = canvas.chunks_exact_mut(width).skip(top);
            for (row, line) in rows.zip(plane.chunks_exact(inner.width)) {
                for (to, &from) in row.iter_mut().skip(left).zip(line) {
                    *to = from;
                }
            }
            planes.append(&mut canvas);
        }
        let boxed = Self::from_planes(width, height, planes, None)?;
        Ok(Self { provenance: self.provenance.clone(), ..boxed })
    }

    /// The same image with each plane put through `f`, which gives planes of `size` (width, height).
    ///
    /// Colours are premultiplied by alpha on the way, so that what lies invisible outside a cut-out does
    /// not bleed into its edge.
    fn map_planes(&self, size: (usize, usize), f: impl Fn(&[f32]) -> Result<Vec<f32>>) -> Result<Self> {
        let mut planes = Vec::with_capacity(3 * size.0.saturating_mul(size.1).min(size::MAX_PIXELS));
        let alpha = self.alpha().map(&f).transpose()?;
        for plane in self.channels() {
            match (self.alpha(), &alpha) {
                (Some(before), Some(after)) => {
                    let premultiplied: Vec<f32> = plane.iter().zip(before).map(|(c, a)| c * a).collect();
                    let mapped = f(&premultiplied)?;
                    planes.extend(mapped.iter().zip(after).map(|(&c, &a)| if a > 1e-4 { c / a } else { 0.0 }));
                }
                _ => planes.extend(f(plane)?),
            }
        }
        let mapped = Self::from_planes(size.0, size.1, planes, alpha)?;
        Ok(Self { provenance: self.provenance.clone(), ..mapped })
    }
}

fn check_extent(start_name: &str, start: usize, name: &str, length: usize, available: usize) -> Result<()> {
    if start >= available {
        let message = format!("{start_name}={start} lies outside the image, whose {name} is {available}");
        return Err(Error::new(Kind::Argument, message).at_argument(start_name));
    }
    if length > available - start {
        let message =
            format!("{start_name}={start} and {name}={length} reach beyond the image's {name} of {available}");
        return Err(Error::new(Kind::Argument, message)
            .with_hint(format!("at most {name}={} fits there", available - start))
            .at_argument(name));
    }
    Ok(())
}

/// An image in another size.
///
/// ```rhai
/// photo("china").resize(320, 214)
/// ```
#[function(name = "resize")]
fn resize_word(
    /// The image.
    image: Image,
    /// The new width in pixels.
    #[range(1..)]
    width: usize,
    /// The new height in pixels.
    #[range(1..)]
    height: usize,
) -> Result<Image> {
    image.resize(width, height).map_err(|error| error.at_argument("width"))
}

/// A part of an image.
///
/// ```rhai
/// photo("china").crop(100, 50, 200, 200)
/// ```
#[function(name = "crop")]
fn crop_word(
    /// The image.
    image: Image,
    /// The first column.
    x: usize,
    /// The first row.
    y: usize,
    /// How many columns.
    width: usize,
    /// How many rows.
    height: usize,
) -> Result<Image> {
    image.crop(x, y, width, height).map_err(|error| error.at_argument("x"))
}

/// The middle of an image, enlarged to the size of the image.
///
/// With `factor` 1.05, 1 / 1.05 of each side is kept. Between the frames of a film it makes a dream move: the next one starts from the
/// enlarged last one.
///
/// ```rhai
/// photo("china").resize(160, 107).zoom(1.05)
/// ```
#[function(name = "zoom")]
fn zoom_word(
    /// The image.
    image: &Image,
    /// How much larger things become.
    #[range(1.0..=100.0)]
    factor: f64,
) -> Result<Image> {
    image.zoom(factor)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::image::WHITE;

    /// A ramp: red grows to the right, green downwards.
    fn ramp(width: usize, height: usize) -> Image {
        let red = (0..height).flat_map(|_| (0..width).map(move |x| x as f32 / width as f32));
        let green = (0..height).flat_map(|y| (0..width).map(move |_| y as f32 / height as f32));
        let blue = std::iter::repeat_n(0.0, width * height);
        Image::from_planes(width, height, red.chain(green).chain(blue).collect(), None).unwrap()
    }

    #[test]
    fn resizing_keeps_the_mean() {
        let image = ramp(64, 48);
        let mean = |i: &Image| i.planes().iter().sum::<f32>() / i.planes().len() as f32;
        for (width, height) in [(16, 12), (7, 31), (200, 150)] {
            let resized = image.resize(width, height).unwrap();
            assert_eq!((resized.width(), resized.height()), (width, height));
            assert!((mean(&resized) - mean(&image)).abs() < 2e-3);
        }
        assert_eq!(image.resize(64, 48).unwrap(), image);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let image = ramp(4, 4);
        assert_eq!(image.resize(0, 3).unwrap_err().argument(), Some("width"));
        assert!(image.resize(50_000, 50_000).unwrap_err().message().contains("at most 100"));
        assert!(image.resize(usize::MAX, 2).unwrap_err().message().contains("65535"));
        assert!(image.letterbox(usize::MAX, 1, WHITE).is_err());
        assert!(image.cover(0, 1).is_err());
    }

    #[test]
    fn a_crop_is_that_part() {
        let image = ramp(8, 4);
        let part = image.crop(2, 1, 3, 2).unwrap();
        assert_eq!(part.channels()[0], [2.0 / 8.0, 3.0 / 8.0, 4.0 / 8.0, 2.0 / 8.0, 3.0 / 8.0, 4.0 / 8.0]);
        assert_eq!(part.channels()[1], [0.25, 0.25, 0.25, 0.5, 0.5, 0.5]);
        assert_eq!(image.crop(8, 0, 1, 1).unwrap_err().argument(), Some("x"));
        let error = image.crop(6, 0, 3, 1).unwrap_err();
        assert_eq!(error.argument(), Some("width"));
        assert_eq!(error.hint(), Some("at most width=2 fits there"));
        assert!(image.crop(1, 0, usize::MAX, 1).is_err());
    }

    #[test]
    fn cover_fills_and_letterbox_holds_everything() {
        let image = Image::filled(40, 20, [1.0, 0.0, 0.0]).unwrap();
        let covered = image.cover(10, 10).unwrap();
        assert!(covered.channels()[0].iter().all(|&r| r == 1.0));
        let boxed = image.letterbox(10, 10, [0.0, 0.0, 1.0]).unwrap();
        assert_eq!((boxed.width(), boxed.height()), (10, 10));
        assert_eq!(boxed.channels()[0].iter().filter(|&&r| r == 1.0).count(), 50);
        assert_eq!(boxed.channels()[2].iter().filter(|&&b| b == 1.0).count(), 50);
        let wide = image.letterbox(60, 10, [0.0, 0.0, 1.0]).unwrap();
        let reds: Vec<usize> = (0..600).filter(|i| wide.channels()[0][*i] == 1.0).map(|i| i % 60).collect();
        assert_eq!((reds.len(), reds[0], reds[199]), (200, 20, 39));
        let tall = image.cover(5, 20).unwrap();
        assert_eq!((tall.width(), tall.height()), (5, 20));
        // the middle of the ramp stays in the middle
        let red = ramp(90, 30).cover(30, 30).unwrap().channels()[0].to_vec();
        assert!((red[0] - 30.0 / 90.0).abs() < 0.01 && (red[29] - 59.0 / 90.0).abs() < 0.01);
    }

    #[test]
    fn a_zoom_enlarges_the_middle() {
        let image = ramp(64, 48);
        let zoomed = image.zoom(2.0).unwrap();
        assert_eq!((zoomed.width(), zoomed.height()), (64, 48));
        // a ramp of half the slope with the same middle, but for what the filter rounds at the edge
        for (place, value) in zoomed.channels()[0].iter().enumerate() {
            let x = 32.0 + ((place % 64) as f32 + 0.5 - 32.0) / 2.0 - 0.5;
            assert!((value - x / 64.0).abs() < 1e-4, "{place}: {value}");
        }
        // as the part of whole pixels, seen through the same filter
        let middle = image.crop(16, 12, 32, 24).unwrap().resize(64, 48).unwrap();
        let inside = |image: &Image| image.crop(8, 8, 48, 32).unwrap();
        let (one, other) = (inside(&zoomed), inside(&middle));
        assert!(one.planes().iter().zip(other.planes()).all(|(a, b)| (a - b).abs() < 1e-5));
        // also by parts of a pixel
        let little = image.zoom(1.01).unwrap();
        assert!((little.channels()[0][64 * 20] - (32.0 - 31.5 / 1.01 - 0.5) / 64.0).abs() < 1e-3);
        assert_eq!(image.zoom(1.0).unwrap(), image);
        assert_eq!(Image::filled(1, 1, WHITE).unwrap().zoom(100.0).unwrap(), Image::filled(1, 1, WHITE).unwrap());
        for factor in [0.9, 101.0, f64::NAN] {
            assert_eq!(image.zoom(factor).unwrap_err().argument(), Some("factor"));
        }
    }

    #[test]
    fn hidden_colours_do_not_bleed_into_the_edge() {
        // white where opaque, black where transparent
        let alpha: Vec<f32> = (0..64).map(|i| if i % 8 < 4 { 1.0 } else { 0.0 }).collect();
        let plane = alpha.clone();
        let image = Image::from_planes(8, 8, [plane.clone(), plane.clone(), plane].concat(), Some(alpha)).unwrap();
        let large = image.resize(19, 19).unwrap();
        let visible = large.planes().iter().zip(large.alpha().unwrap().iter().cycle()).filter(|(_, a)| **a > 0.05);
        assert!(visible.clone().count() > 100);
        assert!(visible.map(|(c, _)| *c).fold(1.0, f32::min) > 0.98);
    }
}
