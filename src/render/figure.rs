//! A figure: a body with a title and a caption, or several figures side by side.

use super::bars::Bars;
use super::grid::Grid;
use super::heatmap::Heatmap;
use super::ledger::Ledger;
use super::picture::show_picture;
use super::plot;
use super::raster::Raster;
use super::scene::{Scene, paragraph};
use super::style::Theme;
use super::style::{CAPTION_GAP, INK, LABEL, MARGIN, MAX_WIDTH, MIN_TEXT_WIDTH, QUIET, ROW_GAP, TITLE, TITLE_GAP};
use super::svg;
use super::text::Line;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::plot::Plot;

/// The most pixels a figure may have.
const MAX_PIXELS: f32 = 150e6;

/// The least width that a figure in a row is squeezed to before the row is broken.
const MIN_ROW_WIDTH: f32 = 280.0;

/// Something to look at.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it is, above it.
    pub title: Option<String>,
    /// What to know about it, beneath it.
    pub caption: Option<String>,
    /// What it shows.
    pub body: Body,
    /// For which page it is drawn.
    pub theme: Theme,
}

/// What a figure shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Body {
    /// One picture.
    Picture(Image),
    /// Many small pictures or planes of numbers.
    Grid(Grid),
    /// A map of numbers, over a picture or alone.
    Heatmap(Heatmap),
    /// Names with their shares.
    Bars(Bars),
    /// Lines, points, bars, a histogram or a matrix of numbers.
    Plot(Plot),
    /// Terms that add up to a number.
    Ledger(Ledger),
    /// Figures side by side, to be compared.
    Row(Row),
}

/// Figures side by side, broken into several lines if they are many.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The figures, from left to right and from top to bottom.
    pub figures: Vec<Figure>,
    /// How many stand in a line; as many as have room if not given.
    pub columns: Option<usize>,
}

impl From<Vec<Figure>> for Row {
    fn from(figures: Vec<Figure>) -> Self {
        Self { figures, columns: None }
    }
}

impl Figure {
    /// A figure without a title or caption.
    pub fn new(body: Body) -> Self {
        Self { title: None, caption: None, body, theme: Theme::default() }
    }

    /// The same figure with a title.
    #[must_use]
    pub fn titled(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// The same figure with a caption.
    #[must_use]
    pub fn captioned(self, caption: impl Into<String>) -> Self {
        Self { caption: Some(caption.into()), ..self }
    }

    /// The same figure for another page.
    #[must_use]
    pub fn themed(self, theme: Theme) -> Self {
        Self { theme, ..self }
    }

    /// The figure in pixels.
    ///
    /// A picture with neither title nor caption is given as it is, pixel by pixel and without a margin.
    pub fn render(&self) -> Result<Raster> {
        if let (Body::Picture(image), None, None) = (&self.body, &self.title, &self.caption) {
            return Ok(Raster::from_image(image));
        }
        Ok(self.page()?.paint(self.theme))
    }

    /// The figure as SVG, if it is drawn: a picture is better off in pixels.
    ///
    /// # Errors
    /// The figure is too large to draw.
    pub fn svg(&self) -> Result<Option<String>> {
        if self.is_drawn() { self.to_svg().map(Some) } else { Ok(None) }
    }

    fn is_drawn(&self) -> bool {
        match &self.body {
            Body::Bars(_) | Body::Plot(_) => true,
            Body::Row(row) => !row.figures.is_empty() && row.figures.iter().all(Self::is_drawn),
            Body::Picture(_) | Body::Grid(_) | Body::Heatmap(_) | Body::Ledger(_) => false,
        }
    }

    /// The figure as SVG, its pictures embedded.
    ///
    /// # Errors
    /// The figure is too large to draw.
    pub fn to_svg(&self) -> Result<String> {
        svg::encode(&self.page()?, self.theme)
    }

    /// The figure with its margins.
    fn page(&self) -> Result<Scene> {
        let content = self.layout(MAX_WIDTH - 2.0 * MARGIN, self.theme)?.stack();
        let (width, height) = (content.width + 2.0 * MARGIN, content.height + 2.0 * MARGIN);
        if width * height > MAX_PIXELS {
            let message = format!("a figure of {width:.0}×{height:.0} pixels is too large to draw");
            return Err(Error::new(Kind::Argument, message).with_hint("show fewer at once"));
        }
        let mut page = Scene::default();
        page.place(MARGIN, MARGIN, content);
        page.grow(width, height);
        Ok(page)
    }

    /// The least width at which its body can be read.
    fn least_width(&self) -> f32 {
        match &self.body {
            Body::Heatmap(heatmap) => heatmap.least_width(),
            Body::Bars(_) => 520.0,
            Body::Grid(_) | Body::Row(_) => 400.0,
            Body::Plot(_) => plot::LEAST_WIDTH,
            Body::Ledger(_) => 900.0,
            Body::Picture(_) => MIN_ROW_WIDTH,
        }
    }

    /// Lays the figure out in at most `room` pixels of width, if its body can be that narrow.
    fn layout(&self, room: f32, theme: Theme) -> Result<Parts> {
        let body = match &self.body {
            Body::Picture(image) => picture(image, room)?,
            Body::Grid(grid) => grid.layout(room, theme)?,
            Body::Heatmap(heatmap) => heatmap.layout(room)?,
            Body::Bars(bars) => bars.layout(room)?,
            Body::Plot(plot) => plot::layout(plot, room)?,
            Body::Ledger(ledger) => ledger.layout(room)?,
            Body::Row(figures) => row(figures, room, theme)?,
        };
        let text_width = body.width.max(MIN_TEXT_WIDTH.min(room));
        let text = |text: &Option<String>, line: Line| {
            text.as_ref().map(|text| paragraph(&Line { text: text.clone(), ..line }, text_width)).unwrap_or_default()
        };
        // the titles within a row are a step below that of the row
        let title = if room < MAX_WIDTH - 2.0 * MARGIN { LABEL + 2.0 } else { TITLE };
        Ok(Parts {
            title: text(&self.title, Line::new("", title, INK).bold()),
            body,
            caption: text(&self.caption, Line::new("", LABEL, QUIET)),
        })
    }
}

/// A figure whose parts are laid out, but not yet put beneath each other.
struct Parts {
    title: Scene,
    body: Scene,
    caption: Scene,
}

impl Parts {
    fn width(&self) -> f32 {
        self.title.width.max(self.body.width).max(self.caption.width)
    }

    fn stack(self) -> Scene {
        let title_height = self.title.height;
        self.stack_below(title_height)
    }

    /// The parts beneath each other, with this height for the title.
    fn stack_below(self, title_height: f32) -> Scene {
        let mut scene = Scene::default();
        let gap = if title_height > 0.0 { TITLE_GAP } else { 0.0 };
        scene.place(0.0, 0.0, self.title);
        scene.place(0.0, (title_height + gap).round(), self.body);
        if self.caption.height > 0.0 {
            let y = (scene.height + CAPTION_GAP).round();
            scene.place(0.0, y, self.caption);
        }
        scene
    }
}

fn picture(image: &Image, room: f32) -> Result<Scene> {
    let mut scene = Scene::default();
    scene.picture(0.0, 0.0, show_picture(image, room)?);
    Ok(scene)
}

fn row(Row { figures, columns }: &Row, room: f32, theme: Theme) -> Result<Scene> {
    let mut scene = Scene::default();
    if figures.is_empty() {
        return Ok(scene);
    }
    let least = figures.iter().map(Figure::least_width).fold(MIN_ROW_WIDTH, f32::max);
    let fit = (((room + ROW_GAP) / (least + ROW_GAP)) as usize).clamp(1, figures.len());
    // as even lines as can be: 5 are 3 and 2, not 4 and 1
    let even = figures.len().div_ceil(figures.len().div_ceil(fit));
    let columns = columns.map_or(even, |columns| columns.clamp(1, fit));
    let width = ((room + ROW_GAP) / columns as f32 - ROW_GAP).floor();
    let mut lines: Vec<Vec<Parts>> = vec![Vec::new()];
    for figure in figures {
        let part = figure.layout(width, theme)?;
        let Some(line) = lines.last_mut() else { continue };
        let taken: f32 = line.iter().map(|part| part.width() + ROW_GAP).sum();
        // a table of very many kernels may be wider than it should
        if line.len() == columns || (!line.is_empty() && taken + part.width() > room) {
            lines.push(vec![part]);
        } else {
            line.push(part);
        }
    }
    // the columns of several lines are aligned, if they are not too wide for that
    let widest = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(Parts::width).fold(0.0, f32::max);
    let widths: Vec<f32> = (0..columns).map(widest).collect();
    let aligned = widths.iter().map(|width| width + ROW_GAP).sum::<f32>() - ROW_GAP <= room + 1.0;
    for line in lines {
        place_line(&mut scene, line, if aligned { &widths } else { &[] });
    }
    Ok(scene)
}

/// Puts figures side by side beneath what the scene has, with the tops of their bodies aligned; each takes at least the
/// width of its column, if that is given.
fn place_line(scene: &mut Scene, parts: Vec<Parts>, widths: &[f32]) {
    let title_height = parts.iter().map(|part| part.title.height).fold(0.0, f32::max);
    let top = if scene.height > 0.0 { (scene.height + ROW_GAP).round() } else { 0.0 };
    let mut left = 0.0;
    for (column, part) in parts.into_iter().enumerate() {
        let width = part.width().max(widths.get(column).copied().unwrap_or_default());
        scene.place(left, top, part.stack_below(title_height));
        left = (left + width + ROW_GAP).floor();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::image::photo;
    use crate::render::style::Rgb;
    use crate::render::{Bar, Planes, Range, Term, Tile};

    const WHITE: Rgb = [255; 3];
    const LONG: &str = "a very long title of a figure, which says at length what can be seen in it and what cannot";

    fn kinds() -> Vec<(&'static str, Body)> {
        let image = photo("chelsea").unwrap();
        let plane = |n: usize, i: usize| (0..n).map(|j| ((i * 7 + j * 3) % 11) as f32 - 5.0).collect::<Vec<_>>();
        let tiles = |count: usize, side: usize| -> Vec<Tile> {
            (0..count).map(|i| Tile::plane(side, side, plane(side * side, i)).unwrap()).collect()
        };
        let labelled = || tiles(5, 13).into_iter().map(|tile| tile.label("channel with a long name"));
        let map = || Heatmap::new(7, 5, plane(35, 1)).unwrap().label(LONG);
        let bar = |name: &str, value| Bar { name: name.into(), value };
        let ledger = |side: usize, thumbnail: Option<Image>| {
            let term =
                |planes: Option<Planes>, value: f64| Term { name: LONG.into(), detail: LONG.into(), planes, value };
            let values = plane(side * side, 3);
            let planes = Some(([side, side], values.clone(), values));
            let terms = vec![term(planes, -1234.5), term(None, 1e9), term(None, 0.0)];
            Ledger { terms, total: LONG.into(), units: ["activation", "weight"], thumbnail }
        };
        let bars = || Bars::new(vec![bar(LONG, 1.0), bar("b", 0.0), bar("c", f32::NAN), bar("d", -2.0), bar("e", 7.0)]);
        vec![
            ("picture", Body::Picture(image.clone())),
            ("tiny", Body::Picture(image.resize(5, 3).unwrap())),
            ("wide", Body::Picture(image.resize(3000, 20).unwrap())),
            ("tall", Body::Picture(image.resize(2, 900).unwrap())),
            ("map", Body::Heatmap(map())),
            ("map over", Body::Heatmap(map().over(image.clone()).show_input(true).range(Range::Symmetric))),
            ("flat map", Body::Heatmap(Heatmap::new(1, 1, vec![3.0]).unwrap())),
            ("huge numbers", Body::Heatmap(Heatmap::new(2, 1, vec![-1e30, 1e30]).unwrap())),
            ("grid", Body::Grid(Grid::new(tiles(64, 3)))),
            ("one tile", Body::Grid(Grid::new(tiles(1, 1)))),
            ("own scales", Body::Grid(Grid::new(labelled().collect()).per_tile_scale().smooth())),
            ("columns", Body::Grid(Grid::new(labelled().collect()).columns(400).label(LONG))),
            ("16×64", Body::Grid(Grid::new(tiles(1024, 1)).matrix(64, "output channel", "input channel"))),
            ("64×64", Body::Grid(Grid::new(tiles(4096, 3)).matrix(64, "output channel", "input channel"))),
            ("300×4", Body::Grid(Grid::new(tiles(1200, 3)).matrix(4, "output channel", "input channel"))),
            ("2×900", Body::Grid(Grid::new(tiles(1800, 1)).matrix(900, "output channel", "input channel"))),
            ("ragged", Body::Grid(Grid::new(tiles(7, 3)).matrix(4, "output channel", "input channel"))),
            (
                "pictures",
                Body::Grid(Grid::new(vec![Tile::image(image.clone()).label(LONG), Tile::image(image.clone())])),
            ),
            ("ledger", Body::Ledger(ledger(3, Some(image.clone())))),
            ("ledger of numbers", Body::Ledger(ledger(1, None))),
            ("ledger of large planes", Body::Ledger(ledger(70, Some(image.clone())))),
            ("bars", Body::Bars(bars().thumbnail(image.clone()))),
            ("no bars", Body::Bars(Bars::new(vec![]))),
            ("no row", Body::Row(Row::default())),
        ]
    }

    fn check(name: &str, figure: &Figure) {
        let raster = figure.render().unwrap();
        let (width, height) = (raster.width(), raster.height());
        assert!(width <= MAX_WIDTH as usize, "{name}: {width} pixels wide");
        // the margin is free all around: nothing is cropped
        for x in 0..width {
            for y in (0..8).chain(height - 8..height) {
                assert_eq!(raster.pixel(x, y), Some(WHITE), "{name}: {x}, {y} of {width}×{height}");
            }
        }
        for y in 0..height {
            for x in (0..8).chain(width - 8..width) {
                assert_eq!(raster.pixel(x, y), Some(WHITE), "{name}: {x}, {y} of {width}×{height}");
            }
        }
    }

    #[test]
    fn nothing_is_cropped() {
        for (name, body) in kinds() {
            check(name, &Figure::new(body).titled(LONG).captioned(LONG.repeat(3)));
        }
    }

    #[test]
    fn rows_are_broken_rather_than_cropped() {
        for count in [2, 3, 5] {
            for (name, body) in kinds().into_iter().filter(|(name, _)| *name != "2×900") {
                let figures = vec![Figure::new(body).titled(LONG).captioned(LONG); count];
                check(name, &Figure::new(Body::Row(figures.into())).titled(LONG));
            }
        }
        let row = Figure::new(Body::Row(
            kinds().into_iter().map(|(name, body)| Figure::new(body).titled(name)).collect::<Vec<_>>().into(),
        ));
        check("all", &row);
        check("nested", &Figure::new(Body::Row(vec![row.clone(), row].into())));
    }

    #[test]
    fn a_bare_picture_is_itself() {
        let image = photo("chelsea").unwrap();
        let raster = Figure::new(Body::Picture(image.clone())).render().unwrap();
        assert_eq!((raster.width(), raster.height()), (451, 300));
        assert_eq!(raster.pixels(), image.to_rgb8());
    }

    #[test]
    fn tops_of_a_row_are_aligned() {
        let square = |color| Figure::new(Body::Picture(Image::filled(300, 300, color).unwrap()));
        let red = square([1.0, 0.0, 0.0]).titled("one line");
        let blue = square([0.0, 0.0, 1.0]).titled(LONG);
        let raster = Figure::new(Body::Row(vec![red, blue].into())).render().unwrap();
        let first = |color| (0..raster.width() * raster.height()).find(|i| raster.pixels()[3 * i..3 * i + 3] == color);
        assert_eq!(first([255, 0, 0]).unwrap() / raster.width(), first([0, 0, 255]).unwrap() / raster.width());
    }

    #[test]
    fn what_cannot_be_drawn_says_so() {
        assert!(Figure::new(Body::Grid(Grid::new(vec![]))).render().is_err());
        let tall = Figure::new(Body::Picture(Image::filled(1, 60_000, [0.0; 3]).unwrap()));
        assert!(Figure::new(Body::Row(vec![tall.titled("t"); 3].into())).render().is_ok());
    }
}
