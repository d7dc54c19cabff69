//! Text: shaping, measuring, wrapping and painting it, in the embedded Inter.
//!
//! Plots too are lettered with it: plotters' own text moves from glyph to glyph by whole pixels, which makes uneven
//! words at these sizes, and knows only the old `kern` table, which Inter does not have.
//! rustybuzz shapes (kerning from GPOS), ab_glyph paints the outlines.

use std::sync::LazyLock;

use ab_glyph::{Font as _, FontRef, GlyphId, PxScale, point};
use rustybuzz::ttf_parser::Tag;
use rustybuzz::{Face, Feature, UnicodeBuffer};

use super::raster::Raster;
use super::style::{Color, Theme};

/// One line of text.
#[derive(Clone, Debug)]
pub struct Line {
    pub text: String,
    pub size: f32,
    pub weight: Weight,
    pub color: Color,
    pub direction: Direction,
}

impl Line {
    /// A line of regular weight.
    pub fn new(text: impl Into<String>, size: f32, color: Color) -> Self {
        Self { text: text.into(), size, weight: Weight::Regular, color, direction: Direction::Across }
    }

    /// The same line in semi-bold.
    pub fn bold(self) -> Self {
        Self { weight: Weight::SemiBold, ..self }
    }

    /// Its length in pixels.
    pub fn width(&self) -> f32 {
        measure(&self.text, self.size, self.weight)
    }
}

/// How heavy the strokes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    Regular,
    SemiBold,
}

struct Font {
    shaper: Face<'static>,
    outlines: FontRef<'static>,
    units_per_em: f32,
    /// What ab_glyph calls scale is ascent minus descent, not the em.
    scale_per_em: f32,
}

static REGULAR: LazyLock<Option<Font>> =
    LazyLock::new(|| Font::parse(include_bytes!("../../assets/fonts/Inter-Regular.otf")));
static SEMI_BOLD: LazyLock<Option<Font>> =
    LazyLock::new(|| Font::parse(include_bytes!("../../assets/fonts/Inter-SemiBold.otf")));

impl Font {
    fn parse(bytes: &'static [u8]) -> Option<Self> {
        let shaper = Face::from_slice(bytes, 0)?;
        let outlines = FontRef::try_from_slice(bytes).ok()?;
        let units_per_em = outlines.units_per_em()?;
        let scale_per_em = outlines.height_unscaled() / units_per_em;
        Some(Self { shaper, outlines, units_per_em, scale_per_em })
    }

    fn get(weight: Weight) -> Option<&'static Self> {
        match weight {
            Weight::Regular => REGULAR.as_ref(),
            Weight::SemiBold => SEMI_BOLD.as_ref(),
        }
    }

    /// The glyphs with their offsets from the start of the line, and the line's width, in pixels.
    fn shape(&self, text: &str, size: f32) -> (Vec<(GlyphId, f32)>, f32) {
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        // contextual alternates would write a layer's name `expand3x3` with a multiplication sign
        let literal = Feature::new(Tag::from_bytes(b"calt"), 0, ..);
        let shaped = rustybuzz::shape(&self.shaper, &[literal], buffer);
        let pixels = |units: i32| units as f32 * size / self.units_per_em;
        let mut at = 0.0;
        let mut glyphs = Vec::with_capacity(shaped.len());
        for (info, position) in shaped.glyph_infos().iter().zip(shaped.glyph_positions()) {
            glyphs.push((GlyphId(info.glyph_id as u16), at + pixels(position.x_offset)));
            at += pixels(position.x_advance);
        }
        (glyphs, at)
    }
}

/// The width of one line, in pixels; `size` is that of the em.
pub fn measure(text: &str, size: f32, weight: Weight) -> f32 {
    Font::get(weight).map_or(0.0, |font| font.shape(text, size).1)
}

/// The text in lines no wider than `width`: broken at spaces, and inside a word only if it is too long.
pub fn wrap(text: &str, size: f32, weight: Weight, width: f32) -> Vec<String> {
    let fits = |line: &str| measure(line, size, weight) <= width;
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if fits(&longer) {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            for letter in word.chars() {
                line.push(letter);
                if !fits(&line) && line.chars().count() > 1 {
                    line.pop();
                    lines.push(std::mem::replace(&mut line, letter.to_string()));
                }
            }
        }
        lines.push(line);
    }
    lines
}

/// The text, shortened with `…` until it is no wider than `width`.
pub fn shorten(text: &str, size: f32, weight: Weight, width: f32) -> String {
    if measure(text, size, weight) <= width {
        return text.to_owned();
    }
    let mut letters: Vec<char> = text.chars().collect();
    loop {
        letters.pop();
        let shorter: String = letters.iter().collect::<String>().trim_end().to_owned() + "…";
        if letters.is_empty() || measure(&shorter, size, weight) <= width {
            return shorter;
        }
    }
}

/// Which way a line of text runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the right.
    Across,
    /// Upwards, its letters turned to the left.
    Up,
}

/// Paints one line that starts at (`x`, `y`) on its baseline.
pub fn paint(raster: &mut Raster, line: &Line, x: f32, y: f32, theme: Theme) {
    let color = theme.rgb(line.color);
    let Some(font) = Font::get(line.weight) else {
        return;
    };
    // stems stay crisp when the baseline is on the pixel grid; along it glyphs go where they belong
    let (along, across) = match line.direction {
        Direction::Across => (x, y.round() as i64),
        Direction::Up => (y, x.round() as i64),
    };
    let start = along.floor();
    let fraction = match line.direction {
        Direction::Across => along - start,
        Direction::Up => 1.0 - (along - start),
    };
    let scale = PxScale::from(line.size * font.scale_per_em);
    for (glyph, offset) in font.shape(&line.text, line.size).0 {
        let glyph = glyph.with_scale_and_position(scale, point(fraction + offset, 0.0));
        let Some(outline) = font.outlines.outline_glyph(glyph) else {
            continue;
        };
        let corner = outline.px_bounds().min;
        let (left, top) = (corner.x as i64, corner.y as i64);
        outline.draw(|dx, dy, coverage| {
            let (right, down) = (left + i64::from(dx), top + i64::from(dy));
            let (px, py) = match line.direction {
                Direction::Across => (start as i64 + right, across + down),
                Direction::Up => (across + down, start as i64 - right),
            };
            raster.blend(px, py, color, coverage.min(1.0));
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_fonts_parse() {
        assert!(Font::get(Weight::Regular).is_some() && Font::get(Weight::SemiBold).is_some());
    }

    #[test]
    fn kerning_and_weight_change_the_width() {
        let width = |text| measure(text, 100.0, Weight::Regular);
        assert!(width("AV") < width("A") + width("V"));
        assert!(measure("koala", 13.0, Weight::SemiBold) > measure("koala", 13.0, Weight::Regular));
        assert!((30.0..40.0).contains(&measure("koala", 13.0, Weight::Regular)));
    }

    #[test]
    fn wrapped_lines_fit_and_lose_nothing() {
        let text = "which pixels speak for Egyptian_cat_and_other_very_long_names_without_any_space, and which not";
        let lines = wrap(text, 13.0, Weight::Regular, 120.0);
        assert!(lines.len() > 3);
        assert!(lines.iter().all(|line| measure(line, 13.0, Weight::Regular) <= 120.0));
        let letters = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(letters(&lines.concat()), letters(text));
        // no width at all: one letter a line rather than an endless loop
        assert_eq!(wrap("abc", 13.0, Weight::Regular, 0.0), ["a", "b", "c"]);
    }

    #[test]
    fn shortened_text_fits() {
        assert_eq!(shorten("koala", 13.0, Weight::Regular, 100.0), "koala");
        let short = shorten("African hunting dog", 13.0, Weight::Regular, 60.0);
        assert!(short.ends_with('…') && measure(&short, 13.0, Weight::Regular) <= 60.0);
    }
}
