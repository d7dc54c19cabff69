//! Segmentations: what they start from, and what they find.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::render::{Body, Figure};
use crate::vis::segmentation::{Cut, Segmentation};

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Segmentation, figure, Ok(None))),
        name: on_type!(Segmentation, |value: &Segmentation| Some(format!("segmentation {}", value.target)), None),
        ..Presenter::of::<Segmentation>()
    }
}

fn figure(value: &Segmentation) -> Result<Option<Figure>> {
    let how = match value.cut {
        Cut::GrabCut => {
            "Red: sure foreground, where the map is highest. Blue: sure background, where it is lowest. What lies between \
             is decided by colours and edges."
        }
        Cut::Threshold => "Red: where the map is above Otsu's threshold.",
    };
    let start = Figure::new(Body::Picture(value.start()?)).captioned(how);
    let found = format!("{:.1} % of the image", 100.0 * value.share());
    let found = Figure::new(Body::Picture(value.overlay()?)).captioned(found);
    let title = format!("Segmentation of {} by {}", value.target, value.method);
    Ok(Some(Figure::new(Body::Row(vec![start, found].into())).titled(title)))
}
