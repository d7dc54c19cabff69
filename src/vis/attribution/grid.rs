//! Grids of cells that hide an image in parts, as methods of sensitivity analysis draw them.

use candle_core::Tensor;

use super::{Attribution, Baseline, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::Options;
use crate::vis::{Prediction, Question};

/// Numbers of a point of the low-discrepancy sequence.
const NUMBERS: usize = 256;
/// Points of the sequence.
pub(super) const POINTS: usize = 1 << 16;

/// A grid of cells over the image, and what stands where a cell is closed.
#[derive(Clone, Debug, Options)]
pub struct Grid {
    /// Cells of the grid along each side.
    #[default(8)]
    #[range(1..=16)]
    pub cells: usize,
    /// What stands for a hidden part: "mean", "black", "white", "grey", "blur", "noise", a colour, or an image. If not
    /// given, zeros in the network's input, which mostly is the mean colour of what it was trained on.
    #[default]
    pub baseline: Option<Baseline>,
}

impl Grid {
    /// An error if the image has fewer pixels than the grid cells, or the baseline does not fit it.
    pub(super) fn check(&self, method: &str, question: &Question) -> Result<()> {
        let [width, height] = question.size();
        self.baseline.iter().try_for_each(|baseline| baseline.check(question))?;
        if self.cells <= width.min(height) {
            return Ok(());
        }
        let message = format!("{method}: `cells` is {}, the network sees {width}×{height} pixels", self.cells);
        Err(Error::new(Kind::Argument, message).at_argument("cells"))
    }

    /// The result of a method, all but its numbers.
    pub(super) fn blank(&self, method: &str, prediction: &Prediction, unit: String) -> Result<Attribution> {
        let values = Tensor::zeros((1, self.cells, self.cells), candle_core::DType::F32, prediction.input.device())?;
        Ok(Attribution::new(method, prediction, values, Sign::Magnitude, unit))
    }
}

/// Hides parts of a prediction's input.
pub(super) struct Cover {
    cells: usize,
    width: usize,
    /// What stands where a cell is closed, `[C, h, w]`.
    behind: Vec<f32>,
    /// The cell of each row and of each column of pixels: the one its centre lies in.
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl Cover {
    pub fn new(job: &Job, prediction: &Prediction, grid: &Grid, seed: u64) -> Result<Self> {
        let (_, _, height, width) = prediction.input.dims4()?;
        let behind = match &grid.baseline {
            Some(baseline) => baseline.input(job, prediction, Some(seed))?,
            None => prediction.input.zeros_like()?,
        };
        let cell = |side: usize| (0..side).map(|pixel| (2 * pixel + 1) * grid.cells / (2 * side)).collect();
        let behind = behind.flatten_all()?.to_vec1()?;
        Ok(Self { cells: grid.cells, width, behind, rows: cell(height), columns: cell(width) })
    }

    /// Mixes an input with what is behind it: cells, from 0 (hidden) to 1 (open), hold their whole square.
    pub fn apply(&self, cells: &[f32], x: &mut [f32]) {
        let lines = x.chunks_exact_mut(self.width).zip(self.behind.chunks_exact(self.width));
        for ((line, behind), row) in lines.zip(self.rows.iter().cycle()) {
            let open = &cells[row * self.cells..][..self.cells];
            for ((x, behind), column) in line.iter_mut().zip(behind).zip(&self.columns) {
                *x = *x * open[*column] + behind * (1.0 - open[*column]);
            }
        }
    }
}

/// One number of a point of an Owen-scrambled Sobol' sequence, in [0, 1). Points and numbers beyond its own start it anew,
/// scrambled otherwise.
pub(super) fn sobol_number(point: usize, number: usize, seed: u64) -> f32 {
    let again = (point / POINTS) * 31 + number / NUMBERS;
    let seed = (seed ^ (seed >> 32)) as u32;
    sobol_burley::sample(
        (point % POINTS) as u32,
        (number % NUMBERS) as u32,
        seed.wrapping_add(again as u32 * 0x9E37_79B9),
    )
}
