//! A scene as what plotters draws on.

use std::convert::Infallible;

use plotters::style::RGBAColor;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontStyle,
    FontTransform,
};

use super::super::raster::Raster;
use super::super::scene::{Align, Scene};
use super::super::shape::{Outline, Paint, Pen, Point, Shape};
use super::super::style::Color;
use super::super::text::{Line, Weight, measure};

/// How many of plotters' units make a pixel: it counts in whole numbers, and lines should not step from pixel to pixel.
pub const UNITS: f32 = 32.0;

/// Draws into a scene. Lengths, also of fonts and strokes, are in [`UNITS`].
pub struct SceneBackend<'a> {
    scene: &'a mut Scene,
    size: (u32, u32),
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl<'a> SceneBackend<'a> {
    /// Draws into the left top `width × height` pixels of a scene.
    pub fn new(scene: &'a mut Scene, width: f32, height: f32) -> Self {
        scene.grow(width, height);
        Self { scene, size: (units(width), units(height)) }
    }

    fn stroke(&mut self, outline: Outline, style: &impl BackendStyle) {
        let pen = Pen { paint: paint(style.color()), width: style.stroke_width() as f32 / UNITS };
        if pen.paint.opacity > 0.0 && pen.width > 0.0 {
            self.scene.shape(Shape { outline, fill: None, pen: Some(pen) });
        }
    }

    fn fill(&mut self, outline: Outline, style: &impl BackendStyle) {
        let fill = paint(style.color());
        if fill.opacity > 0.0 {
            self.scene.shape(Shape { outline, fill: Some(fill), pen: None });
        }
    }
}

/// A length in plotters' units.
pub fn units(pixels: f32) -> u32 {
    (pixels * UNITS).round().max(0.0) as u32
}

fn pixels((x, y): BackendCoord) -> Point {
    [x as f32 / UNITS, y as f32 / UNITS]
}

/// A role as a colour of plotters, whose colours are red, green, blue and opacity: an opacity above 1 says that red is
/// the number of a role.
pub fn color(color: Color, opacity: f32) -> RGBAColor {
    let role = |role: u8| RGBAColor(role, 0, 0, 2.0 + f64::from(opacity));
    match color {
        Color::Fixed([red, green, blue]) => RGBAColor(red, green, blue, f64::from(opacity)),
        Color::Series(index) => role(ROLES.len() as u8 + index % 100),
        other => role(ROLES.iter().position(|role| *role == other).unwrap_or_default() as u8),
    }
}

/// The roles in the order of their numbers; those of series follow.
const ROLES: [Color; 7] =
    [Color::Background, Color::Ink, Color::Quiet, Color::Line, Color::Track, Color::Accent, Color::AccentPale];

fn paint(color: BackendColor) -> Paint {
    let (red, green, blue) = color.rgb;
    if color.alpha < 2.0 {
        return Paint { color: Color::Fixed([red, green, blue]), opacity: color.alpha as f32 };
    }
    let role = ROLES.get(usize::from(red)).copied();
    let color_of = role.unwrap_or_else(|| Color::Series(red - ROLES.len() as u8));
    Paint { color: color_of, opacity: (color.alpha - 2.0) as f32 }
}

fn corners([left, top]: Point, [right, bottom]: Point) -> Outline {
    Outline::Polygon(vec![[left, top], [right, top], [right, bottom], [left, bottom]])
}

impl DrawingBackend for SceneBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        self.fill(corners(pixels((x, y)), pixels((x + 1, y + 1))), &color);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.stroke(Outline::Line(vec![pixels(from), pixels(to)]), style);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Drawn {
        let outline = corners(pixels(from), pixels(to));
        if fill {
            self.fill(outline, style);
        } else {
            self.stroke(outline, style);
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.stroke(Outline::Line(path.into_iter().map(pixels).collect()), style);
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let outline = Outline::Circle { center: pixels(center), radius: radius as f32 / UNITS };
        if fill {
            self.fill(outline, style);
        } else {
            self.stroke(outline, style);
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, points: I, style: &S) -> Drawn {
        self.fill(Outline::Polygon(points.into_iter().map(pixels).collect()), style);
        Ok(())
    }

    /// In our own lettering, whatever the font's family; bold is semi-bold, and text runs across or upwards.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let [x, y] = pixels(at);
        let size = style.size() as f32 / UNITS;
        let line = Line { weight: weight(style), ..Line::new(text, size, paint(style.color()).color) };
        // how far the baseline is from the anchor, and how far the middle of the text is
        let down = match style.anchor().v_pos {
            VPos::Top => size * 0.8,
            VPos::Center => size * 0.36,
            VPos::Bottom => -size * 0.2,
        };
        let (align, along) = match style.anchor().h_pos {
            HPos::Left => (Align::Left, 0.5),
            HPos::Center => (Align::Center, 0.0),
            HPos::Right => (Align::Right, -0.5),
        };
        match style.transform() {
            FontTransform::Rotate90 | FontTransform::Rotate270 => {
                let middle = y - along * line.width();
                self.scene.text_up(x + down, middle, line);
            }
            FontTransform::None | FontTransform::Rotate180 => self.scene.text(x, y + down, align, line),
        }
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = style.size() as f32 / UNITS;
        Ok((units(measure(text, size, weight(style))), units(size)))
    }

    fn blit_bitmap(&mut self, at: BackendCoord, (width, height): (u32, u32), source: &[u8]) -> Drawn {
        let (width, height) = (width as usize, height as usize);
        let pixel = |x: usize, y: usize| source.get(3 * (y * width + x)..).and_then(<[u8]>::first_chunk).copied();
        let [x, y] = pixels(at);
        self.scene.picture(x, y, Raster::from_fn(width, height, |x, y| pixel(x, y).unwrap_or_default()));
        Ok(())
    }
}

fn weight(style: &impl BackendTextStyle) -> Weight {
    if matches!(style.style(), FontStyle::Bold) { Weight::SemiBold } else { Weight::Regular }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use plotters::chart::ChartBuilder;
    use plotters::drawing::IntoDrawingArea;
    use plotters::element::PathElement;
    use plotters::style::{Color as _, ShapeStyle};

    use super::super::super::scene::Mark;
    use super::super::super::style::SERIES_COLORS;
    use super::*;

    #[test]
    fn roles_come_back() {
        for role in
            ROLES.into_iter().chain((0..SERIES_COLORS as u8).map(Color::Series)).chain([Color::Fixed([1, 2, 3])])
        {
            for opacity in [0.0, 0.25, 1.0] {
                assert_eq!(paint(color(role, opacity).to_backend_color()), Paint { color: role, opacity });
            }
        }
    }

    /// A chart as plotters lays it out, with its own mesh and labels.
    #[test]
    fn plotters_own_charts_can_be_drawn() {
        let mut scene = Scene::default();
        let root = SceneBackend::new(&mut scene, 400.0, 300.0).into_drawing_area();
        let font = |size: f32| ("sans-serif", size * UNITS);
        let mut chart = ChartBuilder::on(&root)
            .margin(units(15.0))
            .caption("koala", font(18.0))
            .x_label_area_size(units(30.0))
            .y_label_area_size(units(40.0))
            .build_cartesian_2d(0.0..10.0, 0.0..1.0)
            .unwrap();
        chart.configure_mesh().label_style(font(12.0)).draw().unwrap();
        let points: Vec<(f64, f64)> =
            (0..=100).map(|i| (f64::from(i) * 0.1, (f64::from(i) * 0.1).sin().abs())).collect();
        let style = ShapeStyle { color: color(Color::Series(0), 1.0), filled: false, stroke_width: units(2.0) };
        chart.draw_series(std::iter::once(PathElement::new(points, style))).unwrap();
        drop(chart);
        drop(root);
        let texts = scene.marks().iter().filter(|mark| matches!(mark, Mark::Text { .. })).count();
        let shapes = scene.marks().iter().filter(|mark| matches!(mark, Mark::Shape(_))).count();
        assert!(texts > 8 && shapes > 10, "{texts} texts, {shapes} shapes");
        assert!(scene.width <= 401.0 && scene.height <= 301.0, "{}×{}", scene.width, scene.height);
        let caption = scene.marks().iter().find_map(|mark| match mark {
            Mark::Text { x, line, .. } if line.text == "koala" => Some(x + line.width() / 2.0),
            _ => None,
        });
        assert!((caption.unwrap() - 200.0).abs() < 2.0);
    }
}
