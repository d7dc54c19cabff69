//! A bitmap, and the three ways of painting on it.

use super::style::Rgb;
use crate::error::Result;
use crate::image::Image;

/// 8-bit RGB pixels, row by row from the top.
#[derive(Clone, PartialEq, Eq)]
pub struct Raster {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Raster {
    /// A raster of one colour.
    pub fn new(width: usize, height: usize, color: Rgb) -> Self {
        Self { width, height, pixels: color.repeat(width * height) }
    }

    /// A raster whose pixel in column `x` and row `y` is `color(x, y)`.
    pub fn from_fn(width: usize, height: usize, mut color: impl FnMut(usize, usize) -> Rgb) -> Self {
        let mut pixels = Vec::with_capacity(3 * width * height);
        for y in 0..height {
            for x in 0..width {
                pixels.extend(color(x, y));
            }
        }
        Self { width, height, pixels }
    }

    /// The picture's pixels as they are; a cut-out is put on white.
    pub fn from_image(image: &Image) -> Self {
        Self { width: image.width(), height: image.height(), pixels: image.to_rgb8() }
    }

    /// The same as an image.
    ///
    /// # Errors
    /// It has more pixels than an image may have.
    pub fn to_image(&self) -> Result<Image> {
        let plane = |channel: usize| {
            self.pixels.iter().skip(channel).step_by(3).map(|byte| f32::from(*byte) / 255.0).collect::<Vec<f32>>()
        };
        Image::from_planes(self.width, self.height, [plane(0), plane(1), plane(2)].concat(), None)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// `3 * width * height` bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixel in column `x` and row `y`, if there is one.
    pub fn pixel(&self, x: usize, y: usize) -> Option<Rgb> {
        if x >= self.width {
            return None;
        }
        self.pixels.get(3 * (y * self.width + x)..)?.first_chunk().copied()
    }

    /// The raster made small enough for a box, keeping its shape; the same if it fits already.
    pub fn shrink_to(&self, width: usize, height: usize) -> Result<Self> {
        let factor = (width as f32 / self.width as f32).min(height as f32 / self.height as f32);
        if factor >= 1.0 {
            return Ok(self.clone());
        }
        let scaled = |length: usize| ((length as f32 * factor).round() as usize).max(1);
        self.resize(scaled(self.width), scaled(self.height))
    }

    /// The raster at another size, its pixels averaged or blended.
    pub fn resize(&self, width: usize, height: usize) -> Result<Self> {
        let plane = |channel: usize| self.pixels.iter().skip(channel).step_by(3).map(|&v| f32::from(v) / 255.0);
        let planes = (0..3).flat_map(plane).collect();
        let image = Image::from_planes(self.width, self.height, planes, None)?;
        Ok(Self::from_image(&image.resize(width, height)?))
    }

    /// Each pixel as a square of `factor` pixels.
    #[must_use]
    pub fn enlarge(&self, factor: usize) -> Self {
        Self::from_fn(self.width * factor, self.height * factor, |x, y| {
            self.pixel(x / factor, y / factor).unwrap_or_default()
        })
    }

    /// Lays `color` over a pixel, `coverage` of it in `[0, 1]`; nothing happens outside.
    pub fn blend(&mut self, x: i64, y: i64, color: Rgb, coverage: f32) {
        let inside = (0..self.width as i64).contains(&x) && (0..self.height as i64).contains(&y);
        if !inside {
            return;
        }
        let at = 3 * (y as usize * self.width + x as usize);
        if let Some(pixel) = self.pixels.get_mut(at..at + 3) {
            for (under, over) in pixel.iter_mut().zip(color) {
                let (from, to) = (f32::from(*under), f32::from(over));
                *under = (from + (to - from) * coverage).round() as u8;
            }
        }
    }

    /// Fills a rectangle; edges between pixels are antialiased.
    pub fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, color: Rgb) {
        let overlap = |pixel: i64, from: f32, to: f32| (to.min(pixel as f32 + 1.0) - from.max(pixel as f32)).max(0.0);
        for row in y.floor() as i64..(y + height).ceil() as i64 {
            for column in x.floor() as i64..(x + width).ceil() as i64 {
                let coverage = overlap(column, x, x + width) * overlap(row, y, y + height);
                self.blend(column, row, color, coverage);
            }
        }
    }

    /// Copies `other` with its top left corner at (`x`, `y`); what lies outside is left out.
    pub fn blit(&mut self, x: i64, y: i64, other: &Self) {
        let skip = (-x).clamp(0, other.width as i64) as usize;
        let count = (other.width - skip).min((self.width as i64 - x.max(0)).max(0) as usize);
        for (row, line) in other.pixels.chunks_exact((3 * other.width).max(1)).enumerate() {
            let to = y + row as i64;
            if !(0..self.height as i64).contains(&to) {
                continue;
            }
            let start = 3 * (to as usize * self.width + x.max(0) as usize);
            if let (Some(target), Some(source)) =
                (self.pixels.get_mut(start..start + 3 * count), line.get(3 * skip..3 * (skip + count)))
            {
                target.copy_from_slice(source);
            }
        }
    }
}

impl std::fmt::Debug for Raster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raster({}×{})", self.width, self.height)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn painting_is_clipped() {
        let mut raster = Raster::new(4, 3, [255; 3]);
        let black = Raster::new(2, 2, [0; 3]);
        for (x, y) in [(-1, -1), (3, 2), (-9, 0), (9, 9)] {
            raster.blit(x, y, &black);
        }
        let dark = (0..12).filter(|i| raster.pixel(i % 4, i / 4) == Some([0; 3])).count();
        assert_eq!(dark, 2);
        raster.fill(-5.0, -5.0, 50.0, 50.0, [9; 3]);
        assert_eq!(raster, Raster::new(4, 3, [9; 3]));
        assert_eq!(raster.pixel(4, 0), None);
    }

    #[test]
    fn edges_are_antialiased() {
        let mut raster = Raster::new(3, 1, [255; 3]);
        raster.fill(0.5, 0.0, 2.0, 1.0, [55; 3]);
        assert_eq!(raster.pixels(), [155, 155, 155, 55, 55, 55, 155, 155, 155]);
    }

    #[test]
    fn enlarging_keeps_pixels() {
        let raster = Raster::from_fn(2, 1, |x, _| [x as u8; 3]).enlarge(3);
        assert_eq!((raster.width(), raster.height()), (6, 3));
        assert_eq!(raster.pixel(2, 2), Some([0; 3]));
        assert_eq!(raster.pixel(3, 0), Some([1; 3]));
    }
}
