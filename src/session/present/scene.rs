//! Scenes: the picture, and which pixels are the thing's.

use super::{Presenter, capital, on_type};
use crate::error::Result;
use crate::image::{Image, Scene};
use crate::render::{Body, Figure};

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Scene, figure, Ok(None))),
        name: on_type!(Scene, |scene: &Scene| Some(format!("scene {}", scene.class.as_deref().unwrap_or_default())), None),
        ..Presenter::of::<Scene>()
    }
}

fn figure(scene: &Scene) -> Result<Option<Figure>> {
    let mask: Vec<f32> = scene.mask().iter().map(|inside| f32::from(u8::from(*inside))).collect();
    let mask = Image::from_planes(scene.image.width(), scene.image.height(), mask.repeat(3), None)?;
    let picture = Figure::new(Body::Picture(scene.image.clone())).captioned("The picture");
    let mask = Figure::new(Body::Picture(mask)).captioned("Its mask");
    Ok(Some(Figure::new(Body::Row(vec![picture, mask].into())).titled(capital(&scene.text))))
}
