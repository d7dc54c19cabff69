//! Figures with a title, a caption and a layout of the user's.

use std::fmt;

use super::{Presenter, figure, made_by, name, on_type};
use crate::error::Result;
use crate::lang::{Dynamic, describe, value_type};
use crate::render::{Body, Figure, Theme};

/// A value with what is written above and below it.
#[derive(Clone, Debug)]
pub struct Captioned {
    /// What is shown.
    pub value: Dynamic,
    /// What stands above it.
    pub title: Option<String>,
    /// What stands below it.
    pub caption: Option<String>,
    /// How many of a list stand side by side.
    pub columns: Option<usize>,
    /// For which page it is drawn.
    pub theme: Option<Theme>,
}

value_type!(Captioned, "figure", "a figure", "Something to look at, with a title and a caption.");

impl fmt::Display for Captioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "figure of {}", describe(&self.value))?;
        self.title.as_ref().map_or(Ok(()), |title| write!(f, ": {title}"))
    }
}

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
