//! Filters: colours for the first layer, a matrix of kernels for later ones, and what they are through the layers below.

use candle_core::Tensor;

use super::{Presenter, on_type};
use crate::error::Result;
use crate::image::Image;
use crate::render::{Body, Colormap, Figure, Grid, Range, Tile};
use crate::vis::representation::{Filters, Through};

/// How many rows and columns a matrix of kernels shows at most.
const MOST_KERNELS: usize = 64;

inventory::submit! {
    Presenter {
        figure: Some(on_type!(Filters, figure, Ok(None))),
        name: on_type!(Filters, |value: &Filters| Some(format!("filters {}", value.layer.label())), None),
        ..Presenter::of::<Filters>()
    }
}

fn figure(value: &Filters) -> Result<Option<Figure>> {
    let name = format!("{} ({})", value.layer.label(), value.layer.name());
    if value.colored {
        let tiles = pictures(&value.weights, usize::MAX)?;
        return Ok(Some(
            Figure::new(Body::Grid(Grid::new(tiles)))
                .titled(format!("The {} filters of {name}", value.weights.dim(0)?))
                .captioned(
                    "Red, green and blue weights as colours. Each filter has its own scale, written under it: grey is \
                     weight 0, full colour is plus or minus that number.",
                ),
        ));
    }
    let matrix = matrix(value)?.titled(format!("The filters of {name}"));
    Ok(Some(match &value.through {
        None => matrix,
        Some(through) => {
            let composed = seen_through(through)?.titled(format!("Through the layers below: what {name} sums up"));
            Figure::new(Body::Row(vec![composed, matrix].into()))
        }
    }))
}

/// One kernel for each output and input channel.
fn matrix(value: &Filters) -> Result<Figure> {
    let (outputs, inputs, height, width) = value.weights.dims4()?;
    let (rows, columns) = (outputs.min(MOST_KERNELS), inputs.min(MOST_KERNELS));
    let weights: Vec<f32> = value.weights.flatten_all()?.to_vec1()?;
    let kernel = |output: usize, input: usize| {
        let start = (output * inputs + input) * height * width;
        weights[start..start + height * width].to_vec()
    };
    let tiles = (0..rows)
        .flat_map(|output| (0..columns).map(move |input| (output, input)))
        .map(|(output, input)| Tile::plane(width, height, kernel(output, input)))
        .collect::<Result<Vec<_>>>()?;
    let grid = Grid::new(tiles)
        .matrix(columns, "output channel", "input channel")
        .colormap(Colormap::Grey)
        .range(Range::Symmetric)
        .label("weight");
    let size = format!("{height}×{width}");
    let mut caption = format!("One {size} kernel for each output (row) and input channel (column), on one scale.");
    if (rows, columns) != (outputs, inputs) {
        caption += &format!(" Shown: the first {rows} of {outputs} outputs, {columns} of {inputs} inputs.");
    }
    Ok(Figure::new(Body::Grid(grid)).captioned(caption))
}

/// Each output channel as a picture.
fn seen_through(through: &Through) -> Result<Figure> {
    let (outputs, _, height, width) = through.weights.dims4()?;
    let tiles = pictures(&through.weights, MOST_KERNELS)?;
    let left_out = match through.left_out.as_slice() {
        [] => String::new(),
        parts => format!("; {} left out", parts.join(" and ")),
    };
    let mut caption = format!(
        "Each output channel as the sum of the first filters that it weights, {height}×{width} pixels{left_out}. Each has \
         its own scale, written under it."
    );
    if outputs > MOST_KERNELS {
        caption += &format!(" The first {MOST_KERNELS} of {outputs}.");
    }
    Ok(Figure::new(Body::Grid(Grid::new(tiles))).captioned(caption))
}

/// Filters over the image as colours around grey, each on its own scale.
fn pictures(weights: &Tensor, most: usize) -> Result<Vec<Tile>> {
    let (outputs, channels, height, width) = weights.dims4()?;
    let values: Vec<f32> = weights.flatten_all()?.to_vec1()?;
    let filters = values.chunks(channels * height * width).take(most.min(outputs)).enumerate();
    filters
        .map(|(output, weights)| {
            let scale = weights.iter().fold(0f32, |most, weight| most.max(weight.abs()));
            let colours = weights.iter().map(|weight| 0.5 + 0.5 * weight / scale.max(f32::MIN_POSITIVE));
            let mut planes: Vec<f32> = colours.collect();
            // grey images have one channel, which stands for all three; of four the last is transparency
            planes = match channels {
                1 => planes.repeat(3),
                _ => planes.into_iter().take(3 * height * width).collect(),
            };
            let image = Image::from_planes(width, height, planes, None)?;
            Ok(Tile::image(image).label(format!("{output}: ±{scale:.2}")))
        })
        .collect()
}
