//! Pictures side by side: small ones as a sheet, larger ones as figures of their own, and plots beneath.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::lang::Dynamic;
use crate::render::{Body, Figure, Grid, Row, Tile};
use crate::vis::{Panel, Panels};

/// Pictures no wider than this, in pixels, with labels of one line make a sheet.
const SMALL: usize = 160;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Panels, figure, Ok(None))),
        name: on_type!(Panels, |panels: &Panels| Some(panels.title.clone()), None),
        ..Presenter::of::<Panels>()
    }
}

fn figure(panels: &Panels) -> Result<Option<Figure>> {
    let is_small = |panel: &Panel| panel.image.width() <= SMALL && !panel.label.contains('\n');
    let mut figure = if panels.panels.iter().all(is_small) {
        let tiles = panels.panels.iter().map(|panel| Tile::image(panel.image.clone()).label(panel.label.clone()));
        let grid = Grid::new(tiles.collect());
        Figure::new(Body::Grid(match panels.columns {
            Some(columns) => grid.columns(columns),
            None => grid,
        }))
    } else {
        let figures = panels
            .panels
            .iter()
            .map(|panel| Figure::new(Body::Picture(panel.image.clone())).captioned(panel.label.replace('\n', ". ")));
        let row = Row::from(figures.collect::<Vec<_>>());
        Figure::new(Body::Row(Row { columns: panels.columns, ..row }))
    };
    if !panels.plots.is_empty() {
        let plots = panels.plots.iter().map(|plot| super::figure(&Dynamic::from(plot.clone())));
        let plots = plots.collect::<Result<Vec<_>>>()?.into_iter().flatten();
        let rows = std::iter::once(figure).chain(plots).collect::<Vec<_>>();
        figure = Figure::new(Body::Row(Row { columns: Some(1), ..Row::from(rows) }));
    }
    let figure = figure.titled(panels.title.clone());
    Ok(Some(match &panels.caption {
        Some(caption) => figure.captioned(caption.clone()),
        None => figure,
    }))
}
