//! Figures as coloured text, for any terminal.
//!
//! The lettering of a figure is not legible at this resolution, so it is written as text around the
//! pictures instead.

use std::fmt::Write as _;

use super::bars::{Bars, percent};
use super::figure::{Body, Figure};
use super::picture::show_picture;
use super::plot::{self, Small};
use super::raster::Raster;
use super::scale::Span;
use super::style::{ACCENT, ACCENT_PALE, Rgb, Theme};
use crate::error::Result;
use crate::plot::Plot;

/// How wide a figure is drawn before it is shrunk to characters, in pixels.
const ROOM: f32 = 900.0;

/// The lines that title, bar and prompt take from a picture's height.
const OTHER_LINES: usize = 4;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// A figure in at most `columns` characters of width, and its pictures in at most `rows` lines.
pub fn draw(figure: &Figure, columns: usize, rows: usize, true_color: bool) -> Result<String> {
    let mut canvas = Canvas {
        text: String::new(),
        columns,
        rows: rows.saturating_sub(OTHER_LINES).max(8),
        true_color,
        theme: figure.theme,
    };
    canvas.figure(figure)?;
    Ok(canvas.text)
}

struct Canvas {
    text: String,
    columns: usize,
    rows: usize,
    true_color: bool,
    theme: Theme,
}

impl Canvas {
    fn figure(&mut self, figure: &Figure) -> Result<()> {
        if let Some(title) = &figure.title {
            self.line(BOLD, title);
        }
        match &figure.body {
            Body::Picture(image) => self.picture(&show_picture(image, ROOM)?)?,
            Body::Grid(grid) => {
                self.picture(&grid.tiles_only(ROOM, self.theme)?)?;
                if grid.has_bar() {
                    self.colorbar(|t| grid.colors().at(t), grid.span()?, grid.measures());
                }
            }
            Body::Heatmap(heatmap) => {
                self.picture(&heatmap.paint(ROOM)?)?;
                self.colorbar(|t| heatmap.colors().at(t), heatmap.span()?, heatmap.measures());
            }
            // of a sum, its text says as much
            Body::Ledger(ledger) => {
                if let Some(image) = &ledger.thumbnail {
                    self.picture(&show_picture(image, ROOM)?)?;
                }
            }
            Body::Bars(bars) => self.bars(bars)?,
            Body::Plot(plot) => self.plot(plot)?,
            Body::Row(row) => {
                for (index, figure) in row.figures.iter().enumerate() {
                    if index > 0 {
                        self.text.push('\n');
                    }
                    self.figure(figure)?;
                }
            }
        }
        if let Some(caption) = &figure.caption {
            self.line(DIM, caption);
        }
        Ok(())
    }

    fn line(&mut self, style: &str, text: &str) {
        for line in text.lines() {
            let _ = writeln!(self.text, "{style}{line}{PLAIN}");
        }
    }

    /// A picture, two of its rows to a line.
    fn picture(&mut self, picture: &Raster) -> Result<()> {
        let picture = picture.shrink_to(self.columns, 2 * self.rows)?;
        self.pixels(&picture, |_| String::new());
        Ok(())
    }

    /// A picture as it is, with a text before each line.
    fn pixels(&mut self, picture: &Raster, before: impl Fn(usize) -> String) {
        for y in (0..picture.height()).step_by(2) {
            self.text += &before(y / 2);
            let mut colors = None;
            for x in 0..picture.width() {
                let (upper, lower) = (picture.pixel(x, y).unwrap_or_default(), picture.pixel(x, y + 1));
                if colors != Some((upper, lower)) {
                    self.paint_with(upper, lower);
                    colors = Some((upper, lower));
                }
                self.text.push('▀');
            }
            self.text += PLAIN;
            self.text.push('\n');
        }
    }

    /// A plot: its area in pixels, its lettering as text.
    fn plot(&mut self, plot: &Plot) -> Result<()> {
        let Small { picture, left, below, legend, bar } = plot::small(plot, self.columns, self.rows, self.theme)?;
        let side = left.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0);
        if let Some(title) = &plot.y.title {
            self.line(DIM, &format!("↑ {title}"));
        }
        self.pixels(&picture, |line| {
            let text = left.iter().find(|(at, _)| *at == line).map_or("", |(_, text)| text);
            format!("{DIM}{text:>side$}{PLAIN} ")
        });
        self.line(DIM, &labels_below(&below, side + 1, self.columns));
        if let Some(title) = &plot.x.title {
            self.line(DIM, &format!("{:side$} → {title}", ""));
        }
        for (color, name) in legend {
            let _ = write!(self.text, "{:side$} ", "");
            self.paint_with(color, None);
            let _ = writeln!(self.text, "■{PLAIN} {name}");
        }
        if let Some((span, map, label)) = bar {
            self.colorbar(|t| map.at(t), span, &label);
        }
        Ok(())
    }

    /// Sets the colour of the letters, and that behind them.
    fn paint_with(&mut self, front: Rgb, behind: Option<Rgb>) {
        let code = |color: Rgb| {
            if self.true_color {
                let [r, g, b] = color;
                format!("2;{r};{g};{b}")
            } else {
                format!("5;{}", nearest_of_256(color))
            }
        };
        let behind = behind.map_or_else(|| "49".to_owned(), |color| format!("48;{}", code(color)));
        let _ = write!(self.text, "\x1b[38;{};{behind}m", code(front));
    }

    fn colorbar(&mut self, color: impl Fn(f32) -> Rgb, span: Span, label: &str) {
        const LENGTH: usize = 24;
        let (low, high) = span.ends();
        let _ = write!(self.text, "{low} ");
        for i in 0..LENGTH {
            let t = if span.low < span.high { i as f32 / (LENGTH - 1) as f32 } else { 0.5 };
            self.paint_with(color(t), None);
            self.text.push('█');
        }
        let _ = writeln!(self.text, "{PLAIN} {high}  {DIM}{label}{PLAIN}");
    }

    fn bars(&mut self, bars: &Bars) -> Result<()> {
        if let Some(image) = bars.picture() {
            let all = self.columns;
            self.columns = all.min(40);
            self.picture(&show_picture(image, ROOM)?)?;
            self.columns = all;
        }
        let longest = bars.bars().iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0);
        let names = longest.min(self.columns / 2);
        let length = self.columns.saturating_sub(names + 12).clamp(4, 40);
        let best = bars.bars().iter().map(|bar| bar.value).fold(f32::NEG_INFINITY, f32::max);
        for bar in bars.bars() {
            let name: String = if bar.name.chars().count() > names {
                bar.name.chars().take(names.saturating_sub(1)).chain(['…']).collect()
            } else {
                bar.name.clone()
            };
            let first = bar.value == best;
            let style = if first { BOLD } else { "" };
            let _ = write!(self.text, "{style}{name:names$}{PLAIN}  ");
            self.paint_with(self.theme.rgb(if first { ACCENT } else { ACCENT_PALE }), None);
            let filled = eighths(bar.value, length);
            let rest = length - filled.chars().count();
            let _ = writeln!(self.text, "{filled}{PLAIN}{:rest$} {style}{:>8}{PLAIN}", "", percent(bar.value));
        }
        Ok(())
    }
}

/// Labels around the columns of their middles, those left out that would touch the one before.
fn labels_below(labels: &[(usize, String)], indent: usize, columns: usize) -> String {
    let mut line = String::new();
    let mut written = 0;
    for (middle, label) in labels {
        let length = label.chars().count();
        let start = (indent + middle).saturating_sub(length / 2).min(columns.saturating_sub(length));
        if start >= written + usize::from(written > 0) * 2 {
            line += &format!("{:1$}{label}", "", start - written);
            written = start + length;
        }
    }
    line
}

/// A bar of blocks, exact to an eighth of a character; a full one is `length` long.
fn eighths(share: f32, length: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * length as f32 * 8.0).round() as usize;
    "█".repeat(eighths / 8) + PARTS.get(eighths % 8).copied().unwrap_or_default()
}

/// The nearest of xterm's colours: the 6×6×6 cube or the grey ramp.
fn nearest_of_256(color: Rgb) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let distance = |a: Rgb, b: Rgb| -> u32 { a.iter().zip(b).map(|(&a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    let level = |c: u8| (0..6u8).zip(LEVELS).min_by_key(|(_, level)| level.abs_diff(c)).unwrap_or_default();
    let [(r, red), (g, green), (b, blue)] = color.map(level);
    let mean = color.iter().map(|&c| u32::from(c)).sum::<u32>() / 3;
    let step = (mean.saturating_sub(3) / 10).min(23) as u8;
    if distance(color, [8 + 10 * step; 3]) < distance(color, [red, green, blue]) {
        232 + step
    } else {
        16 + 36 * r + 6 * g + b
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::render::{Bar, Grid, Heatmap, Tile};

    fn visible(text: &str) -> Vec<String> {
        text.lines()
            .map(|line| {
                let mut out = String::new();
                let mut rest = line;
                while let Some((before, after)) = rest.split_once('\x1b') {
                    out += before;
                    rest = after.split_once('m').unwrap().1;
                }
                out + rest
            })
            .collect()
    }

    #[test]
    fn two_rows_to_a_line() {
        let image = Image::from_planes(1, 3, [1.0, 0.0, 0.5].repeat(3), None).unwrap();
        let mut canvas = Canvas { text: String::new(), columns: 80, rows: 20, true_color: true, theme: Theme::Light };
        canvas.picture(&Raster::from_image(&image)).unwrap();
        let expected = "\x1b[38;2;255;255;255;48;2;0;0;0m▀\x1b[0m\n\x1b[38;2;128;128;128;49m▀\x1b[0m\n";
        assert_eq!(canvas.text, expected);
    }

    #[test]
    fn everything_fits_the_terminal() {
        let photo = crate::image::photo("chelsea").unwrap();
        let tiles = (0..64).map(|i| Tile::plane(5, 5, vec![i as f32; 25]).unwrap().label("a label")).collect();
        let bars = Bars::new(vec![
            Bar { name: "Egyptian cat".into(), value: 0.63 },
            Bar { name: "a very long name of a class that no terminal has room for".into(), value: 0.2 },
        ]);
        let figures = vec![
            Figure::new(Body::Picture(photo.clone())).titled("title"),
            Figure::new(Body::Grid(Grid::new(tiles))),
            Figure::new(Body::Heatmap(Heatmap::new(4, 3, (0..12).map(|i| i as f32).collect()).unwrap().over(photo))),
            Figure::new(Body::Bars(bars)).captioned("caption"),
        ];
        let row = Figure::new(Body::Row(figures.into()));
        for (columns, rows, true_color) in [(79, 24, true), (40, 10, false)] {
            let lines = visible(&draw(&row, columns, rows, true_color).unwrap());
            assert!(lines.iter().all(|line| line.chars().count() <= columns), "{lines:#?}");
            assert!(lines.contains(&"title".to_owned()) && lines.contains(&"caption".to_owned()));
            assert!(lines.iter().any(|line| line.starts_with("0 ██") && line.contains(" 11 ")));
        }
    }

    #[test]
    fn bars_are_exact_to_an_eighth() {
        assert_eq!(eighths(0.5, 8), "████");
        assert_eq!(eighths(1.0 / 64.0, 8), "▏");
        assert_eq!(eighths(7.0, 2), "██");
        assert_eq!(eighths(f32::NAN, 2), "");
    }

    #[test]
    fn the_nearest_colours() {
        assert_eq!(nearest_of_256([0, 0, 0]), 16);
        assert_eq!(nearest_of_256([255, 255, 255]), 231);
        assert_eq!(nearest_of_256([255, 0, 0]), 196);
        assert_eq!(nearest_of_256([128, 128, 128]), 244);
    }
}
