//! Plots for terminals: the area as few pixels, the lettering as text.

use super::super::colormap::Colormap;
use super::super::raster::Raster;
use super::super::scale::Span;
use super::super::style::{Rgb, Theme};
use super::axis::Axis;
use super::draw::{self, Weights, series_color};
use super::matrix;
use crate::error::Result;
use crate::plot::{Data, Matrix, Plot};

/// For an area of few pixels.
const WEIGHTS: Weights = Weights { line: 1.3, point: 2.6, grid: 0.0 };
/// The longest label at the side, in characters.
const SIDE: usize = 16;

/// A plot in characters, each of which is a pixel wide and two pixels high.
pub struct Small {
    /// The area of the series.
    pub picture: Raster,
    /// What stands left of a line, counted from the top.
    pub left: Vec<(usize, String)>,
    /// What stands below, each with the column of its middle.
    pub below: Vec<(usize, String)>,
    /// The names of the series with their colours.
    pub legend: Vec<(Rgb, String)>,
    /// Which colour is which number, and what the numbers are.
    pub bar: Option<(Span, Colormap, String)>,
}

/// A plot in at most `columns` characters of width and `rows` lines, without what stands below its area.
pub fn small(plot: &Plot, columns: usize, rows: usize, theme: Theme) -> Result<Small> {
    match plot.matrix() {
        Some(matrix) => small_matrix(matrix, columns, rows),
        None => small_series(plot, columns, rows, theme),
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn widest(texts: impl Iterator<Item = usize>) -> usize {
    texts.max().unwrap_or(0)
}

fn small_series(plot: &Plot, columns: usize, rows: usize, theme: Theme) -> Result<Small> {
    let rows = rows.min(columns / 3).max(4);
    let y = Axis::y(plot).with_ticks((rows / 4).max(2));
    let side = widest(y.ticks.iter().map(|tick| tick.text.chars().count().min(SIDE)));
    let width = columns.saturating_sub(side + 1).max(8);
    let line = |value: f64| (((1.0 - y.position(value)) * rows as f64) as usize).min(rows - 1);
    let left = y.ticks.iter().map(|tick| (line(tick.at), cut(&tick.text, SIDE))).collect();

    let x = Axis::x(plot);
    let column = |x: &Axis, value: f64| ((x.position(value) * width as f64) as usize).min(width - 1);
    let mut x = x.with_ticks((width / 12).max(2));
    if x.names.is_some() {
        let slot = (width / x.ticks.len().max(1)).saturating_sub(2).max(4);
        x.ticks.iter_mut().for_each(|tick| tick.text = cut(&tick.text, slot));
    }
    let below = x.ticks.iter().map(|tick| (column(&x, tick.at), tick.text.clone())).collect();

    let mut scene = draw::draw(plot, &x, &y, width as f32, 2.0 * rows as f32, WEIGHTS)?;
    (scene.width, scene.height) = (width as f32, 2.0 * rows as f32);
    let named =
        plot.series.iter().enumerate().filter_map(|(index, series)| Some((index, series, series.label.as_ref()?)));
    let legend = named
        .filter(|(_, series, _)| !matches!(series.data, Data::Points { colors: Some(_), .. }))
        .map(|(index, _, label)| (theme.rgb(series_color(index)), label.to_string()))
        .collect();
    Ok(Small { picture: scene.paint(theme), left, below, legend, bar: draw::point_colors(plot)? })
}

fn small_matrix(matrix: &Matrix, columns: usize, rows: usize) -> Result<Small> {
    let name = |names: &Option<std::sync::Arc<[String]>>, index: usize| match names {
        Some(names) => names.get(index).map(|name| cut(name, SIDE)).unwrap_or_default(),
        None => index.to_string(),
    };
    let side = widest((0..matrix.rows).map(|row| name(&matrix.row_names, row).chars().count()));
    let width = columns.saturating_sub(side + 1).max(1);
    // square cells of whole pixels, where there are enough of these
    let cell = (width / matrix.columns).min(2 * rows / matrix.rows).min(8);
    let (width, height) = match cell {
        0 => (matrix.columns.min(width), matrix.rows.min(2 * rows)),
        cell => (matrix.columns * cell, matrix.rows * cell),
    };
    let mut left: Vec<(usize, String)> = Vec::new();
    for row in 0..matrix.rows {
        let line = (2 * row + 1) * height / (4 * matrix.rows);
        if left.last().is_none_or(|(last, _)| *last < line) {
            left.push((line, name(&matrix.row_names, row)));
        }
    }
    let middle = |column: usize| (2 * column + 1) * width / (2 * matrix.columns);
    let below = (0..matrix.columns).map(|column| (middle(column), name(&matrix.column_names, column))).collect();
    let (span, map) = matrix::colors(matrix)?;
    let label = matrix.label.as_deref().unwrap_or_default().to_owned();
    let picture = matrix::paint(matrix, width, height)?;
    Ok(Small { picture, left, below, legend: Vec::new(), bar: Some((span, map, label)) })
}
