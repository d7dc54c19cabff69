//! Putting a cut-out onto a background.

use super::{Image, size};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// The most a cut-out may be enlarged, as a multiple of the background's shorter side.
const MAX_SCALE: f32 = 10.0;

/// The background with the cut-out on it.
///
/// `x` and `y` are where the cut-out's centre goes, as fractions of the background's width and height
/// (0.5, 0.5 is the middle); `scale` is the cut-out's longest side as a fraction of the background's
/// shorter side. What reaches beyond the background is clipped. An image without transparency is put on
/// as the rectangle it is.
pub fn compose(background: &Image, cutout: &Image, x: f32, y: f32, scale: f32) -> Result<Image> {
    let placed = place(background, cutout, x, y, scale)?;
    let mut planes = background.planes().to_vec();
    let mut alpha = background.alpha().map(<[f32]>::to_vec);
    let area = background.width() * background.height();
    placed.for_each_pixel(background, |from, to, over| {
        let under = alpha.as_ref().and_then(|plane| plane.get(to)).copied().unwrap_or(1.0);
        let together = over + under * (1.0 - over);
        for (channel, plane) in placed.cutout.channels().into_iter().enumerate() {
            if let (Some(pixel), Some(&color)) = (planes.get_mut(channel * area + to), plane.get(from))
                && together > 0.0
            {
                *pixel = (color * over + *pixel * under * (1.0 - over)) / together;
            }
        }
        if let Some(pixel) = alpha.as_mut().and_then(|plane| plane.get_mut(to)) {
            *pixel = together;
        }
    });
    Image::from_planes(background.width(), background.height(), planes, alpha)
}

/// Where [`compose`] puts the cut-out: its opacity, in `[0, 1]`, for each pixel of the background.
pub fn compose_mask(background: &Image, cutout: &Image, x: f32, y: f32, scale: f32) -> Result<Vec<f32>> {
    let placed = place(background, cutout, x, y, scale)?;
    let mut mask = vec![0.0; background.width() * background.height()];
    placed.for_each_pixel(background, |_, to, over| {
        if let Some(pixel) = mask.get_mut(to) {
            *pixel = over;
        }
    });
    Ok(mask)
}

/// A cut-out at its final size, and where its top left corner lies on the background.
struct Placed {
    cutout: Image,
    left: i64,
    top: i64,
}

fn place(background: &Image, cutout: &Image, x: f32, y: f32, scale: f32) -> Result<Placed> {
    for (name, value) in [("x", x), ("y", y)] {
        if !value.is_finite() {
            return Err(Error::new(Kind::Argument, format!("{name} must be a number, not {value}")).at_argument(name));
        }
    }
    if !(scale > 0.0 && scale <= MAX_SCALE) {
        let message = format!("scale must be above 0 and at most {MAX_SCALE}, not {scale}");
        return Err(Error::new(Kind::Argument, message)
            .with_hint("it is the cut-out's longest side as a fraction of the background's shorter side")
            .at_argument("scale"));
    }
    let longest = scale * background.width().min(background.height()) as f32;
    let factor = longest / cutout.width().max(cutout.height()) as f32;
    let fit = |length: usize| ((length as f32 * factor).round() as usize).max(1);
    let (width, height) = (fit(cutout.width()), fit(cutout.height()));
    size::check(width, height).map_err(|error| error.context("enlarging the cut-out"))?;
    let corner = |fraction: f32, available: usize, length: usize| {
        (f64::from(fraction) * available as f64 - length as f64 / 2.0).round() as i64
    };
    let left = corner(x, background.width(), width);
    let top = corner(y, background.height(), height);
    let outside = |start: i64, length: usize, available: usize| {
        start >= available as i64 || start.saturating_add(length as i64) <= 0
    };
    for (name, start, length, available) in
        [("x", left, width, background.width()), ("y", top, height, background.height())]
    {
        if outside(start, length, available) {
            let message = format!("the cut-out would lie wholly outside the background with x={x}, y={y}");
            return Err(Error::new(Kind::Argument, message)
                .with_hint("x and y are fractions: 0.5 is the middle")
                .at_argument(name));
        }
    }
    Ok(Placed { cutout: cutout.resize(width, height)?, left, top })
}

impl Placed {
    /// Calls `f(index in the cut-out, index in the background, opacity)` for each pixel that both have.
    fn for_each_pixel(&self, background: &Image, mut f: impl FnMut(usize, usize, f32)) {
        let (width, height) = (background.width() as i64, background.height() as i64);
        for row in 0..self.cutout.height() {
            let y = self.top + row as i64;
            if !(0..height).contains(&y) {
                continue;
            }
            for column in 0..self.cutout.width() {
                let x = self.left + column as i64;
                if !(0..width).contains(&x) {
                    continue;
                }
                let from = row * self.cutout.width() + column;
                let over = self.cutout.alpha().and_then(|alpha| alpha.get(from)).copied().unwrap_or(1.0);
                f(from, (y * width + x) as usize, over);
            }
        }
    }
}

/// Puts a cut-out onto a background.
///
/// ```rhai
/// compose(photo("grass"), gallery("mammal/koala"), scale=0.7)
/// ```
#[function(name = "compose")]
fn compose_word(
    /// What is behind.
    background: Image,
    /// What is put on it; its transparent parts show the background.
    cutout: Image,
    /// Where the middle of the cut-out goes, from 0 (left) to 1 (right).
    #[default(0.5)]
    x: f64,
    /// Where the middle of the cut-out goes, from 0 (top) to 1 (bottom).
    #[default(0.5)]
    y: f64,
    /// The longest side of the cut-out as a share of the background's shorter side.
    #[default(0.8)]
    #[range(0.01..=10.0)]
    scale: f64,
) -> Result<Image> {
    compose(&background, &cutout, x as f32, y as f32, scale as f32)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn red(width: usize, height: usize) -> Image {
        Image::filled(width, height, [1.0, 0.0, 0.0]).unwrap()
    }

    #[test]
    fn the_cut_out_goes_where_it_is_told() {
        let background = Image::filled(40, 20, [0.0; 3]).unwrap();
        let mask = compose_mask(&background, &red(10, 5), 0.25, 0.5, 0.5).unwrap();
        // longest side 10 = half of 20, so 10×5, around (10, 10)
        assert_eq!(mask.iter().sum::<f32>(), 50.0);
        assert_eq!(mask[8 * 40 + 5], 1.0);
        assert_eq!(mask[8 * 40 + 4], 0.0);
        let composed = compose(&background, &red(10, 5), 0.25, 0.5, 0.5).unwrap();
        assert_eq!(composed.channels()[0], mask);
        assert!(composed.channels()[1].iter().all(|&g| g == 0.0));
    }

    #[test]
    fn what_reaches_outside_is_clipped() {
        let background = Image::filled(20, 20, [0.0; 3]).unwrap();
        let mask = compose_mask(&background, &red(8, 8), 0.0, 1.0, 0.4).unwrap();
        assert_eq!(mask.iter().sum::<f32>(), 16.0);
        assert_eq!(compose(&background, &red(8, 8), 3.0, 0.5, 0.4).unwrap_err().argument(), Some("x"));
    }

    #[test]
    fn a_half_transparent_cut_out_lets_the_background_through() {
        let cutout = Image::from_planes(2, 1, vec![1.0; 6], Some(vec![0.5, 1.0])).unwrap();
        let background = Image::filled(2, 2, [0.2; 3]).unwrap();
        let composed = compose(&background, &cutout, 0.5, 0.25, 1.0).unwrap();
        assert!((composed.planes()[0] - 0.6).abs() < 1e-6);
        assert_eq!(composed.planes()[1], 1.0);
        assert_eq!(composed.planes()[2], 0.2);
    }

    #[test]
    fn scales_are_checked() {
        let background = red(20, 20);
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 11.0] {
            assert_eq!(compose(&background, &red(2, 2), 0.5, 0.5, scale).unwrap_err().argument(), Some("scale"));
        }
        assert_eq!(compose(&background, &red(2, 2), f32::NAN, 0.5, 0.5).unwrap_err().argument(), Some("x"));
    }
}
