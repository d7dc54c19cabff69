//! The activation grid: each place of an image drawn as what the network sees there.

use candle_core::Tensor;

use super::each::one_for_each;
use super::settings::{AscentOptions, Parametrization, Size};
use super::sheet::check_places;
use super::transforms::{Step, Transforms};
use crate::error::Result;
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Options, choices, function};
use crate::model::{Layer, LayerName, Model, resolve_layer};
use crate::tensor::adaptive_avg_pool2d;
use crate::vis::objective::{Direction, Goal};

/// Maps with no more places along a side are drawn as they are; larger ones are averaged to this.
const CELLS: usize = 14;

/// How bright what lies around a cell is.
const GREY: f32 = 0.5;

/// What shows how strong the activations of a cell are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellScale {
    /// Nothing: all cells are alike.
    None,
    /// The size of the cell.
    Size,
    /// How far the cell stands out from grey.
    Contrast,
}

choices!(CellScale { "none" => None, "size" => Size, "contrast" => Contrast });

/// How an activation grid is drawn.
#[derive(Clone, Debug, Options)]
pub struct GridOptions {
    /// The layer: a layer, which decides the network, or the name of one; if not given, the one that the network dreams with.
    #[default]
    #[leading]
    pub layer: Option<LayerName>,
    /// How many cells along the longer side, of which each stands for the mean of the places in it; if not given, one for each
    /// place of the layer, and 14 at most.
    #[default]
    #[range(1..=64)]
    pub cells: Option<usize>,
    /// The side of a cell, in pixels.
    #[default(48)]
    #[range(8..=512)]
    pub size: usize,
    /// How many steps each cell takes.
    #[default(96)]
    #[range(1..=100000)]
    pub steps: usize,
    /// The power of the cosine between what a cell is to show and what it shows: larger makes cells purer.
    #[default(1.0)]
    #[range(0.0..=16.0)]
    pub cosine_power: f64,
    /// Whether cells have waves in common, so that they look like parts of one picture.
    #[default(true)]
    pub shared: bool,
    /// What shows how strong the activations of a cell are, as a share of the strongest: "none", its "size", or its
    /// "contrast".
    #[default("none")]
    pub scale: CellScale,
    /// The seed of the noise and the transforms; without it, the next of the session's.
    #[default]
    pub seed: Option<u64>,
    /// The network; the embedded one if not given.
    #[default]
    #[leading]
    pub model: Option<Model>,
}

/// An image as a layer sees it: each place of the layer becomes a small picture made so that its activations point where
/// those of the image point there. Together they show what the network makes of each part of the image.
///
/// If it is interrupted, cells that were not made are grey.
///
/// ```rhai
/// activation_grid(photo("chelsea"), layer="fire3", cells=2, size=32, steps=4)
/// ```
#[function(
    source = "Olah, Satyanarayan, Johnson, Carter, Schubert, Ye and Mordvintsev, The Building Blocks of Interpretability, \
              Distill 2018"
)]
pub fn activation_grid(
    job: &Job,
    /// The image.
    image: &Image,
    #[options] options: &GridOptions,
) -> Result<Image> {
    let layer = resolve_layer(job, options.layer.as_ref(), options.model.as_ref(), Model::default_dream_layer)?;
    let [height, width] = check_places(&layer)?;
    let model = layer.model();
    let view = model.view(image)?;
    let activations = layer.activations(&model.input(&view)?, job.interrupt())?;
    let cells = Cells::of(&activations, cells(options.cells, [height, width]))?;
    let ascent = AscentOptions {
        size: Some(Size { width: options.size, height: options.size }),
        steps: Some(options.steps),
        param: if options.shared { Parametrization::Shared } else { Parametrization::Fourier },
        transforms: Transforms::List(vec![
            Step::Jitter(4),
            Step::Scale(0.95, 1.05),
            Step::Rotate(5.0),
            Step::Jitter(2),
        ]),
        seed: options.seed,
        model: Some(model.clone()),
        ..AscentOptions::default()
    };
    // a place where nothing is active points nowhere, and stays grey
    let active = cells.vectors.iter().enumerate().filter(|(_, vector)| vector.iter().any(|value| *value != 0.0));
    let (places, goals): (Vec<usize>, Vec<Goal>) = active
        .map(|(place, vector)| Ok((place, goal(&layer, vector, options.cosine_power)?)))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    let made =
        if goals.is_empty() { Vec::new() } else { one_for_each(job, "activation grid", &goals, &ascent)?.images };
    let drawn: Vec<(usize, Image)> = places.into_iter().zip(made).collect();
    cells.compose(&drawn, options.size, options.scale)
}

/// The direction of a cell's activations as an objective, whose size does not matter.
fn goal(layer: &Layer, vector: &[f32], cosine_power: f64) -> Result<Goal> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    let unit = vector.iter().map(|value| (f64::from(*value) / length) as f32).collect();
    Ok(Goal::new(Direction::new(layer.clone().into(), unit, cosine_power)?))
}

/// Rows and columns of cells for a map of [height, width].
fn cells(wanted: Option<usize>, [height, width]: [usize; 2]) -> [usize; 2] {
    let longest = height.max(width).max(1);
    let most = wanted.unwrap_or(CELLS).min(longest);
    [height, width].map(|side| ((side * most) as f64 / longest as f64).round().max(1.0) as usize)
}

/// What a layer makes of the parts of an image.
#[derive(Clone, Debug)]
struct Cells {
    rows: usize,
    columns: usize,
    /// The activations of each cell, row by row.
    vectors: Vec<Vec<f32>>,
}

impl Cells {
    /// The means of activations `[1, C, h, w]` over so many rows and columns of cells.
    fn of(activations: &Tensor, [rows, columns]: [usize; 2]) -> Result<Self> {
        let pooled = adaptive_avg_pool2d(activations, [rows, columns])?;
        let vectors = pooled.flatten_from(2)?.squeeze(0)?.t()?.contiguous()?.to_vec2()?;
        Ok(Self { rows, columns, vectors })
    }

    /// How strong the activations of each cell are, as a share of the strongest.
    fn strengths(&self) -> Vec<f32> {
        let lengths = self.vectors.iter().map(|vector| vector.iter().map(|value| value * value).sum::<f32>().sqrt());
        let lengths: Vec<f32> = lengths.collect();
        let most = lengths.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        lengths.iter().map(|length| length / most).collect()
    }

    /// One picture of all cells, of which some were drawn.
    fn compose(&self, drawn: &[(usize, Image)], side: usize, scale: CellScale) -> Result<Image> {
        let strengths = self.strengths();
        let (width, height) = (self.columns * side, self.rows * side);
        let mut planes = vec![GREY; 3 * width * height];
        for (place, image) in drawn {
            let strength = strengths.get(*place).copied().unwrap_or(0.0);
            let shown = if scale == CellScale::Size {
                ((side as f32 * strength).round() as usize).clamp(1, side)
            } else {
                side
            };
            let contrast = if scale == CellScale::Contrast { strength } else { 1.0 };
            let image = if shown == side { image.clone() } else { image.resize(shown, shown)? };
            let margin = (side - shown) / 2;
            let (top, left) = (place / self.columns * side + margin, place % self.columns * side + margin);
            for (plane, colours) in planes.chunks_exact_mut(width * height).zip(image.channels()) {
                let rows = plane.chunks_exact_mut(width).skip(top).zip(colours.chunks_exact(shown));
                for (row, line) in rows {
                    for (pixel, colour) in row.iter_mut().skip(left).zip(line) {
                        *pixel = GREY + (colour - GREY) * contrast;
                    }
                }
            }
        }
        Image::from_planes(width, height, planes, None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn maps_that_are_small_are_drawn_as_they_are() {
        assert_eq!(cells(None, [13, 13]), [13, 13]);
        assert_eq!(cells(None, [56, 28]), [14, 7]);
        assert_eq!(cells(Some(4), [13, 13]), [4, 4]);
        assert_eq!(cells(Some(64), [13, 10]), [13, 10]);
        assert_eq!(cells(Some(1), [13, 2]), [1, 1]);
    }

    #[test]
    fn cells_lie_where_their_places_are() {
        let activations: Vec<f32> = vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 2.0];
        let activations = Tensor::from_vec(activations, (1, 2, 2, 2), &Device::Cpu).unwrap();
        let cells = Cells::of(&activations, [2, 2]).unwrap();
        assert_eq!(cells.vectors, [vec![1.0, 0.0], vec![0.0, 0.0], vec![0.0, 0.0], vec![2.0, 2.0]]);
        let strengths = cells.strengths();
        assert!((strengths[0] - 1.0 / 8f32.sqrt()).abs() < 1e-6 && strengths[3] == 1.0);
        let white = Image::filled(8, 8, [1.0; 3]).unwrap();
        let drawn = [(0, white.clone()), (3, white)];
        let at = |image: &Image, y: usize, x: usize| image.channels()[0][y * 16 + x];
        let plain = cells.compose(&drawn, 8, CellScale::None).unwrap();
        assert_eq!((plain.width(), plain.height()), (16, 16));
        assert_eq!([at(&plain, 0, 0), at(&plain, 0, 8), at(&plain, 8, 0), at(&plain, 15, 15)], [1.0, 0.5, 0.5, 1.0]);
        let sized = cells.compose(&drawn, 8, CellScale::Size).unwrap();
        assert_eq!([at(&sized, 0, 0), at(&sized, 4, 4), at(&sized, 8, 8)], [0.5, 1.0, 1.0]);
        let faint = cells.compose(&drawn, 8, CellScale::Contrast).unwrap();
        assert!((at(&faint, 0, 0) - (0.5 + 0.5 / 8f32.sqrt())).abs() < 1e-6 && at(&faint, 8, 8) == 1.0);
    }
}
