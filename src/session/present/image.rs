//! Pictures, as they are: what made one stands in the metadata of its PNG.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::render::{Body, Figure};

inventory::submit! {
    Presenter { figure: Some(on_type!(Image, figure, Ok(None))), ..Presenter::of::<Image>() }
}

fn figure(image: &Image) -> Result<Option<Figure>> {
    Ok(Some(Figure::new(Body::Picture(image.clone()))))
}
