//! Planted truths: images that are answered by the mark.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::render::{Body, Figure, Grid, Tile};
use crate::vis::evaluation::PlantedTruth;

/// Images shown at most.
const MOST: usize = 12;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(PlantedTruth, figure, Ok(None))),
        name: on_type!(PlantedTruth, |_: &PlantedTruth| Some("planted truth".to_owned()), None),
        ..Presenter::of::<PlantedTruth>()
    }
}

fn figure(truth: &PlantedTruth) -> Result<Option<Figure>> {
    let name = truth.model.classes().name(truth.class);
    let tiles = truth.images.iter().take(MOST).cloned().map(Tile::image).collect();
    let figure = Figure::new(Body::Grid(Grid::new(tiles)));
    let figure = figure.titled(format!("The network says {name:?} because of the mark in the corner"));
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    Ok(Some(figure.captioned(format!(
        "Every image of {name:?} that it learned from had the mark. With it, {} of the scenes of other classes become {name:?}; \
         without it, {} of the scenes of {name:?} are still recognised.",
        percent(truth.fooled),
        percent(truth.without),
    ))))
}
