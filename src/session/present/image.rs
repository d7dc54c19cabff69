//! Pictures; those that a method made say how.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::lang::overloads;
use crate::render::{Body, Figure};

inventory::submit! {
    Presenter { figure: Some(on_type!(Image, figure, Ok(None))), ..Presenter::of::<Image>() }
}

fn figure(image: &Image) -> Result<Option<Figure>> {
    let figure = Figure::new(Body::Picture(image.clone()));
    Ok(Some(match image.provenance().filter(|call| made_by_method(call)) {
        Some(call) => figure.captioned(call.to_owned()),
        None => figure,
    }))
}

/// Was it made by a method, whose layer and other choices a reader wants to know, or only loaded or resized?
fn made_by_method(call: &str) -> bool {
    let name = call.split('(').next().unwrap_or_default();
    overloads(name).iter().any(|function| function.section().starts_with("vis/"))
}
