//! Matrices of numbers as colours, with names or numbers at their rows and columns.

use super::super::colorbar::colorbar;
use super::super::colormap::Colormap;
use super::super::raster::Raster;
use super::super::scale::{Range, Span};
use super::super::scene::{Align, Scene};
use super::super::style::{Color, INK, LABEL, QUIET, Rgb, TICK};
use super::super::text::{Line, Weight, measure, shorten};
use super::ticks;
use crate::error::Result;
use crate::plot::{Matrix, Plot};

/// The tallest a matrix becomes, in pixels, and the largest its cells.
const HEIGHT: f32 = 480.0;
const LARGEST_CELL: f32 = 64.0;
/// The longest a name of a row or column becomes.
const LONGEST: f32 = 150.0;
/// A title of an axis and the room around it.
const TITLE: f32 = LABEL + 9.0;
/// The colour of cells that are NaN.
const BLANK: Rgb = [200, 204, 210];

/// A heat map in at most `room` pixels of width.
pub fn layout(plot: &Plot, matrix: &Matrix, room: f32) -> Result<Scene> {
    let (span, map) = colors(matrix)?;
    let row_names: Vec<String> = (0..matrix.rows).map(|row| name(matrix.row_names.as_deref(), row)).collect();
    let widest = row_names.iter().map(|name| length(name)).fold(0.0, f32::max).min(LONGEST);
    let title = if plot.y.title.is_some() { TITLE } else { 0.0 };
    let left = (title + widest + 8.0).ceil();
    let (rows, columns) = (matrix.rows as f32, matrix.columns as f32);
    let most = (room - left - 8.0).max(60.0);
    // square cells, unless that would leave a matrix of few rows or columns too thin to be seen
    let cell = (most / columns).min(HEIGHT / rows).min(LARGEST_CELL);
    let (mut width, mut height) = (cell * columns, cell * rows);
    if width < 40.0 {
        width = most.min(columns * LARGEST_CELL).min(40.0);
    }
    if height < 40.0 {
        height = (rows * LARGEST_CELL).min(40.0);
    }
    // whole pixels for each cell, where there are enough
    let whole =
        |length: f32, count: f32| if length >= count { (length / count).floor() * count } else { length.floor() };
    (width, height) = (whole(width, columns).max(1.0), whole(height, rows).max(1.0));

    let mut scene = Scene::default();
    let (across, down) = (width / columns, height / rows);
    // the name of a row lower than its letters reaches beyond it
    let top = if down < TICK { 6.0 } else { 0.0 };
    scene.picture(left, top, paint(matrix, width as usize, height as usize)?);
    if matrix.numbers {
        numbers(&mut scene, matrix, (left, top), (across, down), |value| map.at(span.position(value)));
    }
    // rows
    for row in (0..matrix.rows).step_by(stride(matrix.row_names.is_some(), matrix.rows, down, TICK + 3.0)) {
        let text = shorten(&row_names[row], TICK, Weight::Regular, LONGEST);
        let y = top + (row as f32 + 0.5) * down + TICK * 0.36;
        scene.text(left - 6.0, y.round(), Align::Right, Line::new(text, TICK, QUIET));
    }
    if let Some(title) = &plot.y.title {
        let text = shorten(title, LABEL, Weight::Regular, height.max(120.0));
        let line = Line::new(text, LABEL, INK);
        let middle = (top + height / 2.0).max(line.width() / 2.0);
        scene.text_up(LABEL, middle, line);
    }
    columns_below(&mut scene, matrix, left, top + height, across, room);
    if let Some(title) = &plot.x.title {
        let text = shorten(title, LABEL, Weight::Regular, most);
        let line = Line::new(text, LABEL, INK);
        let middle = (left + width / 2.0).max(line.width() / 2.0);
        let y = (scene.height + LABEL + 3.0).round();
        scene.text(middle, y, Align::Center, line);
    }
    let bar = colorbar(
        width.clamp(200.0, 420.0).min(most.max(200.0)),
        |t| map.at(t),
        span,
        matrix.label.as_deref().unwrap_or(""),
    );
    let y = scene.height + 12.0;
    scene.place(left.min((room - bar.width).max(0.0)), y, bar);
    Ok(scene)
}

/// The names of the columns beneath `top`.
fn columns_below(scene: &mut Scene, matrix: &Matrix, left: f32, top: f32, across: f32, room: f32) {
    let names: Vec<String> = (0..matrix.columns).map(|column| name(matrix.column_names.as_deref(), column)).collect();
    let widest = names.iter().map(|name| length(name)).fold(0.0, f32::max);
    let named = matrix.column_names.is_some();
    let middle = |column: usize| left + (column as f32 + 0.5) * across;
    let upwards = named && widest + 8.0 > across;
    let stride = stride(named, matrix.columns, across, if upwards { TICK + 3.0 } else { widest + 10.0 });
    for column in (0..matrix.columns).step_by(stride) {
        if upwards {
            let line = Line::new(shorten(&names[column], TICK, Weight::Regular, LONGEST), TICK, QUIET);
            scene.text_up((middle(column) + TICK * 0.36).round(), top + 7.0 + line.width() / 2.0, line);
        } else {
            let line = Line::new(names[column].as_str(), TICK, QUIET);
            let x = middle(column).min(room - line.width() / 2.0);
            scene.text(x, (top + 6.0 + TICK * 0.85).round(), Align::Center, line);
        }
    }
}

/// The cells in `width × height` pixels.
pub fn paint(matrix: &Matrix, width: usize, height: usize) -> Result<Raster> {
    let (span, map) = colors(matrix)?;
    let color = |row: usize, column: usize| match matrix.values.get(row * matrix.columns + column) {
        Some(value) if !value.is_nan() => map.at(span.position(*value as f32)),
        _ => BLANK,
    };
    if matrix.columns <= width && matrix.rows <= height {
        return Ok(Raster::from_fn(width, height, |x, y| color(y * matrix.rows / height, x * matrix.columns / width)));
    }
    // more cells than pixels: the colours of neighbours are averaged
    let (wide, tall) = (matrix.columns.max(width), matrix.rows.max(height));
    let whole = Raster::from_fn(wide, tall, |x, y| color(y * matrix.rows / tall, x * matrix.columns / wide));
    whole.resize(width, height)
}

/// The colours of a matrix: about zero for numbers of both signs.
pub fn colors(matrix: &Matrix) -> Result<(Span, Colormap)> {
    let finite = || matrix.values.iter().filter(|value| !value.is_nan()).map(|value| *value as f32);
    let signed = finite().any(|value| value < 0.0) && finite().any(|value| value > 0.0);
    let map = match &matrix.colormap {
        Some(name) => Colormap::named(name)?,
        None if signed => Colormap::Diverging,
        None => Colormap::Viridis,
    };
    let range = match matrix.range {
        Some((low, high)) => Range::Fixed(low as f32, high as f32),
        None if map == Colormap::Diverging => Range::Symmetric,
        None => Range::Auto,
    };
    Ok((range.span(finite())?, map))
}

/// Each number in its cell, if all are small enough; dark on light colours, light on dark ones.
fn numbers(scene: &mut Scene, matrix: &Matrix, (left, top): (f32, f32), cell: (f32, f32), color: impl Fn(f32) -> Rgb) {
    let magnitude =
        matrix.values.iter().filter(|value| value.is_finite()).fold(0.0f64, |most, value| most.max(value.abs()));
    let written = |value: f64| {
        let decimals = if magnitude >= 100.0 || matrix.values.iter().all(|value| value.fract() == 0.0) { 0 } else { 2 };
        if (0.001..1e6).contains(&magnitude) {
            format!("{value:.decimals$}").replace('-', "−")
        } else {
            ticks::number(value)
        }
    };
    let texts: Vec<String> =
        matrix.values.iter().map(|value| if value.is_nan() { String::new() } else { written(*value) }).collect();
    let widest = texts.iter().map(|text| length(text)).fold(0.0, f32::max);
    if widest + 4.0 > cell.0 || TICK + 2.0 > cell.1 {
        return;
    }
    for (index, (text, value)) in
        texts.into_iter().zip(matrix.values.iter()).enumerate().filter(|(_, (text, _))| !text.is_empty())
    {
        let (row, column) = ((index / matrix.columns) as f32, (index % matrix.columns) as f32);
        let [red, green, blue] = color(*value as f32).map(f32::from);
        let dark = 0.299 * red + 0.587 * green + 0.114 * blue < 140.0;
        let ink = Color::Fixed(if dark { [255, 255, 255] } else { [31, 36, 43] });
        let (x, y) = (left + (column + 0.5) * cell.0, top + (row + 0.5) * cell.1 + TICK * 0.36);
        scene.text(x, y.round(), Align::Center, Line::new(text, TICK, ink));
    }
}

fn name(names: Option<&[String]>, index: usize) -> String {
    names.and_then(|names| names.get(index)).cloned().unwrap_or_else(|| index.to_string())
}

/// Which labels are written: all if they fit; of numbers, each 2nd, 5th, 10th, …
fn stride(named: bool, count: usize, each: f32, needed: f32) -> usize {
    let least = (needed / each).ceil().max(1.0) as usize;
    if named {
        return least;
    }
    let round = (0..9).flat_map(|power| [1, 2, 5].map(|multiple| multiple * 10usize.pow(power)));
    round.into_iter().find(|stride| *stride >= least).unwrap_or(count.max(1))
}

fn length(text: &str) -> f32 {
    measure(text, TICK, Weight::Regular)
}
