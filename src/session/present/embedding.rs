//! Maps: points with the colours of their classes, pictures where they are, or names; in a notebook a map to move about in; of
//! three dimensions a film that turns.

use std::f64::consts::TAU;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::{Film, Image, WHITE};
use crate::plot::{Legend, Limits, Numbers, NumbersOrNames, Plot, Scales, Sizes, Titles, scatter};
use crate::render::{Body, Figure, Raster};
use crate::session::Output;
use crate::vis::representation::{Embedding, MapStyle};

/// The side of a picture of thumbnails, in pixels, and the room at its edge.
const SIDE: usize = 1000;
const EDGE: usize = 30;
/// The sides of thumbnails: of few images, of some, of many.
const THUMBNAILS: [(usize, usize); 4] = [(120, 60), (300, 46), (700, 34), (usize::MAX, 26)];
/// The side of thumbnails in a page, by how many there are, and the most that there may be.
const IN_PAGE: [(usize, usize); 3] = [(600, 56), (2500, 36), (12_000, 24)];
/// Frames of a whole turn, and how many are shown in a second.
const FRAMES: usize = 36;
const RATE: f64 = 12.0;
/// The page that a map is moved about in.
const PAGE: &str = include_str!("embedding.html");

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Embedding, figure, Ok(None))),
        extend: on_type!(Embedding, extend),
        name: on_type!(Embedding, |value: &Embedding| Some(value.method.to_owned()), None),
        ..Presenter::of::<Embedding>()
    }
}

fn figure(value: &Embedding) -> Result<Option<Figure>> {
    let body = match (value.style, value.places.columns()) {
        (MapStyle::Thumbnails, 2) => Body::Picture(thumbnails(value)?),
        _ => Body::Plot(plot(value, 0.0)?),
    };
    let of = value.of().map_or_else(String::new, |of| format!(" of {of}"));
    let caption = format!("{} points. {}.", value.places.rows(), value.facts);
    Ok(Some(Figure::new(body).titled(format!("{}{of}", value.method)).captioned(caption)))
}

/// The coordinates of a point, turned about the vertical axis if there are three.
fn coordinates(place: &[f32], angle: f64) -> (f64, f64) {
    let at = |axis: usize| f64::from(place.get(axis).copied().unwrap_or(0.0));
    if place.len() < 3 { (at(0), at(1)) } else { (at(0) * angle.cos() + at(2) * angle.sin(), at(1)) }
}

fn plot(value: &Embedding, angle: f64) -> Result<Plot> {
    let (x, y): (Vec<f64>, Vec<f64>) = value.places.iter().map(|place| coordinates(place, angle)).unzip();
    let label = |label: &Option<String>| label.clone().unwrap_or_else(|| "without a class".to_owned());
    let mut groups: Vec<String> = value.labels().iter().map(label).collect();
    if value.labels().iter().all(Option::is_none) {
        groups.clear();
    }
    let first = value.places.rows() - value.placed;
    if value.placed > 0 {
        groups.resize(value.places.rows(), "old".to_owned());
        groups.iter_mut().skip(first).for_each(|group| *group = format!("{group}, placed"));
    }
    let names = (value.style == MapStyle::Labels).then(|| {
        let named = value.labels().iter().zip(value.names()).map(|(label, name)| label.clone().unwrap_or(name.clone()));
        named.collect()
    });
    let size = match value.places.rows() {
        0..=300 => 7.0,
        301..=1500 => 5.0,
        _ => 3.5,
    };
    // in every frame of a turn the same, and as wide as high
    let reach = value.places.values().iter().fold(0f32, |most, value| most.max(value.abs()));
    let limits = (value.places.columns() == 3).then(|| Limits(-1.1 * f64::from(reach), 1.1 * f64::from(reach)));
    scatter(
        Numbers(x.into()),
        Numbers(y.into()),
        (!groups.is_empty()).then(|| NumbersOrNames::Names(groups.into())),
        None,
        Some(Sizes([size].into())),
        names,
        &Legend::default(),
        &Titles { title: None, x_label: None, y_label: None },
        &Scales { log: None, x_range: limits, y_range: limits },
    )
}

/// The places of a map, moved and scaled alike along both axes so that they lie between 0 and 1.
fn unit(value: &Embedding) -> Vec<[f64; 2]> {
    let places: Vec<(f64, f64)> = value.places.iter().map(|place| coordinates(place, 0.4)).collect();
    let ends = |of: fn(&(f64, f64)) -> f64| {
        let fold = |(low, high): (f64, f64), place| (low.min(of(place)), high.max(of(place)));
        places.iter().fold((f64::INFINITY, f64::NEG_INFINITY), fold)
    };
    let (x, y) = (ends(|place| place.0), ends(|place| place.1));
    let span = (x.1 - x.0).max(y.1 - y.0).max(f64::MIN_POSITIVE);
    let middle = |(low, high): (f64, f64)| (low + high) / 2.0;
    places.iter().map(|place| [(place.0 - middle(x)) / span + 0.5, (place.1 - middle(y)) / span + 0.5]).collect()
}

/// Pictures where they are. Those that would cover others are points of the colour of their frames; in a grid, all are shown.
fn thumbnails(value: &Embedding) -> Result<Image> {
    let places = unit(value);
    let side = THUMBNAILS.iter().find(|(most, _)| places.len() <= *most).map_or(28, |(_, side)| *side);
    let mut page = Raster::new(SIDE, SIDE, [255; 3]);
    let room = (SIDE - 2 * EDGE - side) as f64;
    let at = |[x, y]: [f64; 2]| [EDGE as f64 + x * room, EDGE as f64 + (1.0 - y) * room];
    let corners: Vec<[f64; 2]> = places.iter().map(|place| at(*place)).collect();
    let corners: Vec<Option<[f64; 2]>> = if value.in_grid {
        in_grid(&corners, side)
    } else {
        apart(&corners, side).into_iter().zip(&corners).map(|(kept, corner)| kept.then_some(*corner)).collect()
    };
    let color = |index: usize| {
        let class = value.set().and_then(|set| set.entries().get(index)?.label);
        class.map_or([140; 3], |class| COLORS[class as usize % COLORS.len()])
    };
    for (index, place) in places.iter().enumerate().filter(|(index, _)| corners[*index].is_none()) {
        let [x, y] = at(*place).map(|at| at as f32 + side as f32 / 2.0 - 2.0);
        page.fill(x, y, 5.0, 5.0, color(index));
    }
    let images = images(value, side - 4)?;
    for (index, (corner, image)) in corners.iter().zip(images).enumerate() {
        let ([x, y], Some(image)) = (corner.unwrap_or_default(), image) else { continue };
        if corner.is_some() {
            page.fill(x as f32, y as f32, side as f32, side as f32, color(index));
            page.blit(x as i64 + 2, y as i64 + 2, &Raster::from_image(&image));
        }
    }
    page.to_image()
}

/// The colours of classes: those of the page.
const COLORS: [[u8; 3]; 12] = [
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0x00, 0x9e, 0x73],
    [0xcc, 0x79, 0xa7],
    [0x56, 0xb4, 0xe9],
    [0xe6, 0x9f, 0x00],
    [0x7a, 0x51, 0x95],
    [0x6b, 0x72, 0x80],
    [0xa6, 0x76, 0x1d],
    [0x1b, 0x78, 0x37],
    [0xb2, 0x18, 0x2b],
    [0x4d, 0x4d, 0x4d],
];

/// Which squares are drawn so that none covers another, the first ones first.
fn apart(corners: &[[f64; 2]], side: usize) -> Vec<bool> {
    let mut drawn: Vec<[f64; 2]> = Vec::new();
    let near = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).abs() < side as f64 && (a[1] - b[1]).abs() < side as f64;
    let free = |corner: &[f64; 2]| {
        let free = !drawn.iter().any(|other| near(other, corner));
        if free {
            drawn.push(*corner);
        }
        free
    };
    corners.iter().map(free).collect()
}

/// A cell of a grid for each square, near its place: those in the middle choose first, and each takes the nearest free cell.
fn in_grid(corners: &[[f64; 2]], side: usize) -> Vec<Option<[f64; 2]>> {
    let across = (SIDE - 2 * EDGE) / side;
    let middle = SIDE as f64 / 2.0;
    let far = |corner: &[f64; 2]| (corner[0] - middle).powi(2) + (corner[1] - middle).powi(2);
    let mut order: Vec<usize> = (0..corners.len()).collect();
    order.sort_by(|a, b| far(&corners[*a]).total_cmp(&far(&corners[*b])).then(a.cmp(b)));
    let mut free: Vec<[f64; 2]> = (0..across * across)
        .map(|cell| [EDGE + cell % across * side, EDGE + cell / across * side].map(|at| at as f64))
        .collect();
    let mut cells = vec![None; corners.len()];
    for index in order {
        let to = |cell: &[f64; 2]| (cell[0] - corners[index][0]).powi(2) + (cell[1] - corners[index][1]).powi(2);
        let nearest = (0..free.len()).min_by(|a, b| to(&free[*a]).total_cmp(&to(&free[*b])));
        cells[index] = nearest.map(|nearest| free.swap_remove(nearest));
    }
    cells
}

/// The images of a map in squares on white; nothing for one that cannot be read any more.
fn images(value: &Embedding, side: usize) -> Result<Vec<Option<Image>>> {
    let Some(set) = value.set() else { return Ok(Vec::new()) };
    let all: Vec<usize> = (0..set.entries().len()).collect();
    let square = |image: Image| image.letterbox(side, side, WHITE);
    Ok(set.read_unchanged(&all, square).into_iter().map(Result::ok).collect())
}

fn extend(value: &Embedding, output: &mut Output) -> Result<()> {
    if value.places.columns() == 3 {
        let frame = |frame: usize| {
            let plot = plot(value, TAU * frame as f64 / FRAMES as f64)?;
            Figure::new(Body::Plot(plot)).render()?.to_image()
        };
        output.film = Some(Film::new((0..FRAMES).map(frame).collect::<Result<_>>()?, RATE, true)?);
        return Ok(());
    }
    output.html = Some(page(value)?);
    Ok(())
}

/// A page by itself, in a frame: nothing is fetched from outside.
fn page(value: &Embedding) -> Result<String> {
    let places = unit(value);
    let rounded = |axis: usize| places.iter().map(|place| (place[axis] * 1e5).round() / 1e5).collect::<Vec<_>>();
    let mut classes: Vec<&str> = value.labels().iter().flatten().map(String::as_str).collect();
    classes.sort_unstable();
    classes.dedup();
    let number = |label: &Option<String>| {
        label.as_ref().and_then(|label| classes.binary_search(&label.as_str()).ok()).map_or(-1, |at| at as i64)
    };
    let mut labels: Vec<i64> = value.labels().iter().map(number).collect();
    labels.resize(places.len(), -1);
    let side = IN_PAGE.iter().find(|(most, _)| places.len() <= *most).map(|(_, side)| *side);
    let sprite = match (value.set(), side) {
        (Some(_), Some(side)) => Some(sprite(value, side)?),
        _ => None,
    };
    let data = json!({
        "x": rounded(0), "y": rounded(1), "name": value.names(), "label": labels, "classes": classes,
        "side": side.unwrap_or(0), "across": across(places.len()), "sprite": sprite, "placed": value.placed,
        "pictures": value.style == MapStyle::Thumbnails,
    });
    // nothing in the data ends the script
    let data = data.to_string().replace('<', "\\u003c");
    let page = PAGE.replace("/*DATA*/", &data).replace('&', "&amp;").replace('"', "&quot;");
    let title = crate::session::escape(&format!("{}, {} points. {}", value.method, places.len(), value.facts));
    Ok(format!(
        "<iframe style=\"width:100%;height:640px;border:1px solid #d0d7de;border-radius:6px\" srcdoc=\"{page}\"></iframe><p>{title}</p>"
    ))
}

/// Tiles in a line of the picture of all thumbnails.
fn across(count: usize) -> usize {
    ((count as f64).sqrt().ceil() as usize).max(1)
}

/// All thumbnails in one picture, as a data URL.
fn sprite(value: &Embedding, side: usize) -> Result<String> {
    let images = images(value, side)?;
    let across = across(images.len());
    let mut sheet = Raster::new(across * side, images.len().div_ceil(across) * side, [255; 3]);
    for (index, image) in images.into_iter().enumerate() {
        if let Some(image) = image {
            sheet.blit((index % across * side) as i64, (index / across * side) as i64, &Raster::from_image(&image));
        }
    }
    Ok(format!("data:image/jpeg;base64,{}", BASE64.encode(sheet.to_image()?.to_jpeg()?)))
}
