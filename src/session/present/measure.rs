//! Measures of attributions: their curves, and reports of several.

use super::table::html;
use super::{Presenter, capital, on_type};
use crate::error::Result;
use crate::render::{Body, Figure, Row, escape};
use crate::session::Output;
use crate::vis::evaluation::{Measure, Ranking, Trust};

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Measure, curve, Ok(None))),
        name: on_type!(Measure, |value: &Measure| Some(format!("{} of {}", value.name, value.of)), None),
        ..Presenter::of::<Measure>()
    }
}

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Trust, curves, Ok(None))),
        name: on_type!(Trust, |value: &Trust| Some(format!("trust {}", value.of)), None),
        extend: on_type!(Trust, extend),
        ..Presenter::of::<Trust>()
    }
}

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Ranking, ranking, Ok(None))),
        name: on_type!(Ranking, |value: &Ranking| Some(format!("ranking of {} methods", value.methods.len())), None),
        extend: on_type!(Ranking, extend_ranking),
        ..Presenter::of::<Ranking>()
    }
}

/// The mean ranks of methods.
fn ranking(value: &Ranking) -> Result<Option<Figure>> {
    let plot = value.plot()?;
    let (title, caption) =
        (plot.title.as_ref().map(ToString::to_string), plot.caption.as_ref().map(ToString::to_string));
    Ok(Some(Figure { title, caption, ..Figure::new(Body::Plot(plot)) }))
}

fn extend_ranking(value: &Ranking, output: &mut Output) -> Result<()> {
    output.html = Some(html(&value.table()));
    Ok(())
}

/// The curves of a measure, with what it says beneath them.
fn curve(value: &Measure) -> Result<Option<Figure>> {
    let Some(plot) = value.plot()? else { return Ok(None) };
    let title = plot.title.as_ref().map(ToString::to_string);
    let figure = Figure { title, ..Figure::new(Body::Plot(plot)) };
    let note = value.note.as_ref().map_or_else(String::new, |note| format!(" {}.", capital(note)));
    Ok(Some(figure.captioned(format!("{:.4}: {} ({}).{note}", value.value, value.meaning, value.better.words()))))
}

/// The curves of a report side by side, with all its numbers beneath them.
fn curves(value: &Trust) -> Result<Option<Figure>> {
    let figures: Vec<Figure> = value.measures.iter().map(curve).filter_map(Result::transpose).collect::<Result<_>>()?;
    if figures.is_empty() {
        return Ok(None);
    }
    let title = format!("Is the map to be trusted? {}", value.of);
    Ok(Some(Figure::new(Body::Row(Row::from(figures))).titled(title).captioned(value.line())))
}

fn extend(value: &Trust, output: &mut Output) -> Result<()> {
    output.html = Some(format!("<p>{}</p>{}", escape(&value.of), html(&value.table())));
    Ok(())
}
