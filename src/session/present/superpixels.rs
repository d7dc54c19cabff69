//! Superpixels: the lines between them, and their mean colours.

use super::{Presenter, capital, on_type};
use crate::error::Result;
use crate::image::superpixels::Superpixels;
use crate::render::{Body, Figure};

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Superpixels, figure, Ok(None))),
        ..Presenter::of::<Superpixels>()
    }
}

fn figure(value: &Superpixels) -> Result<Option<Figure>> {
    let lines = Figure::new(Body::Picture(value.boundaries()?)).captioned("The lines between them");
    let means = Figure::new(Body::Picture(value.means()?)).captioned("Each in its mean colour");
    Ok(Some(Figure::new(Body::Row(vec![lines, means].into())).titled(capital(&value.to_string()))))
}
