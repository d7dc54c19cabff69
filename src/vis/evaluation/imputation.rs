//! Noisy linear imputation: missing pixels become the weighted mean of their neighbours, missing or not.

use crate::error::Result;
use crate::job::Interrupt;

/// The neighbours of a pixel, down and to the right, and their weights.
const NEIGHBOURS: [(i64, i64, f64); 8] = [
    (0, 1, 1.0 / 6.0),
    (0, -1, 1.0 / 6.0),
    (1, 0, 1.0 / 6.0),
    (-1, 0, 1.0 / 6.0),
    (1, 1, 1.0 / 12.0),
    (1, -1, 1.0 / 12.0),
    (-1, 1, 1.0 / 12.0),
    (-1, -1, 1.0 / 12.0),
];

/// The squared residual, relative to the right side's, at which a solution is exact enough.
const EXACT: f64 = 1e-16;

/// The equations of the missing pixels of an image.
pub(super) struct Imputation {
    /// The missing pixels.
    missing: Vec<usize>,
    /// For each, its sum of weights: less than 1 at the image's edges.
    diagonal: Vec<f64>,
    /// For each, its missing neighbours with their weights.
    among: Vec<Vec<(usize, f64)>>,
    /// For each, its known neighbours with their weights.
    known: Vec<Vec<(usize, f64)>>,
}

impl Imputation {
    /// The equations where `is_missing` holds for pixels of an image, row by row; some are known.
    pub fn new(is_missing: &[bool], width: usize) -> Self {
        let height = is_missing.len() / width.max(1);
        let missing: Vec<usize> = (0..is_missing.len()).filter(|place| is_missing[*place]).collect();
        let mut number = vec![0usize; is_missing.len()];
        missing.iter().enumerate().for_each(|(at, place)| number[*place] = at);
        let mut equations = Self { missing: Vec::new(), diagonal: Vec::new(), among: Vec::new(), known: Vec::new() };
        for place in &missing {
            let (row, column) = ((place / width) as i64, (place % width) as i64);
            let (mut sum, mut among, mut known) = (0.0, Vec::new(), Vec::new());
            for (down, right, weight) in NEIGHBOURS {
                let (row, column) = (row + down, column + right);
                if row < 0 || column < 0 || row >= height as i64 || column >= width as i64 {
                    continue;
                }
                let neighbour = row as usize * width + column as usize;
                sum += weight;
                if is_missing[neighbour] {
                    among.push((number[neighbour], weight));
                } else {
                    known.push((neighbour, weight));
                }
            }
            equations.diagonal.push(sum);
            equations.among.push(among);
            equations.known.push(known);
        }
        Self { missing, ..equations }
    }

    /// The missing pixels.
    pub fn missing(&self) -> &[usize] {
        &self.missing
    }

    /// Their values in one plane of the image, by conjugate gradients.
    ///
    /// # Errors
    /// It was interrupted.
    pub fn solve(&self, interrupt: &Interrupt, plane: &[f32]) -> Result<Vec<f64>> {
        let value = |(place, weight): &(usize, f64)| weight * f64::from(plane[*place]);
        let right: Vec<f64> = self.known.iter().map(|known| known.iter().map(value).sum()).collect();
        // it starts from what was there, and each unknown counts by its own sum of weights
        let mut x: Vec<f64> = self.missing.iter().map(|place| f64::from(plane[*place])).collect();
        let mut residual: Vec<f64> = right.iter().zip(self.times(&x)).map(|(b, ax)| b - ax).collect();
        let scaled =
            |residual: &[f64]| -> Vec<f64> { residual.iter().zip(&self.diagonal).map(|(r, d)| r / d).collect() };
        let mut preconditioned = scaled(&residual);
        let mut direction = preconditioned.clone();
        let mut square = dot(&residual, &preconditioned);
        let goal = EXACT * dot(&right, &right).max(f64::MIN_POSITIVE);
        for _ in 0..10 * self.missing.len() + 100 {
            if dot(&residual, &residual) <= goal || square <= 0.0 {
                break;
            }
            interrupt.check()?;
            let image = self.times(&direction);
            let step = square / dot(&direction, &image);
            x.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
            residual.iter_mut().zip(&image).for_each(|(r, a)| *r -= step * a);
            preconditioned = scaled(&residual);
            let next = dot(&residual, &preconditioned);
            direction.iter_mut().zip(&preconditioned).for_each(|(d, p)| *d = p + next / square * *d);
            square = next;
        }
        Ok(x)
    }

    /// The matrix times a vector: symmetric, and positive definite if some neighbour of the missing pixels is known.
    fn times(&self, x: &[f64]) -> Vec<f64> {
        let row = |((x_own, diagonal), among): ((&f64, &f64), &Vec<(usize, f64)>)| {
            diagonal * x_own - among.iter().map(|(at, weight)| weight * x[*at]).sum::<f64>()
        };
        x.iter().zip(&self.diagonal).zip(&self.among).map(row).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Each missing pixel is the mean of its neighbours, in a corner and in the middle.
    #[test]
    fn missing_pixels_are_the_means_of_their_neighbours() {
        let (height, width) = (9usize, 7usize);
        let mut plane: Vec<f32> = (0..height * width).map(|place| ((place * 37) % 11) as f32).collect();
        let missing: Vec<bool> = (0..height * width).map(|place| place % 5 != 2 && place > 3).collect();
        let equations = Imputation::new(&missing, width);
        let solved = equations.solve(&Interrupt::never(), &plane).unwrap();
        equations.missing().iter().zip(solved).for_each(|(place, value)| plane[*place] = value as f32);
        for place in (0..height * width).filter(|place| missing[*place]) {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (down, right, weight) in NEIGHBOURS {
                let (row, column) = ((place / width) as i64 + down, (place % width) as i64 + right);
                if (0..height as i64).contains(&row) && (0..width as i64).contains(&column) {
                    sum += weight * f64::from(plane[row as usize * width + column as usize]);
                    weights += weight;
                }
            }
            assert!((sum / weights - f64::from(plane[place])).abs() < 1e-5, "{place}");
        }
    }
}
