//! A laid-out drawing: marks at places, before they become pixels.
//!
//! Every kind of figure is laid out as a scene, which knows its size; so a format is one function over its marks:
//! [`Scene::paint`] for pixels, `svg` for SVG.

use super::raster::Raster;
use super::shape::Shape;
use super::style::{Color, LABEL, LEADING, Theme};
use super::text::{self, Direction, Line};

/// One thing at a place.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    Fill {
        x: f32,
        y: f32,
        width: f32,
        height: f32,
        color: Color,
    },
    Shape(Shape),
    Picture {
        x: f32,
        y: f32,
        raster: Raster,
    },
    /// `y` is that of the baseline.
    Text {
        x: f32,
        y: f32,
        line: Line,
    },
}

/// Marks, and the size of the box around them; all in pixels from its top left corner.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub width: f32,
    pub height: f32,
    marks: Vec<Mark>,
}

/// Where a line of text hangs on the point it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Center,
    Right,
}

impl Scene {
    /// A filled rectangle.
    pub fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        self.grow(x + width, y + height);
        self.marks.push(Mark::Fill { x, y, width, height, color });
    }

    /// A line, polygon or circle.
    pub fn shape(&mut self, shape: Shape) {
        if let Some([_, _, right, bottom]) = shape.bounds() {
            self.grow(right, bottom);
            self.marks.push(Mark::Shape(shape));
        }
    }

    /// A picture, pixel by pixel.
    pub fn picture(&mut self, x: f32, y: f32, raster: Raster) {
        self.grow(x + raster.width() as f32, y + raster.height() as f32);
        self.marks.push(Mark::Picture { x, y, raster });
    }

    /// One line of text, with its baseline at `y`.
    pub fn text(&mut self, x: f32, y: f32, align: Align, line: Line) {
        let width = line.width();
        let left = match align {
            Align::Left => x,
            Align::Center => x - width / 2.0,
            Align::Right => x - width,
        };
        self.grow(left + width, y + line.size * 0.3);
        self.marks.push(Mark::Text { x: left, y, line });
    }

    /// One line of text that runs upwards, centred on `y`, with its baseline at `x`.
    pub fn text_up(&mut self, x: f32, y: f32, line: Line) {
        let start = y + line.width() / 2.0;
        self.grow(x + line.size * 0.3, start);
        self.marks.push(Mark::Text { x, y: start, line: Line { direction: Direction::Up, ..line } });
    }

    /// Another scene with its top left corner at (`x`, `y`).
    pub fn place(&mut self, x: f32, y: f32, other: Self) {
        self.grow(x + other.width, y + other.height);
        self.marks.extend(other.marks.into_iter().map(|mark| mark.moved(x, y)));
    }

    /// What is drawn, in this order.
    pub(super) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Makes the box reach at least to this point.
    pub fn grow(&mut self, x: f32, y: f32) {
        self.width = self.width.max(x);
        self.height = self.height.max(y);
    }

    /// Only the pictures, without lettering, and without the space around them.
    pub fn paint_pictures(&self) -> Raster {
        let corner = |mark: &Mark| match mark {
            Mark::Picture { x, y, .. } => Some((*x, *y)),
            _ => None,
        };
        let (left, top) =
            self.marks.iter().filter_map(corner).fold((f32::MAX, f32::MAX), |(a, b), (x, y)| (a.min(x), b.min(y)));
        let mut pictures = Self::default();
        for mark in &self.marks {
            if let Mark::Picture { x, y, raster } = mark {
                pictures.picture(x - left, y - top, raster.clone());
            }
        }
        pictures.paint(Theme::Light)
    }

    /// The scene in pixels, on the background.
    pub fn paint(&self, theme: Theme) -> Raster {
        let background = theme.rgb(Color::Background);
        let mut raster = Raster::new(self.width.ceil() as usize, self.height.ceil() as usize, background);
        for mark in &self.marks {
            match mark {
                Mark::Fill { x, y, width, height, color } => {
                    raster.fill(*x, *y, *width, *height, theme.rgb(*color));
                }
                Mark::Shape(shape) => shape.paint(&mut raster, theme),
                Mark::Picture { x, y, raster: picture } => raster.blit(x.round() as i64, y.round() as i64, picture),
                Mark::Text { x, y, line } => text::paint(&mut raster, line, *x, *y, theme),
            }
        }
        raster
    }
}

impl Mark {
    fn moved(mut self, dx: f32, dy: f32) -> Self {
        match &mut self {
            Self::Shape(shape) => return Self::Shape(shape.clone().moved(dx, dy)),
            Self::Fill { x, y, .. } | Self::Picture { x, y, .. } | Self::Text { x, y, .. } => {
                *x += dx;
                *y += dy;
            }
        }
        self
    }
}

/// Text in as many lines as it needs to be no wider than `width`; the scene is as wide as the longest.
pub fn paragraph(line: &Line, width: f32) -> Scene {
    let mut scene = Scene::default();
    let leading = if line.size > LABEL { 1.3 } else { LEADING };
    for (index, text) in text::wrap(&line.text, line.size, line.weight, width).into_iter().enumerate() {
        let top = index as f32 * line.size * leading;
        scene.text(0.0, (top + line.size * 0.95).round(), Align::Left, Line { text, ..line.clone() });
    }
    scene
}
