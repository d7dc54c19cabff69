//! Series within the area of a plot, drawn by plotters. What an axis makes of numbers is a place: 0 and 1 are the edges
//! of the area.

use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, DashedPathElement, Drawable, PathElement, PointCollection, Polygon, Rectangle};
use plotters::style::{RGBAColor, ShapeStyle};

use super::super::colormap::Colormap;
use super::super::scale::{Range, Span};
use super::super::scene::Scene;
use super::super::style::{Color, SERIES_COLORS};
use super::axis::Axis;
use super::backend::{SceneBackend, color, units};
use super::clip;
use crate::error::{Error, Kind, Result};
use crate::plot::{Data, Plot, Series};

/// How thick things are drawn, in pixels.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// A line of a series.
    pub line: f32,
    /// The diameter of a point without a size of its own.
    pub point: f32,
    /// A line of the grid; 0 draws none.
    pub grid: f32,
}

/// For a page.
pub const PAGE: Weights = Weights { line: 2.0, point: 7.0, grid: 1.0 };

/// How much of its place a bar or a group of bars takes.
const BAR_SHARE: f64 = 0.72;

type Place = (f64, f64);
type Area<'a> = DrawingArea<SceneBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// The series of a plot between two axes, in an area of `width × height` pixels.
pub fn draw(plot: &Plot, x: &Axis, y: &Axis, width: f32, height: f32, weights: Weights) -> Result<Scene> {
    let mut scene = Scene::default();
    {
        let root: DrawingArea<_, Shift> = SceneBackend::new(&mut scene, width, height).into_drawing_area();
        let length = |pixels: f32| i32::try_from(units(pixels)).unwrap_or(i32::MAX);
        let pixels = (0..length(width), length(height)..0);
        let area = root.apply_coord_spec(Cartesian2d::new(0.0..1.0, 0.0..1.0, pixels));
        let painter = Painter { plot, area: &area, x, y, width: f64::from(width), weights };
        painter.grid()?;
        // bands lie behind all else, whatever the order in which things were added
        let is_band = |series: &Series| matches!(series.data, Data::HorizontalBand(..) | Data::VerticalBand(..));
        for bands in [true, false] {
            for (index, series) in plot.series.iter().enumerate().filter(|(_, series)| is_band(series) == bands) {
                painter.series(index, series)?;
            }
        }
    }
    Ok(scene)
}

/// Which colour a number of a point has, and what the numbers are, if points have such.
pub fn point_colors(plot: &Plot) -> Result<Option<(Span, Colormap, String)>> {
    let mut numbers: Vec<f32> = Vec::new();
    let mut label = "";
    for series in &plot.series {
        if let Data::Points { colors: Some(colors), color_label, .. } = &series.data {
            numbers.extend(colors.iter().map(|color| *color as f32));
            label = color_label.as_deref().unwrap_or(label);
        }
    }
    if numbers.is_empty() {
        return Ok(None);
    }
    Ok(Some((Range::Auto.span(numbers.into_iter())?, Colormap::Viridis, label.to_owned())))
}

/// The colour of a series; bands and rules count too, in the order in which they were added.
pub fn series_color(index: usize) -> Color {
    Color::Series((index % SERIES_COLORS) as u8)
}

/// Was the colour of a series used before? Then lines are dashed and points are rings.
pub fn is_repeated(index: usize) -> bool {
    (index / SERIES_COLORS) % 2 == 1
}

/// The diameter of a point.
pub fn point_size(sizes: Option<&[f64]>, index: usize, usual: f32) -> f32 {
    let own = sizes.and_then(|sizes| if sizes.len() == 1 { sizes.first() } else { sizes.get(index) });
    own.map_or(usual, |size| *size as f32)
}

struct Painter<'a, 'b> {
    plot: &'a Plot,
    area: &'a Area<'b>,
    x: &'a Axis,
    y: &'a Axis,
    /// Of the area, in pixels.
    width: f64,
    weights: Weights,
}

impl<'b> Painter<'_, 'b> {
    fn grid(&self) -> Result<()> {
        if self.weights.grid == 0.0 {
            return Ok(());
        }
        let style = stroke(Color::Track, self.weights.grid);
        for tick in &self.y.ticks {
            let at = self.y.position(tick.at);
            self.path([(0.0, at), (1.0, at)], style)?;
        }
        if self.x.names.is_none() && !self.only_bars() {
            for tick in &self.x.ticks {
                let at = self.x.position(tick.at);
                self.path([(at, 0.0), (at, 1.0)], style)?;
            }
        }
        // zero is worth more than the other lines
        if self.y.low < 0.0 && self.y.high > 0.0 {
            let at = self.y.position(0.0);
            self.path([(0.0, at), (1.0, at)], stroke(Color::Line, self.weights.grid))?;
        }
        Ok(())
    }

    fn only_bars(&self) -> bool {
        self.plot.series.iter().all(|series| matches!(series.data, Data::Bars { .. }))
    }

    fn series(&self, index: usize, series: &Series) -> Result<()> {
        let own = series_color(index);
        match &series.data {
            Data::Line { x, y, error } => {
                if let Some(error) = error {
                    self.error_band(x, y, error, own)?;
                }
                let points: Vec<Place> = x.iter().zip(y.iter()).map(|(x, y)| self.place(*x, *y)).collect();
                self.line(&points, own, self.weights.line, is_repeated(index))
            }
            Data::Points { .. } => self.points(series, own, is_repeated(index)),
            Data::Bars { heights, error } => self.bars(index, heights, error.as_deref(), own),
            Data::Histogram { edges, counts } => self.histogram(edges, counts, own),
            Data::HorizontalLine(at) => {
                let at = self.y.position(*at);
                self.line(&[(0.0, at), (1.0, at)], own, self.weights.line * 0.75, true)
            }
            Data::VerticalLine(at) => {
                let at = self.x.position(*at);
                self.line(&[(at, 0.0), (at, 1.0)], own, self.weights.line * 0.75, true)
            }
            Data::HorizontalBand(low, high) => {
                let (low, high) = (self.y.position(*low), self.y.position(*high));
                self.polygon(&[(0.0, low), (1.0, low), (1.0, high), (0.0, high)], own)
            }
            Data::VerticalBand(low, high) => {
                let (low, high) = (self.x.position(*low), self.x.position(*high));
                self.polygon(&[(low, 0.0), (high, 0.0), (high, 1.0), (low, 1.0)], own)
            }
            Data::Matrix(_) => Ok(()),
        }
    }

    /// The band of errors around a line, in one piece for each part between gaps.
    fn error_band(&self, x: &[f64], y: &[f64], error: &[f64], own: Color) -> Result<()> {
        let all: Vec<(f64, f64, f64)> = x.iter().zip(y).zip(error).map(|((x, y), error)| (*x, *y, *error)).collect();
        for part in all.split(|(_, y, _)| y.is_nan()) {
            let above = part.iter().map(|(x, y, error)| self.place(*x, y + error));
            let below = part.iter().rev().map(|(x, y, error)| self.place(*x, y - error));
            self.polygon(&above.chain(below).collect::<Vec<_>>(), own)?;
        }
        Ok(())
    }

    fn points(&self, series: &Series, own: Color, hollow: bool) -> Result<()> {
        let Data::Points { x, y, colors, sizes, .. } = &series.data else { return Ok(()) };
        let scale = point_colors(self.plot)?;
        // many points cover each other: then what is behind shines through
        let opacity = if x.len() > 300 { 0.6 } else { 0.9 };
        for (index, (at_x, at_y)) in x.iter().zip(y.iter()).enumerate() {
            let at = self.place(*at_x, *at_y);
            if !clip::inside(at) {
                continue;
            }
            let own = match (colors.as_ref().and_then(|colors| colors.get(index)), &scale) {
                (Some(number), Some((span, map, _))) => Color::Fixed(map.at(span.position(*number as f32))),
                _ => own,
            };
            let size = point_size(sizes.as_deref(), index, self.weights.point);
            if hollow {
                let width = (size / 4.0).max(1.0);
                self.element(&Circle::new(at, units((size - width) / 2.0), stroke(own, width)))?;
                continue;
            }
            self.element(&Circle::new(at, units(size / 2.0), filled(color(own, opacity))))?;
            if size >= 5.0 && x.len() <= 2000 {
                // an edge of background keeps neighbours apart
                let edge = stroke(Color::Background, 0.75);
                self.element(&Circle::new(at, units(size / 2.0), edge))?;
            }
        }
        Ok(())
    }

    fn bars(&self, index: usize, heights: &[f64], error: Option<&[f64]>, own: Color) -> Result<()> {
        let is_bars = |series: &&Series| matches!(series.data, Data::Bars { .. });
        let of = self.plot.series.iter().filter(is_bars).count();
        let place = self.plot.series.iter().take(index).filter(is_bars).count();
        let width = BAR_SHARE / of.max(1) as f64;
        // neighbours of a group are a hair apart
        let gap = if of > 1 { width * 0.04 } else { 0.0 };
        for (bar, height) in heights.iter().enumerate() {
            let left = bar as f64 - BAR_SHARE / 2.0 + place as f64 * width;
            self.bar(left + gap, left + width - gap, *height, color(own, 1.0))?;
            let error = error.and_then(|error| error.get(bar)).copied().unwrap_or_default();
            if error > 0.0 {
                let middle = left + width / 2.0;
                let (low, high) = (height - error, height + error);
                self.mark((middle, low), (middle, high))?;
                self.mark((middle - width * 0.15, low), (middle + width * 0.15, low))?;
                self.mark((middle - width * 0.15, high), (middle + width * 0.15, high))?;
            }
        }
        Ok(())
    }

    /// A thin line of the mark of an error.
    fn mark(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        let points = [self.place(from.0, from.1), self.place(to.0, to.1)];
        self.line(&points, Color::Ink, self.weights.line * 0.6, false)
    }

    fn histogram(&self, edges: &[f64], counts: &[f64], own: Color) -> Result<()> {
        let alone = self.plot.series.iter().filter(|series| matches!(series.data, Data::Histogram { .. })).count() == 1;
        // of several, what is behind shines through
        let own = color(own, if alone { 1.0 } else { 0.55 });
        for (pair, count) in edges.windows(2).zip(counts).filter(|(_, count)| **count > 0.0) {
            let (Some(&low), Some(&high)) = (pair.first(), pair.last()) else { continue };
            // bins that are wide enough are told apart by a hair of background
            let wide = (self.x.position(high) - self.x.position(low)) * self.width;
            let gap = if alone && wide >= 5.0 { (high - low) * 0.5 / wide } else { 0.0 };
            self.bar(low + gap, high - gap, *count, own)?;
        }
        Ok(())
    }

    /// A bar from zero to a height; in a logarithmic plot, from its lower edge.
    fn bar(&self, left: f64, right: f64, height: f64, own: RGBAColor) -> Result<()> {
        let base = if self.y.log { 0.0 } else { self.y.position(0.0) };
        let (left, right, height) = (self.x.position(left), self.x.position(right), self.y.position(height));
        let inside = |at: f64| at.clamp(0.0, 1.0);
        let (left, right, low, high) = (inside(left), inside(right), inside(base), inside(height));
        if left == right || low == high {
            return Ok(());
        }
        self.element(&Rectangle::new([(left, low), (right, high)], filled(own)))
    }

    /// The part of a line inside the area.
    fn line(&self, points: &[Place], own: Color, width: f32, dashed: bool) -> Result<()> {
        let style = stroke(own, width);
        // a line of a million points has no more of them in a pixel than can be seen
        let thinned =
            if points.len() as f64 > 8.0 * self.width { clip::thinned(points, 2.0 * self.width) } else { vec![] };
        for part in clip::line(if thinned.is_empty() { points } else { &thinned }) {
            match part.as_slice() {
                [point] => self.element(&Circle::new(*point, units(width * 1.5), filled(color(own, 1.0))))?,
                _ if dashed => {
                    let (dash, gap) = (units(width * 3.5), units(width * 3.0 + 1.0));
                    self.element(&DashedPathElement::new(part, dash, gap, style))?;
                }
                _ => self.path(part, style)?,
            }
        }
        Ok(())
    }

    fn polygon(&self, points: &[Place], own: Color) -> Result<()> {
        let kept = clip::polygon(points);
        if kept.len() < 3 {
            return Ok(());
        }
        self.element(&Polygon::new(kept, color(own, 0.2)))
    }

    fn path(&self, points: impl Into<Vec<Place>>, style: ShapeStyle) -> Result<()> {
        self.element(&PathElement::new(points, style))
    }

    fn element<'e, E>(&self, element: &'e E) -> Result<()>
    where
        &'e E: PointCollection<'e, Place>,
        E: Drawable<SceneBackend<'b>>,
    {
        self.area.draw(element).map_err(|error| Error::new(Kind::Internal, format!("a plot cannot be drawn: {error}")))
    }

    fn place(&self, x: f64, y: f64) -> Place {
        (self.x.position(x), self.y.position(y))
    }
}

fn stroke(own: Color, width: f32) -> ShapeStyle {
    ShapeStyle { color: color(own, 1.0), filled: false, stroke_width: units(width) }
}

fn filled(own: RGBAColor) -> ShapeStyle {
    ShapeStyle { color: own, filled: true, stroke_width: 0 }
}
