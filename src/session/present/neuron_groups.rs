//! Groups of neurons: their colours on the image, and a swatch for each.

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::{Filter, Image, resample};
use crate::render::{Body, Figure, Grid, Row, Tile};
use crate::vis::attribution::NeuronGroups;

/// Masataka Okabe's and Kei Ito's colours, which all kinds of sight tell apart, the grey left out for violet.
const COLORS: [[f32; 3]; 8] = [
    [0.84, 0.37, 0.0],
    [0.0, 0.45, 0.70],
    [0.0, 0.62, 0.45],
    [0.80, 0.47, 0.65],
    [0.90, 0.62, 0.0],
    [0.34, 0.71, 0.91],
    [0.45, 0.30, 0.75],
    [0.62, 0.58, 0.08],
];
/// How much of a place's colour is that of its groups, where they are strongest.
const PAINT: f32 = 0.85;
/// How bright a swatch is where its group is not.
const DIM: f32 = 0.18;
/// What part of a swatch is the bar in its colour.
const BAR: f32 = 0.06;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(NeuronGroups, figure, Ok(None))),
        name: on_type!(NeuronGroups, |value: &NeuronGroups| Some(format!("groups of {}", value.layer.known_as())), None),
        ..Presenter::of::<NeuronGroups>()
    }
}

fn figure(value: &NeuronGroups) -> Result<Option<Figure>> {
    let view = &value.prediction.view;
    let [height, width] = value.size;
    let enlarged = |map: &Vec<f32>| resample(map, (width, height), (view.width(), view.height()), Filter::Bilinear);
    let maps: Vec<Vec<f32>> = value.maps.iter().map(enlarged).collect::<Result<_>>()?;
    let most = |pixels: &[f32]| pixels.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let together: Vec<f32> = (0..view.width() * view.height()).map(|at| maps.iter().map(|map| map[at]).sum()).collect();
    let strongest = most(&together);
    let painted = pixels(view, |at, [red, green, blue]| {
        let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
        let alpha = PAINT * (together[at] / strongest).sqrt();
        [0, 1, 2].map(|channel| {
            let mixed: f32 = maps.iter().zip(COLORS).map(|(map, colour)| map[at] * colour[channel]).sum();
            grey * (1.0 - alpha) + alpha * mixed / together[at].max(f32::MIN_POSITIVE)
        })
    })?;
    let bar = ((view.height() as f32 * BAR) as usize).max(2) * view.width();
    let swatch = |(group, map): (usize, &Vec<f32>)| {
        let peak = most(map);
        let image = pixels(view, |at, colours| match at < bar {
            true => COLORS[group % COLORS.len()],
            false => colours.map(|colour| colour * (DIM + (1.0 - DIM) * map[at] / peak)),
        })?;
        let channels: Vec<String> = value.channels(group).iter().take(3).map(ToString::to_string).collect();
        let effect = format!("{:+.2}", value.effects[group]).replace('-', "−");
        Ok(Tile::image(image).label(format!("{effect}: {}", channels.join(", "))))
    };
    let swatches: Vec<Tile> = maps.iter().enumerate().map(swatch).collect::<Result<_>>()?;
    let columns = swatches.len().div_ceil(2).clamp(1, 3);
    let (name, target) = (value.layer.known_as(), value.prediction.target());
    let left = Figure::new(Body::Picture(painted))
        .titled(format!("Where each group of {name} is active"))
        .captioned("Each place in the colours of its groups, the stronger the more.");
    let right = Figure::new(Body::Grid(Grid::new(swatches).columns(columns)))
        .titled("The groups one by one")
        .captioned(format!(
            "Bright where the group is active. Beneath: what it adds to the {} (gradient × activation), and its strongest \
             channels.",
            value.prediction.score_name()
        ));
    let title = format!("What {name} saw, as {} groups of channels, for {target}", value.effects.len());
    Ok(Some(Figure::new(Body::Row(Row::from(vec![left, right]))).titled(title).captioned(value.summary())))
}

/// An image whose pixels are made of those of another, with their number.
fn pixels(image: &Image, make: impl Fn(usize, [f32; 3]) -> [f32; 3]) -> Result<Image> {
    let area = image.width() * image.height();
    let [red, green, blue] = image.channels();
    let mut planes = vec![0.0; 3 * area];
    for at in 0..area {
        for (channel, value) in make(at, [red[at], green[at], blue[at]]).into_iter().enumerate() {
            planes[channel * area + at] = value.clamp(0.0, 1.0);
        }
    }
    Image::from_planes(image.width(), image.height(), planes, None)
}
