//! What may be wrong with a set of images: the cases, by kind.

use super::neighbors::sized;
use super::{Presenter, on_type};
use crate::error::Result;
use crate::render::{Body, Figure, Grid, Row, Tile};
use crate::vis::representation::Findings;

/// Tiles in a line.
const COLUMNS: usize = 6;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Findings, figure, Ok(None))),
        name: on_type!(Findings, |_| Some("findings".to_owned()), None),
        ..Presenter::of::<Findings>()
    }
}

fn figure(value: &Findings) -> Result<Option<Figure>> {
    let mut rows = Vec::new();
    let mut row = |title: &str, shown: usize, of: usize, tiles: Vec<Tile>| {
        if !tiles.is_empty() {
            let some = if shown < of { format!(", {shown} of {of}") } else { String::new() };
            let grid = Grid::new(tiles).columns(COLUMNS);
            rows.push(Figure::new(Body::Grid(grid)).titled(format!("{title}{some}")));
        }
    };
    let [pairs, far, labels] = value.counts;
    let mut tiles = Vec::new();
    for (one, other, distance) in &value.duplicates {
        tiles.push(Tile::image(sized(&one.image)?).label(format!("{distance:.4} from →")));
        tiles.push(Tile::image(sized(&other.image)?).label(other.name.clone()));
    }
    row("Near-duplicates, in pairs", value.duplicates.len(), pairs, tiles);
    let tile = |(case, times): &(_, f64)| {
        let case: &crate::vis::representation::Case = case;
        Ok(Tile::image(sized(&case.image)?).label(format!("{times:.1} times as far")))
    };
    let tiles = value.outliers.iter().map(tile).collect::<Result<Vec<_>>>()?;
    row("Outliers", value.outliers.len(), far, tiles);
    let mut tiles = Vec::new();
    for (case, other, _) in &value.mislabelled {
        let own = case.label.as_deref().unwrap_or_default();
        tiles.push(Tile::image(sized(&case.image)?).label(format!("{own}, not {other}?")));
    }
    row("Labels that the neighbours contradict", value.mislabelled.len(), labels, tiles);
    if rows.is_empty() {
        return Ok(None);
    }
    let broken = value.broken.len();
    let caption = format!(
        "{} images, compared by the features of {}; {broken} file{} cannot be read. Cases to look at, not verdicts.",
        value.images,
        value.layer.label(),
        if broken == 1 { "" } else { "s" }
    );
    let body = Body::Row(Row { columns: Some(1), ..rows.into() });
    Ok(Some(Figure::new(body).titled("What may be wrong with these images").captioned(caption)))
}
