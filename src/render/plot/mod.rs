//! Plots as scenes: plotters draws the series into their area; around it stand axes, a legend and colour bars, with
//! margins as wide as their texts.

mod axis;
mod backend;
mod clip;
mod draw;
mod free;
mod labels;
mod legend;
mod matrix;
mod names;
mod small;
mod ticks;

#[cfg(test)]
mod tests;

pub use small::{Small, small};

use self::axis::Axis;
use self::draw::PAGE;
use self::free::Free;
use self::legend::Legend;
use self::names::XLabels;
use super::colorbar::colorbar;
use super::scene::{Align, Scene, paragraph};
use super::style::{INK, LABEL, LINE, QUIET, TICK};
use super::text::{Line, Weight, measure, shorten};
use crate::error::Result;
use crate::plot::Plot;

/// How wide a plot is, if there is room.
const WIDTH: f32 = 680.0;
/// The height of the area of its series.
const HEIGHT: f32 = 360.0;
/// The least width of that area beside a legend.
const LEAST: f32 = 340.0;
/// The length of a tick, and from there to its number.
const TICK_LENGTH: f32 = 4.0;
const TICK_GAP: f32 = 4.0;
/// A title of an axis and the room around it.
const TITLE: f32 = LABEL + 9.0;
/// The widest the names at a side become.
const SIDE: f32 = 150.0;

/// The least width at which a plot can be read.
pub const LEAST_WIDTH: f32 = 420.0;

/// A plot in at most `room` pixels of width.
pub fn layout(plot: &Plot, room: f32) -> Result<Scene> {
    if let Some(matrix) = plot.matrix() {
        return matrix::layout(plot, matrix, room.min(WIDTH));
    }
    let room = room.min(WIDTH);
    let legend = Legend::of(plot);
    let Some(legend) = legend else { return Frame::fit(plot, room).scene(None).map(|(scene, _)| scene) };
    let frame = Frame::fit(plot, room);
    let (scene, fits) = frame.scene(Some(&legend))?;
    if fits {
        return Ok(scene);
    }
    // inside it would hide something: beside the plot, or beneath it
    if let Some(column) = legend.column()
        && frame.width - column.width - 20.0 >= LEAST
    {
        let (mut scene, _) = Frame::fit(plot, room - column.width - 20.0).scene(None)?;
        let left = room - column.width;
        scene.place(left, 8.0, column);
        return Ok(scene);
    }
    let (mut scene, _) = frame.scene(None)?;
    let y = scene.height + 10.0;
    scene.place(frame.left, y, legend.rows(room - frame.left));
    Ok(scene)
}

/// The area of a plot's series with its axes.
struct Frame<'a> {
    plot: &'a Plot,
    x: Axis,
    y: Axis,
    x_labels: XLabels,
    /// Of the area, from the left of the whole.
    left: f32,
    width: f32,
}

impl<'a> Frame<'a> {
    /// Chooses ticks and margins so that all fits into `room` pixels of width.
    fn fit(plot: &'a Plot, room: f32) -> Self {
        let y = Axis::y(plot).with_ticks((HEIGHT / 40.0) as usize);
        let side = |text: &str| measure(text, TICK, Weight::Regular).min(SIDE);
        let numbers = y.ticks.iter().map(|tick| side(&tick.text)).fold(0.0, f32::max);
        let title = if plot.y.title.is_some() { TITLE } else { 0.0 };
        let mut left = (title + numbers + TICK_GAP + 4.0).ceil();
        let mut right = 4.0f32;
        let mut x = Axis::x(plot);
        let mut width = (room - left - right).max(60.0);
        let mut x_labels = XLabels::default();
        // the labels at the ends reach beyond the area, which makes it smaller, which may take other labels
        for _ in 0..3 {
            (x, x_labels) = names::fit(Axis::x(plot), width);
            let [beyond_left, beyond_right] = x_labels.overhang(width);
            left = left.max(beyond_left.ceil());
            right = right.max(beyond_right.ceil());
            width = (room - left - right).max(60.0).floor();
        }
        Self { plot, x, y, x_labels, left, width }
    }

    /// The plot with the legend inside, if it hides nothing there.
    fn scene(&self, legend: Option<&Legend>) -> Result<(Scene, bool)> {
        let top = (TICK * 0.5 + 2.0).round();
        let (left, width) = (self.left, self.width);
        let mut area = draw::draw(self.plot, &self.x, &self.y, width, HEIGHT, PAGE)?;
        let bare = draw::draw(self.plot, &self.x, &self.y, width, HEIGHT, draw::Weights { grid: 0.0, ..PAGE })?;
        let mut free = Free::of(&bare, width, HEIGHT);
        let size = (width, HEIGHT);
        let (written, all) = labels::place(&mut area, self.plot, &self.x, &self.y, size, &mut free);
        let inside = legend.and_then(|legend| legend.inside(&free, width, HEIGHT));
        let fits = inside.is_some();
        if let Some((x, y, legend)) = inside {
            area.place(x, y, legend);
        }
        let mut scene = Scene::default();
        self.x_axis(&mut scene, top + HEIGHT);
        scene.place(left, top, area);
        self.y_axis(&mut scene, top);
        if let Some((span, map, label)) = draw::point_colors(self.plot)? {
            let y = scene.height + 12.0;
            scene.place(left, y, colorbar(width.min(420.0), |t| map.at(t), span, &label));
        }
        if written < all {
            let text = format!("{written} of {all} names are shown; the others would cover something.");
            let y = scene.height + 10.0;
            scene.place(left, y, paragraph(&Line::new(text, TICK, QUIET), width));
        }
        Ok((scene, fits))
    }

    fn y_axis(&self, scene: &mut Scene, top: f32) {
        for tick in &self.y.ticks {
            let at = top + (1.0 - self.y.position(tick.at) as f32) * HEIGHT;
            let text = shorten(&tick.text, TICK, Weight::Regular, SIDE);
            let line = Line::new(text, TICK, QUIET);
            scene.text(self.left - TICK_GAP - 2.0, (at + TICK * 0.36).round(), Align::Right, line);
        }
        if let Some(title) = &self.plot.y.title {
            let text = shorten(title, LABEL, Weight::Regular, HEIGHT);
            scene.text_up(LABEL, top + HEIGHT / 2.0, Line::new(text, LABEL, INK));
        }
    }

    fn x_axis(&self, scene: &mut Scene, bottom: f32) {
        let (left, width) = (self.left, self.width);
        scene.fill(left, bottom, width, 1.0, LINE);
        let at = |value: f64| (left + self.x.position(value) as f32 * width).round();
        if self.x.names.is_none() {
            for tick in self.x_labels.places() {
                scene.fill(
                    (left + tick as f32 * width).round().min(left + width - 1.0),
                    bottom,
                    1.0,
                    TICK_LENGTH,
                    LINE,
                );
            }
            for minor in self.x.minor() {
                scene.fill(at(minor), bottom, 1.0, TICK_LENGTH / 2.0, LINE);
            }
        }
        self.x_labels.draw(scene, left, bottom + TICK_LENGTH + TICK_GAP, width);
        if let Some(title) = &self.plot.x.title {
            let y = scene.height.max(bottom + TICK_LENGTH) + 5.0;
            let text = shorten(title, LABEL, Weight::Regular, width);
            scene.text(left + width / 2.0, (y + LABEL).round(), Align::Center, Line::new(text, LABEL, INK));
        }
    }
}
