//! The look of every figure: sizes in pixels, colours as sRGB bytes.

/// A colour as sRGB bytes.
pub type Rgb = [u8; 3];

pub const BACKGROUND: Rgb = [255, 255, 255];
/// Titles and names.
pub const INK: Rgb = [31, 36, 43];
/// Captions, ticks and whatever explains.
pub const QUIET: Rgb = [96, 104, 115];
/// Ticks and outlines.
pub const LINE: Rgb = [176, 183, 192];
/// What lies behind a matrix of kernels, or the unfilled part of a bar.
pub const TRACK: Rgb = [235, 238, 242];
/// The bar that matters most, and the others.
pub const ACCENT: Rgb = [47, 111, 176];
pub const ACCENT_PALE: Rgb = [157, 190, 222];

pub const TITLE: f32 = 19.0;
pub const LABEL: f32 = 13.0;
pub const TICK: f32 = 12.0;

/// From one baseline to the next, as a multiple of the text's size.
pub const LEADING: f32 = 1.4;

/// Around the whole figure.
pub const MARGIN: f32 = 24.0;
/// Between a title and what it names, and between that and its caption.
pub const TITLE_GAP: f32 = 14.0;
pub const CAPTION_GAP: f32 = 12.0;
/// Between the figures of a row.
pub const ROW_GAP: f32 = 32.0;

/// How wide a figure becomes at most, margins included, unless its tiles need more.
pub const MAX_WIDTH: f32 = 1400.0;
/// Titles and captions are not squeezed into less than this, however narrow the picture.
pub const MIN_TEXT_WIDTH: f32 = 300.0;
