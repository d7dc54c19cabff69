//! Smooth masks: a coarse grid of numbers, each of which opens a round neighbourhood.

use rayon::prelude::*;

/// How sharply the neighbourhood that opens a pixel most is preferred.
const COLDNESS: f32 = 20.0;

/// Masks of an image whose edges are as smooth as the neighbourhoods are wide, from a grid of numbers 0 to 1.
///
/// A pixel's value is a soft maximum over the grid's places around it: their numbers, less the farther they are.
pub(super) struct SmoothMask {
    /// Height and width of the image.
    size: [usize; 2],
    /// Pixels between the grid's places.
    step: usize,
    /// Places around a pixel that open it, to each side.
    radius: usize,
    /// Places that the grid is padded by.
    padding: usize,
    /// Pixels that the mask reaches beyond the image.
    margin: usize,
    /// Height and width of the mask with its margins.
    full: [usize; 2],
    /// How much a place opens a pixel: for each row and column of pixels between two places, for each place around.
    weights: Vec<f32>,
}

impl SmoothMask {
    /// Masks of an image of this height and width, with neighbourhoods of `sigma` pixels every `step` pixels.
    pub fn new(size: [usize; 2], step: usize, sigma: usize) -> Self {
        let padding = 1 + (2 * sigma).div_ceil(step);
        let radius = 1 + sigma.div_ceil(step);
        let full = size.map(|side| step * (side.div_ceil(step) + 2 * (padding - radius)) - step + 1);
        let side = 2 * radius + 1;
        // pixel u of a cell and place k around it are u − margin − step·(k − padding) pixels apart
        let apart = |pixel: usize, place: usize| (pixel + step * padding) as f32 - (sigma + step * place) as f32;
        let mut weights = Vec::with_capacity(step * step * side * side);
        for (row, column) in (0..step).flat_map(|row| (0..step).map(move |column| (row, column))) {
            for (down, right) in (0..side).flat_map(|down| (0..side).map(move |right| (down, right))) {
                let distance = apart(row, down).hypot(apart(column, right)) / sigma as f32;
                weights.push((-2.0 * (distance - 0.5).max(0.0).powi(2)).exp());
            }
        }
        Self { size, step, radius, padding, margin: sigma, full, weights }
    }

    /// Height and width of the grid.
    pub fn grid(&self) -> [usize; 2] {
        self.size.map(|side| side.div_ceil(self.step))
    }

    /// The mask of a grid, with its margins.
    pub fn full(&self, grid: &[f32]) -> Vec<f32> {
        let width = self.full[1];
        let mut mask = vec![0f32; self.full[0] * width];
        mask.par_chunks_mut(width).enumerate().for_each(|(row, line)| {
            let mut around = self.around();
            for (column, value) in line.iter_mut().enumerate() {
                self.open(grid, [row, column], &mut around);
                *value = around.iter().map(|(opened, share)| opened * share).sum();
            }
        });
        mask
    }

    /// The part of a mask that lies on the image, row by row.
    pub fn on_image(&self, full: &[f32]) -> Vec<f32> {
        let rows = full.chunks_exact(self.full[1]).skip(self.margin).take(self.size[0]);
        rows.flat_map(|row| &row[self.margin..self.margin + self.size[1]]).copied().collect()
    }

    /// Where a pixel of the image is in a mask with its margins.
    pub fn place(&self, pixel: usize) -> usize {
        let (row, column) = (pixel / self.size[1], pixel % self.size[1]);
        (row + self.margin) * self.full[1] + column + self.margin
    }

    /// The gradient at the grid, given that at the mask with its margins.
    pub fn gradient(&self, grid: &[f32], above: &[f32]) -> Vec<f32> {
        let (columns, width) = (self.grid()[1], self.full[1]);
        let side = 2 * self.radius + 1;
        // the pixels between two rows of places reach the same rows of the grid
        let bands: Vec<Vec<f64>> = above
            .par_chunks(self.step * width)
            .enumerate()
            .map(|(band, lines)| {
                let mut sums = vec![0f64; side * columns];
                let mut around = self.around();
                for (row, line) in lines.chunks_exact(width).enumerate() {
                    for (column, above) in line.iter().enumerate().filter(|(_, above)| **above != 0.0) {
                        let at = [band * self.step + row, column];
                        self.open(grid, at, &mut around);
                        let value: f32 = around.iter().map(|(opened, share)| opened * share).sum();
                        let weights = self.weights_at(at);
                        for (place, ((opened, share), weight)) in around.iter().zip(weights).enumerate() {
                            let right = (column / self.step + place % side).checked_sub(self.padding);
                            if let Some(right) = right.filter(|right| *right < columns) {
                                let slope = share * (1.0 + COLDNESS * (opened - value)) * weight;
                                sums[place / side * columns + right] += f64::from(above * slope);
                            }
                        }
                    }
                }
                sums
            })
            .collect();
        let mut gradient = vec![0f64; grid.len()];
        for (band, sums) in bands.iter().enumerate() {
            for (down, sums) in sums.chunks_exact(columns).enumerate() {
                let row = (band + down).checked_sub(self.padding);
                if let Some(row) = row.and_then(|row| gradient.get_mut(row * columns..(row + 1) * columns)) {
                    row.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
                }
            }
        }
        gradient.into_iter().map(|value| value as f32).collect()
    }

    fn around(&self) -> Vec<(f32, f32)> {
        vec![(0.0, 0.0); (2 * self.radius + 1).pow(2)]
    }

    fn weights_at(&self, [row, column]: [usize; 2]) -> &[f32] {
        let count = (2 * self.radius + 1).pow(2);
        let from = (row % self.step * self.step + column % self.step) * count;
        &self.weights[from..from + count]
    }

    /// For each place around a pixel of the mask, how far it opens it, and its share in the soft maximum.
    fn open(&self, grid: &[f32], at: [usize; 2], around: &mut [(f32, f32)]) {
        let [rows, columns] = self.grid();
        let side = 2 * self.radius + 1;
        let mut sum = 0f32;
        let weights = self.weights_at(at);
        for (place, (around, weight)) in around.iter_mut().zip(weights).enumerate() {
            let row = (at[0] / self.step + place / side).wrapping_sub(self.padding);
            let column = (at[1] / self.step + place % side).wrapping_sub(self.padding);
            // beyond the grid nothing is open
            let opened = if row < rows && column < columns { grid[row * columns + column] * weight } else { 0.0 };
            let share = (COLDNESS * opened).exp();
            sum += share;
            *around = (opened, share);
        }
        around.iter_mut().for_each(|(_, share)| *share /= sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_that_of_the_mask() {
        let smooth = SmoothMask::new([17, 12], 3, 5);
        let count: usize = smooth.grid().iter().product();
        let grid: Vec<f32> = (0..count).map(|place| ((place * 7) % 10) as f32 / 10.0).collect();
        let mask = smooth.full(&grid);
        let above: Vec<f32> = (0..mask.len()).map(|place| ((place * 13) % 7) as f32 - 3.0).collect();
        let gradient = smooth.gradient(&grid, &above);
        let value = |grid: &[f32]| -> f64 {
            smooth.full(grid).iter().zip(&above).map(|(mask, above)| f64::from(mask * above)).sum()
        };
        for place in [0, 5, 11, count - 1] {
            let moved = |by: f32| {
                let mut grid = grid.clone();
                grid[place] += by;
                value(&grid)
            };
            let slope = (moved(5e-3) - moved(-5e-3)) / 1e-2;
            assert!(
                (slope - f64::from(gradient[place])).abs() < 2e-2 * (1.0 + slope.abs()),
                "{slope} {}",
                gradient[place]
            );
        }
        assert_eq!(smooth.on_image(&mask).len(), 17 * 12);
        assert_eq!(smooth.on_image(&mask)[25], mask[smooth.place(25)]);
    }
}
