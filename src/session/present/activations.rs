//! Activations: a sheet of channels on one scale.

use super::{MOST_TILES, Presenter, on_type};
use crate::error::Result;
use crate::render::{Body, Colormap, Figure, Grid, Tile};
use crate::vis::representation::Activations;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Activations, figure, Ok(None))),
        name: on_type!(Activations, |value: &Activations| Some(format!("activations {}", value.layer.label())), None),
        ..Presenter::of::<Activations>()
    }
}

fn figure(value: &Activations) -> Result<Option<Figure>> {
    let (channels, height, width) = value.values.dims3()?;
    let planes: Vec<f32> = value.values.flatten_all()?.to_vec1()?;
    let planes: Vec<&[f32]> = planes.chunks((height * width).max(1)).collect();
    let shown = channels.min(MOST_TILES);
    let mut order: Vec<usize> = (0..planes.len()).collect();
    if shown < channels {
        let means: Vec<f64> = planes.iter().map(|plane| plane.iter().map(|value| f64::from(*value)).sum()).collect();
        order.sort_by(|a, b| means[*b].total_cmp(&means[*a]).then(a.cmp(b)));
    }
    let tile = |index: &usize| Ok(Tile::plane(width, height, planes[*index].to_vec())?.label(index.to_string()));
    let tiles = order.iter().take(shown).map(tile).collect::<Result<Vec<_>>>()?;
    let grid = Grid::new(tiles).smooth().colormap(Colormap::Magma).label("activation");
    let mut caption = format!("Each tile is one channel, {height}×{width} units, all on one scale.");
    if shown < channels {
        caption += &format!(" The {shown} strongest of {channels} channels, strongest first.");
    }
    let title = format!("What {} ({}) sees", value.layer.label(), value.layer.name());
    Ok(Some(Figure::new(Body::Grid(grid)).titled(title).captioned(caption)))
}
