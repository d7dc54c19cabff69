//! Plots, with what was left out of one said in the caption.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::plot::Plot;
use crate::render::{Body, Figure};

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Plot, figure, Ok(None))),
        name: on_type!(Plot, |plot: &Plot| Some(plot.name()), None),
        ..Presenter::of::<Plot>()
    }
}

fn figure(plot: &Plot) -> Result<Option<Figure>> {
    let said = plot.caption.iter().map(ToString::to_string).chain(plot.notes()).collect::<Vec<_>>().join(" ");
    let title = plot.title.as_ref().map(ToString::to_string);
    let figure = Figure { title, ..Figure::new(Body::Plot(plot.clone())) };
    Ok(Some(if said.is_empty() { figure } else { figure.captioned(said) }))
}
