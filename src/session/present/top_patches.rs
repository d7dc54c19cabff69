//! Patches: a sheet of one channel, or a row for each of several, with the value under each.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::render::{Body, Figure, Grid, Row, Tile};
use crate::vis::representation::{Order, Patch, PatchRow, TopPatches};

/// The longer side of a patch in a figure, in pixels: of one channel, and where there are rows.
const LARGE: usize = 160;
const SMALL: usize = 96;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(TopPatches, figure, Ok(None))),
        name: on_type!(TopPatches, |value: &TopPatches| Some(format!("patches {}", value.layer.label())), None),
        ..Presenter::of::<TopPatches>()
    }
}

fn figure(value: &TopPatches) -> Result<Option<Figure>> {
    let field = value.layer.receptive_field().size;
    let what = match value.order {
        Order::Top => "The largest values",
        Order::Bottom => "The smallest maxima",
        Order::Quantiles => "From the largest to the smallest maximum",
    };
    let caption = format!(
        "{what} among {} images; the number is the unit's value. {}",
        value.images,
        if value.layer.has_places() {
            format!("Each patch is what the unit sees, {field}×{field} pixels of the network's input.")
        } else {
            "The unit sees the whole image.".to_owned()
        }
    );
    let body = match value.rows.as_slice() {
        [row] => Body::Grid(Grid::new(tiles(row, LARGE)?)),
        rows => {
            let row = |row: &PatchRow| {
                let grid = Grid::new(tiles(row, SMALL)?).columns(row.patches.len());
                Ok(Figure::new(Body::Grid(grid)).titled(row.title.clone()))
            };
            Body::Row(Row { columns: Some(1), ..rows.iter().map(row).collect::<Result<Vec<_>>>()?.into() })
        }
    };
    let (layer, of) = (value.layer.label(), value.rows.first().filter(|_| value.rows.len() == 1));
    let unit = of.map_or_else(String::new, |row| format!(", {}", row.title));
    Ok(Some(Figure::new(body).titled(format!("What excites {layer}{unit}")).captioned(caption)))
}

fn tiles(row: &PatchRow, side: usize) -> Result<Vec<Tile>> {
    let tile = |patch: &Patch| Ok(Tile::image(fitted(&patch.image, side)?).label(format!("{:.2}", patch.value)));
    row.patches.iter().map(tile).collect()
}

/// Patches of fewer pixels are shown as squares.
const FEW: usize = 24;

/// A patch whose longer side has so many pixels.
fn fitted(image: &Image, side: usize) -> Result<Image> {
    let longer = image.width().max(image.height()).max(1);
    let length = |own: usize| (own * side / longer).max(1);
    if longer < FEW { Ok(image.clone()) } else { image.resize(length(image.width()), length(image.height())) }
}
