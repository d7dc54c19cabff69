//! Many small pictures or planes of numbers: filters, kernels, activations.

use super::colorbar::colorbar;
use super::colormap::Colormap;
use super::picture::smooth;
use super::raster::Raster;
use super::scale::{Range, Span, check_plane};
use super::scene::{Align, Scene};
use super::style::{INK, LABEL, QUIET, TICK, TRACK, Theme};
use super::text::{Line, Weight, measure, shorten};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};

/// The tallest a matrix becomes, unless its kernels need more.
const MAX_HEIGHT: f32 = 1350.0;
/// A colour bar need not be as wide as a wide grid.
const BAR_WIDTH: f32 = 420.0;
/// The widest a label makes its tile.
const LABEL_WIDTH: f32 = 150.0;
/// The line of a table that names its rows or columns.
const HEAD: f32 = LABEL + 8.0;
/// Between the blocks of a tall table.
const BLOCK_GAP: f32 = 20.0;

/// One picture of a grid.
#[derive(Clone, Debug)]
pub struct Tile {
    content: Content,
    label: Option<String>,
}

#[derive(Clone, Debug)]
enum Content {
    Image(Image),
    Plane { width: usize, height: usize, values: Vec<f32> },
}

impl Tile {
    /// A picture in its own colours.
    pub fn image(image: Image) -> Self {
        Self { content: Content::Image(image), label: None }
    }

    /// A plane of `width × height` numbers, row by row from the top; all must be finite.
    pub fn plane(width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        check_plane("a tile", width, height, &values)?;
        Ok(Self { content: Content::Plane { width, height, values }, label: None })
    }

    /// The same tile with a name beneath it.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    fn size(&self) -> (usize, usize) {
        match &self.content {
            Content::Image(image) => (image.width(), image.height()),
            Content::Plane { width, height, .. } => (*width, *height),
        }
    }

    fn values(&self) -> &[f32] {
        match &self.content {
            Content::Image(_) => &[],
            Content::Plane { values, .. } => values,
        }
    }
}

/// Tiles in rows from the top left.
#[derive(Clone, Debug)]
pub struct Grid {
    tiles: Vec<Tile>,
    columns: Option<usize>,
    matrix: Option<(String, String)>,
    colormap: Colormap,
    range: Range,
    per_tile: bool,
    smooth: bool,
    label: String,
}

impl Grid {
    /// A grid whose columns are chosen so that it is a little wider than tall.
    pub fn new(tiles: Vec<Tile>) -> Self {
        Self {
            tiles,
            columns: None,
            matrix: None,
            colormap: Colormap::Grey,
            range: Range::Auto,
            per_tile: false,
            smooth: false,
            label: String::new(),
        }
    }

    /// So many tiles in a row.
    #[must_use]
    pub fn columns(self, columns: usize) -> Self {
        Self { columns: Some(columns.max(1)), ..self }
    }

    /// A table of tiles, `columns` in a row, whose rows and columns are numbered at the edges and named:
    /// `("output channel", "input channel")`.
    #[must_use]
    pub fn matrix(self, columns: usize, rows_are: impl Into<String>, columns_are: impl Into<String>) -> Self {
        Self { matrix: Some((rows_are.into(), columns_are.into())), ..self.columns(columns) }
    }

    /// The colours of planes, grey if not said.
    #[must_use]
    pub fn colormap(self, colormap: Colormap) -> Self {
        Self { colormap, ..self }
    }

    /// Which values get the ends of the colours: the least and greatest, if not said.
    #[must_use]
    pub fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }

    /// Each plane gets its own range, written beneath it, rather than one for all with a bar.
    #[must_use]
    pub fn per_tile_scale(self) -> Self {
        Self { per_tile: true, ..self }
    }

    /// Planes are enlarged smoothly rather than as squares.
    #[must_use]
    pub fn smooth(self) -> Self {
        Self { smooth: true, ..self }
    }

    /// What the bar measures: `weight`, `activation`.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// The numbers at the ends of the bar, if all planes share one.
    pub fn span(&self) -> Result<Span> {
        self.range.span(self.tiles.iter().flat_map(|tile| tile.values().iter().copied()))
    }

    pub(super) fn layout(&self, room: f32, theme: Theme) -> Result<Scene> {
        let (mut scene, left) = self.arrange(room, theme)?;
        if self.has_bar() {
            let width = (scene.width - left).clamp(200.0, BAR_WIDTH);
            let y = scene.height + 16.0;
            scene.place(left, y, colorbar(width, |t| self.colormap.at(t), self.span()?, &self.label));
        }
        Ok(scene)
    }

    /// The tiles without lettering and without a bar.
    pub(super) fn tiles_only(&self, room: f32, theme: Theme) -> Result<Raster> {
        Ok(self.arrange(room, theme)?.0.paint_pictures())
    }

    /// The tiles in place, and how far from the left they begin.
    fn arrange(&self, room: f32, theme: Theme) -> Result<(Scene, f32)> {
        let largest = |side: fn((usize, usize)) -> usize| self.tiles.iter().map(|tile| side(tile.size())).max();
        let (Some(width), Some(height)) = (largest(|size| size.0), largest(|size| size.1)) else {
            return Err(Error::new(Kind::Argument, "there is nothing to show: the grid has no tiles"));
        };
        match &self.matrix {
            Some(sides) => self.table(room, (width, height), sides, theme),
            None => Ok((self.sheet(room, (width, height))?, 0.0)),
        }
    }

    /// Whether its planes share one scale, which a bar explains.
    pub(super) fn has_bar(&self) -> bool {
        !self.per_tile && self.tiles.iter().any(|tile| matches!(tile.content, Content::Plane { .. }))
    }

    /// The colours from the low end to the high end.
    pub(super) fn colors(&self) -> Colormap {
        self.colormap
    }

    /// What the bar measures.
    pub(super) fn measures(&self) -> &str {
        &self.label
    }

    /// Tiles with labels beneath them.
    fn sheet(&self, room: f32, size: (usize, usize)) -> Result<Scene> {
        let mut scene = Scene::default();
        let labels = self.tiles.iter().map(|tile| self.lines_beneath(tile)).collect::<Result<Vec<_>>>()?;
        let lines = labels.iter().map(Vec::len).max().unwrap_or(0);
        let label_width = labels
            .iter()
            .flatten()
            .map(|line| measure(line, TICK, Weight::Regular))
            .fold(0.0, f32::max)
            .min(LABEL_WIDTH)
            .ceil();
        let columns = self.columns.unwrap_or_else(|| choose_columns(self.tiles.len(), size));
        let gap = if lines > 0 { 10.0 } else { 4.0 };
        let room_each = (room + gap) / columns as f32 - gap;
        let (width, height) = tile_size(size, room_each, self.smooth);
        let cell = (width as f32).max(label_width.min(room_each.max(24.0)));
        let line_height = TICK + 4.0;
        let row_height = height as f32 + if lines > 0 { 4.0 + lines as f32 * line_height } else { 0.0 };
        let shared = self.span()?;
        for (index, (tile, label)) in self.tiles.iter().zip(labels).enumerate() {
            let x = ((index % columns) as f32 * (cell + gap)).round();
            let y = ((index / columns) as f32 * (row_height + gap)).round();
            scene.picture(x, y, self.paint(tile, (width, height), shared)?);
            for (line, text) in label.into_iter().enumerate() {
                let text =
                    Line::new(shorten(&text, TICK, Weight::Regular, cell), TICK, if line == 0 { INK } else { QUIET });
                scene.text(x, y + height as f32 + (line + 1) as f32 * line_height, Align::Left, text);
            }
        }
        Ok(scene)
    }

    fn lines_beneath(&self, tile: &Tile) -> Result<Vec<String>> {
        let mut lines: Vec<String> = tile.label.iter().cloned().collect();
        if self.per_tile && !tile.values().is_empty() {
            lines.push(self.own_span(tile)?.short());
        }
        Ok(lines)
    }

    fn own_span(&self, tile: &Tile) -> Result<Span> {
        self.range.span(tile.values().iter().copied())
    }

    /// Kernels, row by column, with numbers at the edges; and how far from the left they begin.
    ///
    /// A tall table is cut into blocks side by side, where that lets its kernels be larger.
    fn table(
        &self,
        room: f32,
        size: (usize, usize),
        (rows_are, columns_are): &(String, String),
        theme: Theme,
    ) -> Result<(Scene, f32)> {
        let columns = self.columns.unwrap_or(1);
        let rows = self.tiles.len().div_ceil(columns);
        let number_width = measure(&(rows - 1).to_string(), TICK, Weight::Regular);
        let left = (HEAD + number_width + 6.0).round();
        let columns_line = Line::new(format!("{columns_are} →"), LABEL, INK);
        let room_each = |blocks: usize| (room + BLOCK_GAP) / blocks as f32 - BLOCK_GAP - left;
        let cut =
            |blocks: usize| kernel_factor(size, (columns, rows.div_ceil(blocks)), (room_each(blocks), MAX_HEIGHT));
        let fits = |blocks: usize| {
            let (factor, gap) = cut(blocks);
            let sheet = (columns * (size.0 * factor + gap) + gap) as f32;
            sheet.max(columns_line.width()) <= room_each(blocks)
        };
        // of equally good ones, the one with the fewest blocks
        let blocks = (1..=8).rev().filter(|&blocks| fits(blocks)).max_by_key(|&blocks| cut(blocks).0).unwrap_or(1);
        let (factor, gap) = cut(blocks);

        let mut scene = Scene::default();
        let kernels = Kernels { size: (size.0 * factor, size.1 * factor), gap, left };
        let rows_each = rows.div_ceil(blocks);
        for (index, tiles) in self.tiles.chunks(rows_each * columns).enumerate() {
            let mut block = self.block(tiles, index * rows_each, kernels, theme)?;
            block.text(left, LABEL, Align::Left, columns_line.clone());
            let rows_line = Line::new(format!("← {rows_are}"), LABEL, INK);
            let top = HEAD + TICK + 6.0;
            // centred on the rows, or starting with them if they are few
            let middle = top + ((block.height - top) / 2.0).max(rows_line.width() / 2.0);
            block.text_up(LABEL, middle, rows_line);
            let x = if index == 0 { 0.0 } else { (scene.width + BLOCK_GAP).round() };
            scene.place(x, 0.0, block);
        }
        Ok((scene, left))
    }

    /// Some whole rows of a table, the first of which has the number `first_row`.
    fn block(&self, tiles: &[Tile], first_row: usize, kernels: Kernels, theme: Theme) -> Result<Scene> {
        let Kernels { size: (width, height), gap, left } = kernels;
        let columns = self.columns.unwrap_or(1);
        let rows = tiles.len().div_ceil(columns);
        let top = (HEAD + TICK + 6.0).round();
        let shared = self.span()?;
        let mut sheet = Raster::new(columns * (width + gap) + gap, rows * (height + gap) + gap, theme.rgb(TRACK));
        for (index, tile) in tiles.iter().enumerate() {
            let (x, y) = (index % columns * (width + gap) + gap, index / columns * (height + gap) + gap);
            sheet.blit(x as i64, y as i64, &self.paint(tile, (width, height), shared)?);
        }
        let mut scene = Scene::default();
        scene.picture(left, top, sheet);
        let middle = |index: usize, length: usize| (gap + index * (length + gap)) as f32 + length as f32 / 2.0;
        let widest = measure(&(columns - 1).to_string(), TICK, Weight::Regular);
        for column in (0..columns).step_by(stride((width + gap) as f32, widest + 10.0)) {
            let number = Line::new(column.to_string(), TICK, QUIET);
            scene.text(left + middle(column, width), top - 5.0, Align::Center, number);
        }
        for row in (0..rows).step_by(stride((height + gap) as f32, TICK + 6.0)) {
            let number = Line::new((first_row + row).to_string(), TICK, QUIET);
            scene.text(left - 6.0, top + middle(row, height) + TICK * 0.36, Align::Right, number);
        }
        Ok(scene)
    }

    /// A tile at a size in pixels; `shared` is the span of a plane without one of its own.
    fn paint(&self, tile: &Tile, (width, height): (usize, usize), shared: Span) -> Result<Raster> {
        let (own_width, own_height) = tile.size();
        // tiles of several sizes in one grid keep their shape
        let fit = (width as f32 / own_width as f32).min(height as f32 / own_height as f32);
        let factor = fit.floor() as usize;
        let scaled = |length: usize| ((length as f32 * fit).round() as usize).max(1);
        match &tile.content {
            Content::Image(image) if factor >= 1 && own_width.max(own_height) <= 32 => {
                Ok(Raster::from_image(image).enlarge(factor))
            }
            Content::Image(image) => {
                Ok(Raster::from_image(&image.flatten(WHITE).resize(scaled(own_width), scaled(own_height))?))
            }
            Content::Plane { values, .. } => {
                let span = if self.per_tile { self.own_span(tile)? } else { shared };
                let color = |values: &[f32], index: usize| {
                    self.colormap.at(span.position(values.get(index).copied().unwrap_or_default()))
                };
                if factor >= 1 && !self.smooth {
                    let plane = Raster::from_fn(own_width, own_height, |x, y| color(values, y * own_width + x));
                    return Ok(plane.enlarge(factor));
                }
                let (width, height) = (scaled(own_width), scaled(own_height));
                let values = smooth(values, (own_width, own_height), (width, height))?;
                Ok(Raster::from_fn(width, height, |x, y| color(&values, y * width + x)))
            }
        }
    }
}

/// How the kernels of a table are laid out, in pixels.
#[derive(Clone, Copy)]
struct Kernels {
    /// Of one kernel.
    size: (usize, usize),
    /// Between two of them.
    gap: usize,
    /// What stands left of them.
    left: f32,
}

/// The number of columns that makes a sheet about 1.4 times as wide as tall, with a last row that is full
/// if one can be had; a few stand side by side.
fn choose_columns(count: usize, (width, height): (usize, usize)) -> usize {
    if count <= 4 {
        return count;
    }
    let cost = |columns: usize| {
        let rows = count.div_ceil(columns);
        let shape = (columns * width) as f32 / (rows * height) as f32;
        let missing = (rows * columns - count) as f32 / columns as f32;
        (shape / 1.4).ln().abs() + if missing > 0.0 { 0.4 + 0.4 * missing } else { 0.0 }
    };
    (1..=count.min(64)).min_by(|&a, &b| cost(a).total_cmp(&cost(b))).unwrap_or(1)
}

/// How large a tile of this size is shown if it may be `room` pixels wide.
fn tile_size((width, height): (usize, usize), room: f32, smooth: bool) -> (usize, usize) {
    let longest = width.max(height) as f32;
    let wanted = match longest as usize {
        0..=8 => 72.0f32,
        9..=32 => 112.0,
        33..=128 => longest.max(120.0),
        _ => longest.min(320.0),
    };
    let factor = (wanted / longest).min(room.max(1.0) / width as f32);
    // squares of pixels are all of one size only if they are enlarged by a whole number
    let factor = if factor >= 1.0 && longest <= 64.0 && !smooth { factor.floor() } else { factor };
    let scaled = |length: usize| ((length as f32 * factor).round() as usize).max(1);
    (scaled(width), scaled(height))
}

/// How many pixels a weight gets on either side in a table of `(columns, rows)` kernels, and the gap
/// between two kernels.
fn kernel_factor(size: (usize, usize), count: (usize, usize), room: (f32, f32)) -> (usize, usize) {
    let cell = (room.0 / count.0 as f32).min(room.1 / count.1 as f32);
    let longest = size.0.max(size.1) as f32;
    let gap = match cell {
        ..4.0 => 0,
        ..14.0 => 1,
        ..40.0 => 2,
        _ => 4,
    };
    let wanted = (cell - gap as f32).min(if longest <= 1.0 { 24.0 } else { 60.0 });
    (((wanted / longest) as usize).max(1), gap)
}

/// 1, 2, 4, 8, …: the first with which labels of this length, `step` pixels apart, do not touch.
fn stride(step: f32, length: f32) -> usize {
    let mut stride = 1;
    while stride as f32 * step < length && stride < 1 << 20 {
        stride *= 2;
    }
    stride
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sheets_have_a_good_shape() {
        let columns = |count| choose_columns(count, (10, 10));
        assert_eq!([1, 3, 8, 16, 64, 96, 512, 1000].map(columns), [1, 3, 4, 4, 8, 12, 32, 40]);
        assert!((5..12).contains(&columns(61)));
    }

    #[test]
    fn kernels_are_as_large_as_the_page_allows() {
        let room = (1300.0, 1350.0);
        assert_eq!(kernel_factor((1, 1), (64, 16), room), (18, 2));
        assert_eq!(kernel_factor((3, 3), (64, 64), room), (6, 2));
        assert_eq!(kernel_factor((1, 1), (1000, 4), room), (1, 0));
        assert_eq!(kernel_factor((3, 3), (9000, 4), room).0, 1);
    }

    #[test]
    fn all_planes_share_a_scale_unless_told() {
        let tiles = vec![Tile::plane(1, 1, vec![-1.0]).unwrap(), Tile::plane(1, 1, vec![3.0]).unwrap()];
        let grid = Grid::new(tiles);
        assert_eq!(grid.span().unwrap(), Span { low: -1.0, high: 3.0 });
        assert!(grid.has_bar() && !grid.clone().per_tile_scale().has_bar());
        let raster = grid.tiles_only(500.0, Theme::Light).unwrap();
        assert_eq!(raster.pixel(0, 0), Some([0; 3]));
        assert_eq!(raster.pixel(raster.width() - 1, 0), Some([255; 3]));
        assert_eq!(grid.per_tile_scale().tiles_only(500.0, Theme::Light).unwrap().pixel(0, 0), Some([128; 3]));
    }
}
