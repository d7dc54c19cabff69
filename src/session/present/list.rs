//! Lists: things to look at stand side by side; pictures alone make a sheet.

use rhai::Array;

use super::{MOST_TILES, Presenter, figure, made_by, name, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::render::{Body, Figure, Grid, Tile};

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Array, row, Ok(None))),
        name: on_type!(Array, names, None),
        provenance: Some(on_type!(Array, all_made_by, None)),
        ..Presenter::of::<Array>()
    }
}

fn row(items: &Array) -> Result<Option<Figure>> {
    let images: Vec<Image> = items.iter().filter_map(|item| item.clone().try_cast::<Image>()).collect();
    if !images.is_empty() && images.len() == items.len() && images.len() > 3 {
        let all = images.len();
        let tiles = images.into_iter().take(MOST_TILES).map(Tile::image).collect();
        let figure = Figure::new(Body::Grid(Grid::new(tiles)));
        return Ok(Some(match all > MOST_TILES {
            true => figure.captioned(format!("The first {MOST_TILES} of {all}.")),
            false => figure,
        }));
    }
    let figures = items.iter().map(figure).collect::<Result<Option<Vec<_>>>>()?;
    Ok(figures.filter(|figures| !figures.is_empty()).map(|figures| Figure::new(Body::Row(figures.into()))))
}

/// How many things side by side give their names.
const MOST_NAMES: usize = 3;

fn names(items: &Array) -> Option<String> {
    let mut names: Vec<String> = items.iter().filter_map(name).collect();
    names.dedup();
    names.truncate(MOST_NAMES);
    (!names.is_empty()).then(|| names.join(" "))
}

fn all_made_by(items: &Array) -> Option<String> {
    let all: Vec<String> = items.iter().filter_map(made_by).collect();
    (!all.is_empty()).then(|| all.join("; "))
}
