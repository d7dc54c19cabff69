//! What was made to fool a network about many images: the thing itself, and what it does to some.

use super::{Presenter, capital, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::plot::{Data, Plot};
use crate::render::{Body, Figure, Grid, Row, Tile};
use crate::vis::fooling::{Fooled, Patch, PerturbationNetwork, Universal};

/// Images that are shown at most.
const MOST: usize = 8;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Universal, universal, Ok(None))),
        name: on_type!(Universal, |_: &Universal| Some("universal perturbation".to_owned()), None),
        ..Presenter::of::<Universal>()
    }
}

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Patch, patch, Ok(None))),
        name: on_type!(Patch, |_: &Patch| Some("adversarial patch".to_owned()), None),
        ..Presenter::of::<Patch>()
    }
}

inventory::submit! {
    Presenter {
        figure: Some(on_type!(PerturbationNetwork, network, Ok(None))),
        name: on_type!(PerturbationNetwork, |_: &PerturbationNetwork| Some("perturbation network".to_owned()), None),
        ..Presenter::of::<PerturbationNetwork>()
    }
}

fn universal(value: &Universal) -> Result<Option<Figure>> {
    let [width, height] = value.size;
    let scale = 0.5 / value.epsilon as f32;
    let planes = value.delta.iter().map(|change| 0.5 + scale * change).collect();
    let picture = Figure::new(Body::Picture(Image::from_planes(width, height, planes, None)?));
    let picture = picture.captioned(format!("What is added to each image, ×{scale:.1}: grey is no change."));
    let rates = rates(&value.rates, "epoch")?;
    page(value.to_string(), vec![Some(picture), rates], &value.results).map(Some)
}

fn patch(value: &Patch) -> Result<Option<Figure>> {
    let picture = Figure::new(Body::Picture(value.image.clone())).captioned("The patch.");
    page(value.to_string(), vec![Some(picture), rates(&value.rates, "step")?], &value.results).map(Some)
}

fn network(value: &PerturbationNetwork) -> Result<Option<Figure>> {
    page(value.to_string(), vec![rates(&value.rates, "step")?], &value.results).map(Some)
}

/// The share of images that fooled the network, on the way.
fn rates(rates: &[f64], step: &str) -> Result<Option<Figure>> {
    if rates.len() < 2 {
        return Ok(None);
    }
    let x = (1..=rates.len()).map(|number| number as f64).collect();
    let line = Plot::new(Data::Line { x, y: rates.into(), error: None })?.axis_titles(step, "share of images");
    Ok(Some(Figure::new(Body::Plot(line)).titled("Images that fool the network")))
}

/// The parts above, and below them images as they became, with what the network takes them for.
fn page(title: String, above: Vec<Option<Figure>>, results: &[Fooled]) -> Result<Figure> {
    let above: Vec<Figure> = above.into_iter().flatten().collect();
    let mut figures = Vec::new();
    if !above.is_empty() {
        figures.push(Figure::new(Body::Row(above.into())));
    }
    if !results.is_empty() {
        let tile = |result: &Fooled| {
            let (own, taken_for) = (&result.own.before.name, &result.taken_for);
            let label = format!("{own} → {} {:.0} %", taken_for.name, 100.0 * taken_for.probability);
            Tile::image(result.image.clone()).label(label)
        };
        let tiles: Vec<Tile> = results.iter().take(MOST).map(tile).collect();
        let count = results.len();
        let fooled = results.iter().filter(|result| result.success).count();
        let caption =
            format!("{fooled} of {count} images, as measured on the PNGs that are read back, fool the network.");
        figures.push(Figure::new(Body::Grid(Grid::new(tiles).columns(4))).captioned(caption));
    }
    if figures.is_empty() {
        figures.push(Figure::new(Body::Row(Row::default())));
    }
    Ok(Figure::new(Body::Row(Row { figures, columns: Some(1) })).titled(capital(&title)))
}
