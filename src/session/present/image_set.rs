//! Sets of images: some of them, evenly from first to last, with their classes; and one image of a set.

use rayon::prelude::*;

use super::{Presenter, on_type};
use crate::data::{Entry, ImageSet, Member};
use crate::error::Result;
use crate::image::{Image, WHITE};
use crate::render::{Body, Figure, Grid, Tile};

/// How many images of a set are shown.
const MOST: usize = 40;
/// The longer side of a picture: a smaller one is shown larger, so that its pixels can be seen, and of a larger one no more is
/// kept.
const LEAST_SIDE: usize = 56;
const MOST_SIDE: usize = 256;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(ImageSet, sheet, Ok(None))),
        name: on_type!(ImageSet, |_| Some("images".to_owned()), None),
        ..Presenter::of::<ImageSet>()
    }
}

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Member, one, Ok(None))),
        name: on_type!(Member, |member: &Member| Some(member.to_string()), None),
        ..Presenter::of::<Member>()
    }
}

fn sheet(set: &ImageSet) -> Result<Option<Figure>> {
    let (entries, count) = (set.entries(), set.entries().len());
    let shown: Vec<&Entry> = (0..count.min(MOST)).map(|at| &entries[at * count / count.min(MOST)]).collect();
    let read: Vec<(&Entry, Result<Image>)> =
        shown.par_iter().map(|entry| (*entry, entry.read().and_then(sized))).collect();
    let broken = read.iter().filter(|(_, image)| image.is_err()).count();
    let tiles = read.into_iter().filter_map(|(entry, image)| {
        let label = set.class_of(entry).unwrap_or(&entry.name).to_owned();
        Some(Tile::image(image.ok()?).label(label))
    });
    let tiles: Vec<Tile> = tiles.collect();
    let mut words = Vec::new();
    if count > MOST {
        words.push(format!("{MOST} of {count} images, evenly from first to last."));
    }
    if broken > 0 {
        words.push(format!("{broken} of those that would stand here cannot be read."));
    }
    if set.is_changed() {
        words.push("As they are before the functions of map.".to_owned());
    }
    if tiles.is_empty() {
        return Ok(None);
    }
    let figure = Figure::new(Body::Grid(Grid::new(tiles))).titled(set.to_string());
    Ok(Some(if words.is_empty() { figure } else { figure.captioned(words.join(" ")) }))
}

fn one(member: &Member) -> Result<Option<Figure>> {
    let image = member.entry()?.read()?;
    let image = if image.width().max(image.height()) < LEAST_SIDE { sized(image)? } else { image };
    Ok(Some(Figure::new(Body::Picture(image)).titled(member.to_string())))
}

/// A picture whose longer side has a size that can be shown: a small one's pixels are repeated.
fn sized(image: Image) -> Result<Image> {
    let image = image.flatten(WHITE);
    let longer = image.width().max(image.height()).max(1);
    if longer > MOST_SIDE {
        let shrunk = |side: usize| (side * MOST_SIDE / longer).max(1);
        return image.resize(shrunk(image.width()), shrunk(image.height()));
    }
    let factor = LEAST_SIDE.div_ceil(longer);
    if factor <= 1 {
        return Ok(image);
    }
    let (width, height) = (image.width(), image.height());
    let plane = |plane: &[f32]| -> Vec<f32> {
        let row = |row: &[f32]| row.iter().flat_map(|value| std::iter::repeat_n(*value, factor)).collect::<Vec<f32>>();
        plane.chunks_exact(width).flat_map(|line| row(line).repeat(factor)).collect()
    };
    let planes = image.channels().into_iter().flat_map(plane).collect();
    Image::from_planes(factor * width, factor * height, planes, None)
}
