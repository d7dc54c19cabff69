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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::lang::Dynamic;

    fn shown(count: usize) -> Output {
        let frame = |place: usize| Image::filled(20, 10, [place as f32 / count as f32; 3]).unwrap();
        Output::of(&Dynamic::from(Film::new((0..count).map(frame).collect(), 8.0, true).unwrap())).unwrap()
    }

    #[test]
    fn a_film_moves_and_has_a_strip() {
        let output = shown(24);
        assert_eq!(output.text, "film of 24 frames, 20×10, 8 per second");
        let png = output.png().unwrap().unwrap();
        let control = ::png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap().info().animation_control;
        assert_eq!(control.unwrap().num_frames, 24);
        let figure = output.figure.unwrap();
        assert_eq!(figure.title.as_deref(), Some("Film of 24 frames, 20×10, 8 per second"));
        assert_eq!(figure.to_svg().unwrap().matches("<image ").count(), STRIP);
        assert!(figure.caption.is_some());
        // all of them if they are few
        for count in [1, 2, 6] {
            let figure = shown(count).figure.unwrap();
            assert_eq!(figure.to_svg().unwrap().matches("<image ").count(), count);
            assert!(figure.caption.is_none());
        }
    }
}
