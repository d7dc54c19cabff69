//! Which colour is which series.

use super::super::scene::{Align, Scene};
use super::super::shape::{Outline, Paint, Pen, Shape};
use super::super::style::{BACKGROUND, Color, INK, TICK};
use super::super::text::{Line, Weight, shorten};
use super::draw::{PAGE, is_repeated, point_colors, series_color};
use super::free::Free;
use crate::plot::{Data, Plot};

/// From one entry to the next.
const ROW: f32 = 19.0;
/// The sign of a series, and the room between it and the name.
const SIGN: f32 = 22.0;
const GAP: f32 = 7.0;
/// The longest a name becomes.
const LONGEST: f32 = 280.0;
/// Around a legend inside the plot.
const PADDING: f32 = 8.0;
/// From a legend to the edges of the plot.
const AWAY: f32 = 8.0;
/// The most entries beneath each other.
const MOST: usize = 14;

/// The names of a plot's series with their signs.
pub struct Legend {
    entries: Vec<(Scene, f32)>,
}

impl Legend {
    /// The legend of a plot; none if no series has a name.
    pub fn of(plot: &Plot) -> Option<Self> {
        let colored = point_colors(plot).ok().flatten().is_some();
        let entries: Vec<(Scene, f32)> = plot
            .series
            .iter()
            .enumerate()
            .filter_map(|(index, series)| {
                let name = series.label.as_ref()?;
                let own = match &series.data {
                    // the colours of such points are explained by a bar
                    Data::Points { colors: Some(_), .. } if colored => Color::Quiet,
                    _ => series_color(index),
                };
                let mut entry = Scene::default();
                sign(&mut entry, &series.data, own, is_repeated(index));
                let text = shorten(name, TICK, Weight::Regular, LONGEST);
                let line = Line::new(text, TICK, INK);
                let width = SIGN + GAP + line.width();
                entry.text(SIGN + GAP, (ROW / 2.0 + TICK * 0.36).round(), Align::Left, line);
                entry.grow(width.ceil(), ROW);
                Some((entry, width.ceil()))
            })
            .collect();
        (!entries.is_empty()).then_some(Self { entries })
    }

    fn width(&self) -> f32 {
        self.entries.iter().map(|(_, width)| *width).fold(0.0, f32::max)
    }

    /// The entries beneath each other, if they are not too many.
    pub fn column(&self) -> Option<Scene> {
        if self.entries.len() > MOST {
            return None;
        }
        let mut scene = Scene::default();
        for (index, (entry, _)) in self.entries.iter().enumerate() {
            scene.place(0.0, index as f32 * ROW, entry.clone());
        }
        Some(scene)
    }

    /// The entries in columns that together are no wider than `width`.
    pub fn rows(&self, width: f32) -> Scene {
        const BETWEEN: f32 = 18.0;
        let column = self.width() + BETWEEN;
        let columns = (((width + BETWEEN) / column) as usize).clamp(1, self.entries.len().max(1));
        let mut scene = Scene::default();
        for (index, (entry, _)) in self.entries.iter().enumerate() {
            scene.place((index % columns) as f32 * column, (index / columns) as f32 * ROW, entry.clone());
        }
        scene
    }

    /// A place inside the plot where the legend hides nothing: its left top corner, and what is drawn there.
    pub fn inside(&self, free: &Free, width: f32, height: f32) -> Option<(f32, f32, Scene)> {
        let column = self.column()?;
        let (w, h) = (column.width + 2.0 * PADDING, column.height + 2.0 * PADDING - 4.0);
        let (right, bottom) = (width - w - AWAY, height - h - AWAY);
        let (center, middle) = (((width - w) / 2.0).round(), ((height - h) / 2.0).round());
        let corners = [(right, AWAY), (AWAY, AWAY), (right, bottom), (AWAY, bottom)];
        let sides = [(right, middle), (AWAY, middle), (center, AWAY), (center, bottom)];
        let (left, top) = corners.into_iter().chain(sides).find(|(x, y)| free.has([*x, *y, w, h]))?;
        let mut scene = Scene::default();
        // the grid does not run through the names
        scene.fill(0.0, 0.0, w, h, BACKGROUND);
        scene.place(PADDING, PADDING - 2.0, column);
        Some((left, top, scene))
    }
}

/// A small picture of how a series is drawn.
fn sign(scene: &mut Scene, data: &Data, own: Color, repeated: bool) {
    let middle = (ROW / 2.0).round();
    let pen = |width: f32| Some(Pen { paint: Paint::solid(own), width });
    let mut line = |from: f32, to: f32, width: f32| {
        let outline = Outline::Line(vec![[from, middle], [to, middle]]);
        scene.shape(Shape { outline, fill: None, pen: pen(width) });
    };
    match data {
        Data::Line { .. } if !repeated => line(1.0, SIGN - 1.0, PAGE.line),
        Data::Line { .. } | Data::HorizontalLine(_) | Data::VerticalLine(_) => {
            let width = if matches!(data, Data::Line { .. }) { PAGE.line } else { PAGE.line * 0.75 };
            for start in [1.0, 9.0, 17.0] {
                line(start, start + 4.0, width);
            }
        }
        Data::Points { .. } => {
            let width = PAGE.point / 4.0;
            let radius = if repeated { (PAGE.point - width) / 2.0 } else { PAGE.point / 2.0 };
            let outline = Outline::Circle { center: [SIGN / 2.0, middle], radius };
            let fill = (!repeated).then(|| Paint::solid(own));
            scene.shape(Shape { outline, fill, pen: if repeated { pen(width) } else { None } });
        }
        Data::HorizontalBand(..) | Data::VerticalBand(..) => {
            let corners =
                [[2.0, middle - 6.0], [SIGN - 2.0, middle - 6.0], [SIGN - 2.0, middle + 6.0], [2.0, middle + 6.0]];
            let fill = Some(Paint { color: own, opacity: 0.25 });
            scene.shape(Shape { outline: Outline::Polygon(corners.to_vec()), fill, pen: None });
        }
        Data::Bars { .. } | Data::Histogram { .. } | Data::Matrix(_) => {
            scene.fill(SIGN / 2.0 - 6.0, middle - 6.0, 12.0, 12.0, own);
        }
    }
}
