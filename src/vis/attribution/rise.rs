//! RISE: how probable the class stays when random parts of the image are hidden.

use std::ops::Range;

use candle_core::{DType, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Anytime, Attribution, Means, Sampling, Sign};
use crate::error::Result;
use crate::job::Job;
use crate::lang::{Options, function};
use crate::model::{Area, Input};
use crate::tensor::TensorValue;
use crate::vis::{Explain, Gather, Prediction};

/// Random masks: coarse grids of visible and hidden cells, enlarged smoothly and shifted.
#[derive(Clone, Debug, Options)]
pub struct Masks {
    /// Cells of the grid along each side.
    #[default(7)]
    #[range(1..=100)]
    pub cells: usize,
    /// The probability that a cell stays visible.
    #[default(0.5)]
    #[range(0.01..=0.99)]
    pub visible: f64,
}

/// Masks of the paper.
const USUAL: usize = 4000;
/// Masks of which so many cells are open on average are local: what they hide is often a small part of the image.
const LOCAL: f64 = 0.9;
/// So many local masks are looked at together.
const TOGETHER: usize = 200;

/// How important each pixel is for the probability of a class: the mean of the probabilities under random masks, each
/// counted where its mask is open. It looks at the answers only, so it works for any network.
///
/// Where masks hide little (`visible` of 0.9 and more), only what they change in each layer is computed.
///
/// ```rhai
/// rise(photo("chelsea"), samples=50, seed=1)
/// ```
#[function(source = "Petsiuk, Das and Saenko, RISE, 2018, arXiv:1806.07421; the authors' code, eclique/RISE")]
pub fn rise(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] sampling: &Sampling,
    #[options] masks: &Masks,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let prediction = explain.prediction(job, image)?;
    let (width, height) = (prediction.view.width(), prediction.view.height());
    let drawn = Drawn::new(masks, job.seed(sampling.seed), height, width);
    let unit = format!("probability of {} where it is visible", prediction.target());
    let values = Tensor::zeros((1, height, width), DType::F32, prediction.input.device())?;
    let blank = Attribution::new("RISE", &prediction, values, Sign::Positive, unit);
    let mut sampler = Anytime::new(blank, Means::new(height * width), sampling, USUAL);
    let mut again = vec![0f32; height * width];
    let make = |index: usize, pixels: &mut [f32]| {
        let mut mask = vec![0f32; height * width];
        drawn.write(index, &mut mask);
        for plane in pixels.chunks_exact_mut(height * width) {
            plane.iter_mut().zip(&mask).for_each(|(pixel, open)| *pixel *= open);
        }
        Ok(())
    };
    // the mean over the masks of probability · mask / visible
    let take = |sampler: &mut Anytime<Means>, batch: Range<usize>, probabilities: &[f32]| {
        for (index, probability) in batch.zip(probabilities) {
            drawn.write(index, &mut again);
            sampler.estimate.add(again.iter().map(|open| f64::from(probability * open) / masks.visible));
        }
        Ok(())
    };
    let outcome = if masks.visible >= LOCAL {
        each_local(job, &prediction, &drawn, &mut sampler, take)
    } else {
        prediction.each_probability(job, "RISE", sampler.most(), &mut sampler, make, take)
    };
    sampler.finish(outcome)
}

/// The probabilities under masks that hide a small part of the image each.
fn each_local(
    job: &Job,
    prediction: &Prediction,
    drawn: &Drawn,
    sampler: &mut Anytime<Means>,
    mut take: impl FnMut(&mut Anytime<Means>, Range<usize>, &[f32]) -> Result<()>,
) -> Result<()> {
    let size = [drawn.height, drawn.width];
    let progress = job.progress("RISE", sampler.most());
    for start in (0..sampler.most()).step_by(TOGETHER) {
        let batch = start..sampler.most().min(start + TOGETHER);
        let areas: Vec<Area> = batch.clone().into_par_iter().map(|index| drawn.hidden(index)).collect();
        let make = |place: usize, pixels: &mut [f32]| {
            let mut mask = vec![0f32; drawn.height * drawn.width];
            drawn.write(start + place, &mut mask);
            let mask = areas[place].cut(&mask, size);
            for plane in pixels.chunks_exact_mut(mask.len()) {
                plane.iter_mut().zip(&mask).for_each(|(pixel, open)| *pixel *= open);
            }
            Ok(())
        };
        let probabilities = prediction.probabilities_of_patches(job, "masks", &areas, make)?;
        take(sampler, batch.clone(), &probabilities)?;
        sampler.report(&progress, batch.len())?;
        if sampler.enough()? {
            progress.end();
            break;
        }
    }
    Ok(())
}

/// The masks that `rise` hides an image of this size under with the same settings, a tensor [samples, height, width] from 0
/// (hidden) to 1 (open).
///
/// ```rhai
/// rise_masks(64, 48, samples=3, seed=1).shape
/// ```
#[function(source = "as for `rise`")]
pub fn rise_masks(
    job: &Job,
    /// Width of the image as the network sees it, in pixels.
    #[range(1..=4096)]
    width: usize,
    /// Its height in pixels.
    #[range(1..=4096)]
    height: usize,
    /// How many masks.
    #[default(4000)]
    #[range(1..=1000000)]
    samples: usize,
    /// The seed of the masks; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
    #[options] masks: &Masks,
) -> Result<TensorValue> {
    let drawn = Drawn::new(masks, job.seed(seed), height, width);
    let mut values = vec![0f32; samples * height * width];
    values.chunks_exact_mut(height * width).enumerate().for_each(|(index, mask)| drawn.write(index, mask));
    TensorValue::from_values(values, &[samples, height, width])
}

/// Masks that are drawn when they are needed, each from a seed of its own.
struct Drawn {
    cells: usize,
    visible: f64,
    seed: u64,
    height: usize,
    width: usize,
}

impl Drawn {
    fn new(masks: &Masks, seed: u64, height: usize, width: usize) -> Self {
        Self { cells: masks.cells, visible: masks.visible, seed, height, width }
    }

    /// The smallest area outside of which a mask is open; of an open one a single pixel.
    fn hidden(&self, index: usize) -> Area {
        let mut mask = vec![0f32; self.height * self.width];
        self.write(index, &mut mask);
        let (mut rows, mut columns) = (self.height..0, self.width..0);
        for (row, line) in mask.chunks_exact(self.width).enumerate() {
            for column in (0..self.width).filter(|column| line[*column] != 1.0) {
                rows = rows.start.min(row)..row + 1;
                columns = columns.start.min(column)..columns.end.max(column + 1);
            }
        }
        if rows.is_empty() {
            return Area { top: 0, left: 0, height: 1, width: 1 };
        }
        Area { top: rows.start, left: columns.start, height: rows.len(), width: columns.len() }
    }

    /// Writes one mask: a grid of zeros and ones, enlarged linearly to one cell more than the image, then cut out at a
    /// random place within that cell.
    fn write(&self, index: usize, mask: &mut [f32]) {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        let cells = self.cells;
        let grid: Vec<f32> =
            (0..cells * cells).map(|_| f32::from(u8::from(random.random_bool(self.visible)))).collect();
        let rows = self.positions(self.height, &mut random);
        let columns = self.positions(self.width, &mut random);
        for (line, (top, bottom, down)) in mask.chunks_exact_mut(self.width).zip(rows) {
            let (above, below) = (&grid[top * cells..][..cells], &grid[bottom * cells..][..cells]);
            for (open, (left, right, across)) in line.iter_mut().zip(&columns) {
                let upper = above[*left] + (above[*right] - above[*left]) * across;
                let lower = below[*left] + (below[*right] - below[*left]) * across;
                *open = upper + (lower - upper) * down;
            }
        }
    }

    /// For each pixel along a side the two cells it lies between, and how far it is from the first.
    fn positions(&self, side: usize, random: &mut ChaCha8Rng) -> Vec<(usize, usize, f32)> {
        let cell = side.div_ceil(self.cells);
        let shift = random.random_range(0..cell);
        let large = (self.cells + 1) * cell;
        let last = self.cells as i64 - 1;
        // pixel centres map onto cell centres; beyond the outermost ones the grid is mirrored about them
        let mirrored = |at: i64| if at < 0 { (-at).min(last) } else { at.min(2 * last - at).max(0) } as usize;
        let position = |pixel: usize| {
            let at = ((pixel + shift) as f64 + 0.5) * self.cells as f64 / large as f64 - 0.5;
            let first = at.floor();
            (mirrored(first as i64), mirrored(first as i64 + 1), (at - first) as f32)
        };
        (0..side).map(position).collect()
    }
}
