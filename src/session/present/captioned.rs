//! Figures with a title, a caption and a layout of the user's.

use super::{Presenter, figure, made_by, name, on_type};
use crate::error::Result;
use crate::render::{Body, Figure};
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
    let Some(mut inner) = figure(&value.value)? else { return Ok(None) };
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
