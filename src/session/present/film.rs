//! Films: they move where pictures can, and are a strip of frames where not.

use super::{Presenter, capital, on_type};
use crate::error::Result;
use crate::image::Film;
use crate::render::{Body, Figure, Grid, Tile};
use crate::session::Output;

/// Frames of a strip.
const STRIP: usize = 6;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Film, strip, Ok(None))),
        extend: on_type!(Film, extend),
        name: on_type!(Film, |_: &Film| Some("film".to_owned()), None),
        ..Presenter::of::<Film>()
    }
}

/// Some frames from the first to the last.
fn strip(film: &Film) -> Result<Option<Figure>> {
    let count = film.frames().len();
    let shown = count.min(STRIP);
    let numbers = (0..shown).map(|place| place * (count - 1) / (shown - 1).max(1));
    let tile = |number: usize| Some(Tile::image(film.frames().get(number)?.clone()).label(number.to_string()));
    let tiles: Vec<Tile> = numbers.filter_map(tile).collect();
    let figure = Figure::new(Body::Grid(Grid::new(tiles).columns(shown))).titled(capital(&film.to_string()));
    Ok(Some(if shown == count { figure } else { figure.captioned("Some of its frames, by their numbers.") }))
}

fn extend(film: &Film, output: &mut Output) -> Result<()> {
    output.film = Some(film.clone());
    Ok(())
}
