//! How large an image may be, and how a size is written.

use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject};

/// The most pixels an image may have: 100 megapixels, 1.2 GB of planes.
pub const MAX_PIXELS: usize = 100_000_000;

/// The longest side an image may have, in pixels; JPEG's own limit.
pub const MAX_SIDE: usize = 65_535;

/// The size of an image as an argument: the side of a square, or [width, height].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl Size {
    /// Refuses a size that is empty or too large, as the argument `size`.
    ///
    /// # Errors
    /// No image can have this size.
    pub fn check(self) -> Result<()> {
        check(self.width, self.height).map_err(|error| {
            // the name of the side would hide that of the argument
            Error::new(error.kind(), error.message()).at_argument("size")
        })
    }
}

impl FromValue for Size {
    const EXPECTED: &'static str = "a side in pixels, or [width, height]";
    const TYPES: &'static [&'static str] = &["integer", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let sides = if value.is_array() { Vec::<usize>::from_value(value)? } else { vec![usize::from_value(value)?] };
        match sides[..] {
            [side] => Ok(Self { width: side, height: side }),
            [width, height] => Ok(Self { width, height }),
            _ => Err(Reject::Because(format!("has {} numbers; a size is [width, height]", sides.len()), None)),
        }
    }
}

/// Refuses a size that is empty or too large to hold.
pub fn check(width: usize, height: usize) -> Result<()> {
    if width == 0 || height == 0 {
        let message = format!("an image needs at least one pixel each way, not {width}×{height}");
        return Err(Error::new(Kind::Argument, message).at_argument(if width == 0 { "width" } else { "height" }));
    }
    match beyond_limit(width, height) {
        Some(limit) => Err(Error::new(Kind::Argument, format!("an image of {width}×{height} is too large: {limit}"))
            .at_argument(if width >= height { "width" } else { "height" })),
        None => Ok(()),
    }
}

/// The limit that a size exceeds, in words.
pub fn beyond_limit(width: usize, height: usize) -> Option<String> {
    if width.max(height) > MAX_SIDE {
        Some(format!("a side may have at most {MAX_SIDE} pixels"))
    } else if width * height > MAX_PIXELS {
        let pixels = (width * height) as f64 / 1e6;
        Some(format!("{pixels:.0} megapixels, at most {} are taken", MAX_PIXELS / 1_000_000))
    } else {
        None
    }
}
