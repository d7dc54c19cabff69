//! The look of every figure: sizes in pixels, colours as sRGB bytes.

/// A colour as sRGB bytes.
pub type Rgb = [u8; 3];

/// A colour of a mark: a role, which the theme gives its colour, or a fixed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// What lies behind everything.
    Background,
    /// Titles and names.
    Ink,
    /// Captions, ticks and whatever explains.
    Quiet,
    /// Ticks, axes and outlines.
    Line,
    /// The lines of a plot's grid, and what lies behind a matrix of kernels or the unfilled part of a bar.
    Track,
    /// The bar that matters most.
    Accent,
    /// The other bars.
    AccentPale,
    /// The colour of a plot's series; after the last one they begin anew.
    Series(u8),
    /// The same in every theme.
    Fixed(Rgb),
}

pub const BACKGROUND: Color = Color::Background;
pub const INK: Color = Color::Ink;
pub const QUIET: Color = Color::Quiet;
pub const LINE: Color = Color::Line;
pub const TRACK: Color = Color::Track;
pub const ACCENT: Color = Color::Accent;
pub const ACCENT_PALE: Color = Color::AccentPale;

/// How many colours the series of a plot have.
pub const SERIES_COLORS: usize = 8;

/// For which page a figure is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// Dark text on white.
    #[default]
    Light,
    /// Light text on a dark grey.
    Dark,
    /// In SVG as the reader's system asks for; elsewhere light.
    Auto,
}

crate::lang::choices!(Theme { "light" => Light, "dark" => Dark, "auto" => Auto });

impl Theme {
    /// The colour of a role.
    pub fn rgb(self, color: Color) -> Rgb {
        let (palette, series) = match self {
            Self::Light | Self::Auto => (&LIGHT, &LIGHT_SERIES),
            Self::Dark => (&DARK, &DARK_SERIES),
        };
        let [background, ink, quiet, line, track, accent, accent_pale] = *palette;
        match color {
            Color::Background => background,
            Color::Ink => ink,
            Color::Quiet => quiet,
            Color::Line => line,
            Color::Track => track,
            Color::Accent => accent,
            Color::AccentPale => accent_pale,
            Color::Series(index) => series.get(usize::from(index) % SERIES_COLORS).copied().unwrap_or(ink),
            Color::Fixed(rgb) => rgb,
        }
    }
}

impl From<Rgb> for Color {
    fn from(rgb: Rgb) -> Self {
        Self::Fixed(rgb)
    }
}

// In the order of `Color`'s roles.
const LIGHT: [Rgb; 7] =
    [[255, 255, 255], [31, 36, 43], [96, 104, 115], [176, 183, 192], [235, 238, 242], [47, 111, 176], [157, 190, 222]];
const DARK: [Rgb; 7] =
    [[24, 27, 32], [232, 235, 239], [164, 172, 182], [98, 107, 118], [47, 52, 60], [92, 160, 224], [58, 92, 128]];

// Masataka Okabe's and Kei Ito's colours for all kinds of sight, their yellow darkened and their black greyed so that
// both are seen on white; for the dark theme the same hues, lighter.
const LIGHT_SERIES: [Rgb; SERIES_COLORS] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 158, 115],
    [204, 121, 167],
    [230, 159, 0],
    [86, 180, 233],
    [90, 96, 104],
    [158, 148, 20],
];
const DARK_SERIES: [Rgb; SERIES_COLORS] = [
    [64, 156, 222],
    [240, 124, 52],
    [38, 190, 146],
    [222, 146, 188],
    [240, 180, 50],
    [140, 208, 246],
    [168, 174, 182],
    [240, 228, 66],
];

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
