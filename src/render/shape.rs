//! Lines, polygons and circles: what plots are drawn with.

use std::fmt::Write as _;

use zeno::{Cap, Command, Fill, Join, Mask, Stroke, Style, Vector};

use super::raster::Raster;
use super::style::{Color, Theme};
use super::svg_color::color_value;

/// A point in pixels, from the top left corner.
pub type Point = [f32; 2];

/// A colour and how much it hides of what is behind it, in `[0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paint {
    pub color: Color,
    pub opacity: f32,
}

/// How an outline is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pen {
    pub paint: Paint,
    /// In pixels.
    pub width: f32,
}

/// The form of a shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Outline {
    /// Straight lines from point to point.
    Line(Vec<Point>),
    /// The same, closed.
    Polygon(Vec<Point>),
    /// A circle.
    Circle { center: Point, radius: f32 },
}

/// A form with its inside, its outline, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub outline: Outline,
    pub fill: Option<Paint>,
    pub pen: Option<Pen>,
}

impl Paint {
    /// A colour that hides all behind it.
    pub fn solid(color: Color) -> Self {
        Self { color, opacity: 1.0 }
    }
}

impl Shape {
    /// The same shape elsewhere.
    pub(super) fn moved(mut self, dx: f32, dy: f32) -> Self {
        match &mut self.outline {
            Outline::Line(points) | Outline::Polygon(points) => {
                for [x, y] in points {
                    *x += dx;
                    *y += dy;
                }
            }
            Outline::Circle { center: [x, y], .. } => {
                *x += dx;
                *y += dy;
            }
        }
        self
    }

    /// Left, top, right and bottom of what is drawn; nothing if it has no points.
    pub(super) fn bounds(&self) -> Option<[f32; 4]> {
        let edge = self.pen.map_or(0.0, |pen| pen.width / 2.0);
        let (points, edge) = match &self.outline {
            Outline::Line(points) | Outline::Polygon(points) => (points.as_slice(), edge),
            Outline::Circle { center, radius } => (std::slice::from_ref(center), edge + radius),
        };
        let first = points.first()?;
        let [left, top, right, bottom] = points.iter().fold([first[0], first[1], first[0], first[1]], |b, p| {
            [b[0].min(p[0]), b[1].min(p[1]), b[2].max(p[0]), b[3].max(p[1])]
        });
        Some([left - edge, top - edge, right + edge, bottom + edge])
    }

    /// Paints the shape, its edges smooth.
    pub(super) fn paint(&self, raster: &mut Raster, theme: Theme) {
        let commands = self.commands();
        if let Some(fill) = self.fill {
            cover(raster, self.bounds(), &commands, Fill::NonZero.into(), fill, theme);
        }
        let Some(pen) = self.pen else { return };
        let mut stroke = Stroke::new(pen.width);
        stroke.join(Join::Round).cap(Cap::Round);
        cover(raster, self.bounds(), &commands, stroke.into(), pen.paint, theme);
    }

    fn commands(&self) -> Vec<Command> {
        let polyline = |points: &[Point]| {
            let mut commands: Vec<Command> = points.iter().map(|[x, y]| Command::LineTo(Vector::new(*x, *y))).collect();
            if let (Some(first), Some([x, y])) = (commands.first_mut(), points.first()) {
                *first = Command::MoveTo(Vector::new(*x, *y));
            }
            commands
        };
        match &self.outline {
            Outline::Line(points) => polyline(points),
            Outline::Polygon(points) => {
                let mut commands = polyline(points);
                commands.push(Command::Close);
                commands
            }
            Outline::Circle { center: [x, y], radius } => circle(*x, *y, *radius),
        }
    }

    /// The shape as an element of SVG.
    pub(super) fn svg(&self, svg: &mut String, theme: Theme) {
        match &self.outline {
            Outline::Line(points) | Outline::Polygon(points) => {
                let closed = matches!(self.outline, Outline::Polygon(_));
                let _ = write!(svg, "<{} points=\"", if closed { "polygon" } else { "polyline" });
                for (index, [x, y]) in points.iter().enumerate() {
                    let _ = write!(svg, "{}{x:.2},{y:.2}", if index > 0 { " " } else { "" });
                }
                svg.push('"');
            }
            Outline::Circle { center: [x, y], radius } => {
                let _ = write!(svg, "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius:.2}\"");
            }
        }
        let opacity = |name: &str, paint: Paint| {
            if paint.opacity < 1.0 { format!(" {name}-opacity=\"{:.3}\"", paint.opacity) } else { String::new() }
        };
        match self.fill {
            Some(fill) => {
                let _ = write!(svg, " fill=\"{}\"{}", color_value(fill.color, theme), opacity("fill", fill));
            }
            None => svg.push_str(" fill=\"none\""),
        }
        if let Some(pen) = self.pen {
            let _ = write!(
                svg,
                " stroke=\"{}\"{} stroke-width=\"{}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"",
                color_value(pen.paint.color, theme),
                opacity("stroke", pen.paint),
                pen.width
            );
        }
        svg.push_str("/>");
    }
}

/// A circle as a polygon that is nowhere further than a hundredth of a pixel from it, and has its area.
fn circle(x: f32, y: f32, radius: f32) -> Vec<Command> {
    use std::f32::consts::{PI, TAU};
    if radius.is_nan() || radius <= 0.0 {
        return Vec::new();
    }
    let corners = (PI / (1.0 - 0.01 / radius.max(0.05)).acos()).ceil().clamp(12.0, 1000.0);
    let angle = TAU / corners;
    let radius = radius * (angle / angle.sin()).sqrt();
    let corner = |index: usize| {
        let (sin, cos) = (index as f32 * angle).sin_cos();
        Vector::new(x + radius * cos, y + radius * sin)
    };
    let mut commands = vec![Command::MoveTo(corner(0))];
    commands.extend((1..corners as usize).map(|index| Command::LineTo(corner(index))));
    commands.push(Command::Close);
    commands
}

/// Lays a colour over what a path covers; what lies outside the raster is left out.
fn cover(
    raster: &mut Raster,
    bounds: Option<[f32; 4]>,
    commands: &[Command],
    style: Style<'_>,
    paint: Paint,
    theme: Theme,
) {
    let Some([left, top, right, bottom]) = bounds else { return };
    let page = (raster.width() as f32, raster.height() as f32);
    if !(right >= 0.0 && bottom >= 0.0 && left <= page.0 && top <= page.1) {
        return;
    }
    // only the part on the page is rasterized, however far the shape reaches beyond it
    let (left, top) = (left.max(0.0).floor() - 1.0, top.max(0.0).floor() - 1.0);
    let (width, height) = (right.min(page.0).ceil() + 1.0 - left, bottom.min(page.1).ceil() + 1.0 - top);
    let mut mask = Mask::new(commands);
    mask.style(style).offset((-left, -top)).size(width.max(1.0) as u32, height.max(1.0) as u32);
    let (coverage, placement) = mask.render();
    let color = theme.rgb(paint.color);
    for (row, line) in coverage.chunks_exact((placement.width as usize).max(1)).enumerate() {
        for (column, &covered) in line.iter().enumerate().filter(|(_, covered)| **covered > 0) {
            let share = f32::from(covered) / 255.0 * paint.opacity;
            raster.blend(left as i64 + column as i64, top as i64 + row as i64, color, share);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const BLACK: Paint = Paint { color: Color::Fixed([0; 3]), opacity: 1.0 };

    /// How much black there is, in pixels.
    fn area(shape: &Shape, width: usize, height: usize) -> f32 {
        let mut raster = Raster::new(width, height, [255; 3]);
        shape.paint(&mut raster, Theme::Light);
        raster.pixels().iter().map(|&v| 255.0 - f32::from(v)).sum::<f32>() / 255.0 / 3.0
    }

    fn line(points: &[Point], width: f32) -> Shape {
        let pen = Pen { paint: BLACK, width };
        Shape { outline: Outline::Line(points.to_vec()), fill: None, pen: Some(pen) }
    }

    #[test]
    fn areas_are_those_of_geometry() {
        let circle = |radius| Outline::Circle { center: [20.3, 20.6], radius };
        let disc = Shape { outline: circle(9.5), fill: Some(BLACK), pen: None };
        assert!((area(&disc, 40, 40) - std::f32::consts::PI * 9.5f32.powi(2)).abs() < 0.5, "{}", area(&disc, 40, 40));
        let triangle = Outline::Polygon(vec![[1.0, 1.0], [31.0, 1.0], [1.0, 21.0]]);
        let triangle = Shape { outline: triangle, fill: Some(BLACK), pen: None };
        assert!((area(&triangle, 40, 40) - 300.0).abs() < 1.0);
        // a line of length 50 and width 2, with round ends
        let slanted = line(&[[5.0, 5.0], [35.0, 45.0]], 2.0);
        let expected = 100.0 + std::f32::consts::PI;
        assert!((area(&slanted, 60, 60) - expected).abs() < 1.5, "{}", area(&slanted, 60, 60));
        // 0.4 of 255 is a whole number: no pixel is rounded
        let pale = Shape { fill: Some(Paint { opacity: 0.4, ..BLACK }), ..disc };
        assert!((area(&pale, 40, 40) - 0.4 * std::f32::consts::PI * 9.5f32.powi(2)).abs() < 0.5);
    }

    #[test]
    fn shapes_beyond_the_page_are_cut() {
        let wide = line(&[[-1e6, 10.0], [1e6, 10.0]], 2.0);
        assert!((area(&wide, 30, 20) - 60.0).abs() < 0.5, "{}", area(&wide, 30, 20));
        for far in [[-50.0, -50.0], [500.0, 5.0], [5.0, 500.0]] {
            let disc = Shape { outline: Outline::Circle { center: far, radius: 4.0 }, fill: Some(BLACK), pen: None };
            assert_eq!(area(&disc, 30, 20), 0.0);
        }
        let corner =
            Shape { outline: Outline::Circle { center: [0.0, 0.0], radius: 8.0 }, fill: Some(BLACK), pen: None };
        assert!((area(&corner, 30, 20) - 16.0 * std::f32::consts::PI).abs() < 1.0);
        assert_eq!(area(&line(&[], 1.0), 5, 5), 0.0);
    }
}
