//! Figures with a title and a caption of the user's.

use super::{Presenter, figure, made_by, on_type};
use crate::error::Result;
use crate::render::Figure;
use crate::session::builtins::Lettered;

inventory::submit! {
    Presenter {
        figure: on_type!(Lettered, captioned, Ok(None)),
        provenance: Some(on_type!(Lettered, |value: &Lettered| made_by(&value.value), None)),
        ..Presenter::of::<Lettered>()
    }
}

fn captioned(value: &Lettered) -> Result<Option<Figure>> {
    let Some(mut inner) = figure(&value.value)? else { return Ok(None) };
    inner.title = value.title.clone().or(inner.title);
    inner.caption = value.caption.clone().or(inner.caption);
    Ok(Some(inner))
}
