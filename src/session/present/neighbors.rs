//! Neighbours: a row for each space, the image itself before them.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::{Image, WHITE};
use crate::points::Metric;
use crate::render::{Body, Figure, Grid, Row, Tile};
use crate::vis::representation::{Near, NearIn, Neighbors, Space};

/// The side of a picture in a figure, in pixels.
const SIDE: usize = 128;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Neighbors, figure, Ok(None))),
        name: on_type!(Neighbors, |_| Some("neighbors".to_owned()), None),
        ..Presenter::of::<Neighbors>()
    }
}

fn figure(value: &Neighbors) -> Result<Option<Figure>> {
    let metric = match value.metric {
        Metric::L2 => "Euclidean distance",
        Metric::Cosine => "cosine distance",
    };
    let row = |near: &NearIn| {
        let title = match near.space {
            Space::Features => format!("By the features of {}", value.layer.label()),
            Space::Pixels => "By pixels".to_owned(),
        };
        let query = Tile::image(sized(&value.query)?).label("the image");
        let tile = |one: &Near| {
            let name = one.label.as_deref().unwrap_or(&one.name);
            Ok(Tile::image(sized(&one.image)?).label(format!("{name} {:.3}", one.distance)))
        };
        let tiles = std::iter::once(Ok(query)).chain(near.found.iter().map(tile)).collect::<Result<Vec<_>>>()?;
        let columns = tiles.len().min(8);
        Ok(Figure::new(Body::Grid(Grid::new(tiles).columns(columns))).titled(title))
    };
    let rows = value.spaces.iter().map(row).collect::<Result<Vec<_>>>()?;
    let mut caption = format!("The nearest of {} images; the number is the {metric}.", value.images);
    if value.spaces.iter().any(|near| near.approximate) {
        caption += " Found by an index, which may miss some.";
    }
    let body = Body::Row(Row { columns: Some(1), ..rows.into() });
    Ok(Some(Figure::new(body).titled("Neighbours of an image").captioned(caption)))
}

/// A picture in a square on white; a small one is left as it is.
pub(super) fn sized(image: &Image) -> Result<Image> {
    let longer = image.width().max(image.height()).max(1);
    if longer >= SIDE { image.letterbox(SIDE, SIDE, WHITE) } else { Ok(image.flatten(WHITE)) }
}
