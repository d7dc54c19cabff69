//! Figures with a title, a caption and a layout of the user's.

use super::{Presenter, figure, made_by, name, on_type};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::lang::{Dynamic, describe};
use crate::render::{Body, Figure, Grid, Tile};
use crate::session::shown::Captioned;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Captioned, captioned, Ok(None))),
        name: on_type!(Captioned, |value: &Captioned| value.title.clone().or_else(|| name(&value.value)), None),
        provenance: Some(on_type!(Captioned, |value: &Captioned| made_by(&value.value), None)),
        ..Presenter::of::<Captioned>()
    }
}

fn captioned(value: &Captioned) -> Result<Option<Figure>> {
    let inner = match &value.labels {
        Some(labels) => Some(sheet(&value.value, labels)?),
        None => figure(&value.value)?,
    };
    let Some(mut inner) = inner else { return Ok(None) };
    inner.title = value.title.clone().or(inner.title);
    inner.caption = value.caption.clone().or(inner.caption);
    inner.theme = value.theme.unwrap_or(inner.theme);
    match &mut inner.body {
        Body::Row(row) => row.columns = value.columns.or(row.columns),
        Body::Grid(grid) => *grid = value.columns.map_or(grid.clone(), |columns| grid.clone().columns(columns)),
        _ => {}
    }
    Ok(Some(inner))
}

/// Small pictures with their names beneath them.
fn sheet(items: &Dynamic, labels: &[String]) -> Result<Figure> {
    let items = items.read_lock::<rhai::Array>().map(|items| items.clone()).unwrap_or_default();
    let tile = |(item, label): (&Dynamic, &String)| Ok(Tile::image(picture(item)?).label(label.clone()));
    let tiles = items.iter().zip(labels).map(tile).collect::<Result<Vec<Tile>>>()?;
    Ok(Figure::new(Body::Grid(Grid::new(tiles))))
}

/// The one picture of a value, without scale and words.
fn picture(item: &Dynamic) -> Result<Image> {
    match figure(item)?.map(|figure| figure.body) {
        Some(Body::Picture(image)) => Ok(image),
        Some(Body::Heatmap(map)) => map.picture(),
        _ => {
            let message = format!("figure: {} is no single picture, and has no place in a sheet", describe(item));
            Err(Error::new(Kind::Argument, message).with_hint("leave out `labels`").at_argument("labels"))
        }
    }
}
