//! How similar two representations of the same inputs are.

use rayon::prelude::*;

use super::frame::Frame;
use super::metric::Metric;
use super::product::{add_transposed_product, products};
use super::rows::Points;
use crate::error::{Error, Kind, Result};

/// Features, or inputs, of a tile of a product, and how many of the other are summed at once.
const TILE: usize = 128;
const DEPTH: usize = 512;
/// The debiased estimate needs as many inputs.
const FEWEST_DEBIASED: usize = 4;
/// Below this share of the sums it is made of, a difference is rounding.
const ROUNDING: f64 = 1e-12;

/// How the dependence of two representations is estimated from some inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// The usual one, from 0 to 1. With fewer inputs than features it is near 1 whatever the representations are.
    Biased,
    /// From the estimate of HSIC that is right on average for any number of inputs; it is around 0 for representations
    /// that have nothing in common, and may be below. At least 4 inputs.
    Debiased,
}

/// The linear centred kernel alignment of two representations of the same inputs, `[inputs, features]` each with features
/// of its own: HSIC(X, Y) / √(HSIC(X, X) · HSIC(Y, Y)). Rotating, shifting or scaling a representation changes nothing.
///
/// Kornblith et al., Similarity of Neural Network Representations Revisited, 2019, arXiv:1905.00414; debiased as in
/// Nguyen, Raghu and Kornblith, Do Wide and Deep Networks Learn the Same Things?, 2021, arXiv:2010.15327.
///
/// # Errors
///
/// If the inputs are not as many, too few (2, or 4 debiased), or a representation is the same for all of them; debiased
/// also where the inputs show no variation of a representation beyond chance.
pub fn linear_cka(x: &Points, y: &Points, estimator: Estimator) -> Result<f64> {
    let both = linear_hsic(x, y, estimator)?;
    let (of_x, of_y) = (linear_hsic(x, x, estimator)?, linear_hsic(y, y, estimator)?);
    for (name, own) in [("first", of_x), ("second", of_y)] {
        if own <= 0.0 {
            let message = format!("the {name} representation does not vary enough over {} inputs", x.rows());
            return Err(Error::new(Kind::Argument, message));
        }
    }
    Ok(both / (of_x.sqrt() * of_y.sqrt()))
}

/// The Hilbert–Schmidt independence criterion of two representations with linear kernels: ‖XᵀY‖² / (n − 1)² of centred
/// features, or debiased as in Song et al., Feature selection via dependence maximization, 2012.
///
/// It is computed from products of features or of inputs, whatever is less.
///
/// # Errors
///
/// If the inputs are not as many, or fewer than 2 (4 debiased).
pub fn linear_hsic(x: &Points, y: &Points, estimator: Estimator) -> Result<f64> {
    let n = x.rows();
    if y.rows() != n {
        return Err(Error::new(Kind::Argument, format!("the representations are of {n} and of {} inputs", y.rows())));
    }
    let fewest = if estimator == Estimator::Debiased { FEWEST_DEBIASED } else { 2 };
    if n < fewest {
        return Err(Error::new(Kind::Argument, format!("{n} inputs are too few; at least {fewest} are needed")));
    }
    let (x, y) = (Centered::new(x), Centered::new(y));
    let by_inputs = n as u128 * (x.columns() + y.columns()) as u128;
    let by_features = x.columns() as u128 * y.columns() as u128;
    let sum = if by_inputs / 2 < by_features { x.sum_by_inputs(&y) } else { x.sum_by_features(&y) };
    let size = n as f64;
    let Estimator::Debiased = estimator else {
        return Ok(sum / (size - 1.0).powi(2));
    };

    // the Gram matrices K and L of centred features have rows that sum to 0, so all that the estimate needs of them
    // without their diagonals follows from the diagonals
    let (k, l) = (x.squares(), y.squares());
    let diagonal: f64 = k.iter().zip(&l).map(|(k, l)| k * l).sum();
    let traces = k.iter().sum::<f64>() * l.iter().sum::<f64>();
    let terms = [sum - diagonal, traces / ((size - 1.0) * (size - 2.0)), -2.0 * diagonal / (size - 2.0)];
    let total: f64 = terms.iter().sum();
    let most = sum + diagonal + terms[1];
    Ok(if total.abs() > ROUNDING * most { total / (size * (size - 3.0)) } else { 0.0 })
}

/// Features less their means, in double precision, made when they are needed.
struct Centered<'a> {
    points: &'a Points,
    frame: Frame<'a>,
}

impl<'a> Centered<'a> {
    fn new(points: &'a Points) -> Self {
        Self { points, frame: Frame::new(points, Metric::L2) }
    }

    fn columns(&self) -> usize {
        self.points.columns()
    }

    /// Some features of some inputs, `[rows, columns]`.
    fn block(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> Vec<f64> {
        let mean = &self.frame.mean()[columns.clone()];
        let row = |row| self.points.row(row)[columns.clone()].iter().zip(mean);
        rows.flat_map(row).map(|(value, mean)| f64::from(*value) - mean).collect()
    }

    /// The squared length of each input's features.
    fn squares(&self) -> Vec<f64> {
        let square = |row: usize| self.frame.coordinates(row).map(|value| value * value).sum();
        (0..self.points.rows()).into_par_iter().with_min_len(TILE).map(square).collect()
    }

    /// Σ over features of both of (XᵀY)².
    fn sum_by_features(&self, other: &Self) -> f64 {
        let (rows, columns) = (self.points.rows(), other.columns());
        let tiles = |count: usize| (0..count).step_by(TILE);
        let tiles: Vec<_> = tiles(self.columns()).flat_map(|a| tiles(columns).map(move |b| (a, b))).collect();
        let tile = |(a, b): (usize, usize)| {
            let (a, b) = (a..self.columns().min(a + TILE), b..columns.min(b + TILE));
            let mut product = vec![0f64; a.len() * b.len()];
            for start in (0..rows).step_by(DEPTH) {
                let part = start..rows.min(start + DEPTH);
                let (x, y) = (self.block(part.clone(), a.clone()), other.block(part.clone(), b.clone()));
                add_transposed_product(&x, &y, part.len(), &mut product);
            }
            product.iter().map(|value| value * value).sum::<f64>()
        };
        let parts: Vec<f64> = tiles.into_par_iter().map(tile).collect();
        parts.iter().sum()
    }

    /// The same as Σ over pairs of inputs of (XXᵀ)(YYᵀ).
    fn sum_by_inputs(&self, other: &Self) -> f64 {
        let rows = self.points.rows();
        let starts = || (0..rows).step_by(TILE);
        // the matrices are symmetric
        let tiles: Vec<_> = starts().flat_map(|a| starts().filter(move |b| *b <= a).map(move |b| (a, b))).collect();
        let tile = |(a, b): (usize, usize)| {
            let (rows_a, rows_b) = (a..rows.min(a + TILE), b..rows.min(b + TILE));
            let (x, y) = (self.gram(rows_a.clone(), rows_b.clone()), other.gram(rows_a, rows_b));
            let sum: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
            if a == b { sum } else { 2.0 * sum }
        };
        let parts: Vec<f64> = tiles.into_par_iter().map(tile).collect();
        parts.iter().sum()
    }

    /// Inner products of some inputs with others.
    fn gram(&self, a: std::ops::Range<usize>, b: std::ops::Range<usize>) -> Vec<f64> {
        let mut sum = vec![0f64; a.len() * b.len()];
        let mut product = sum.clone();
        for start in (0..self.columns()).step_by(DEPTH) {
            let part = start..self.columns().min(start + DEPTH);
            let (x, y) = (self.block(a.clone(), part.clone()), self.block(b.clone(), part.clone()));
            products(&x, &y, part.len(), &mut product);
            sum.iter_mut().zip(&product).for_each(|(sum, product)| *sum += product);
        }
        sum
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;
    use crate::points::rows::tests::{for_any_threads, grouped};

    fn matrix(points: &Points) -> DMatrix<f64> {
        DMatrix::from_row_iterator(points.rows(), points.columns(), points.values().iter().map(|v| f64::from(*v)))
    }

    /// From Gram matrices, as the papers write it: H K H, and the estimate of Song et al.
    fn slow(x: &Points, y: &Points, estimator: Estimator) -> f64 {
        let n = x.rows();
        let size = n as f64;
        let gram = |points: &Points| matrix(points) * matrix(points).transpose();
        let hsic = |k: &DMatrix<f64>, l: &DMatrix<f64>| match estimator {
            Estimator::Biased => {
                let h = DMatrix::identity(n, n) - DMatrix::from_element(n, n, 1.0 / size);
                (k * &h * l * &h).trace() / (size - 1.0).powi(2)
            }
            Estimator::Debiased => {
                let hollow = |k: &DMatrix<f64>| DMatrix::from_fn(n, n, |i, j| if i == j { 0.0 } else { k[(i, j)] });
                let (k, l) = (hollow(k), hollow(l));
                let product = &k * &l;
                (product.trace() + k.sum() * l.sum() / ((size - 1.0) * (size - 2.0))
                    - 2.0 / (size - 2.0) * product.sum())
                    / (size * (size - 3.0))
            }
        };
        let (k, l) = (gram(x), gram(y));
        hsic(&k, &l) / (hsic(&k, &k) * hsic(&l, &l)).sqrt()
    }

    #[test]
    fn it_is_what_the_papers_say_by_features_and_by_inputs() {
        for (rows, columns) in [(150, [7, 12]), (300, [4, 150]), (20, [300, 600]), (5, [3, 200])] {
            let (x, _) = grouped(1, rows, columns[0], 5);
            let (y, _) = grouped(2, rows, columns[1], 3);
            for estimator in [Estimator::Biased, Estimator::Debiased] {
                let found = for_any_threads(|| linear_cka(&x, &y, estimator).unwrap());
                let truth = slow(&x, &y, estimator);
                assert!((found - truth).abs() < 1e-9, "{found} for {truth}");
            }
        }
    }

    #[test]
    fn both_ways_of_summing_agree() {
        let (x, _) = grouped(1, 200, 140, 5);
        let (y, _) = grouped(2, 200, 130, 3);
        let (x, y) = (Centered::new(&x), Centered::new(&y));
        let [a, b] = [x.sum_by_features(&y), x.sum_by_inputs(&y)];
        assert!((a - b).abs() < 1e-11 * a);
    }

    #[test]
    fn a_representation_is_like_itself_turned_shifted_and_scaled() {
        let (x, _) = grouped(1, 60, 2, 4);
        let turned = x.iter().flat_map(|row| [3.0 * row[1] + 7.0, -3.0 * row[0] + 2.0]).collect();
        let turned = Points::new(turned, 60, 2).unwrap();
        for estimator in [Estimator::Biased, Estimator::Debiased] {
            assert!((linear_cka(&x, &turned, estimator).unwrap() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn the_debiased_one_sees_that_wide_noise_has_nothing_in_common() {
        let (x, y) = (grouped(1, 30, 2000, 1).0, grouped(2, 30, 2000, 1).0);
        assert!(linear_cka(&x, &y, Estimator::Biased).unwrap() > 0.9);
        assert!(linear_cka(&x, &y, Estimator::Debiased).unwrap().abs() < 0.1);
    }

    #[test]
    fn what_is_impossible_is_said() {
        let (x, _) = grouped(1, 3, 5, 3);
        let constant = Points::new(vec![0.1; 9], 3, 3).unwrap();
        let message = |x, y, estimator| linear_cka(x, y, estimator).unwrap_err().to_string();
        assert_eq!(message(&x, &x, Estimator::Debiased), "3 inputs are too few; at least 4 are needed");
        assert_eq!(
            message(&x, &constant, Estimator::Biased),
            "the second representation does not vary enough over 3 inputs"
        );
        assert_eq!(
            message(&x, &grouped(1, 4, 5, 3).0, Estimator::Biased),
            "the representations are of 3 and of 4 inputs"
        );
        let huge = Points::new(x.values().iter().map(|value| value * 3e37).collect(), 3, 5).unwrap();
        assert!((linear_cka(&x, &huge, Estimator::Biased).unwrap() - 1.0).abs() < 1e-6);
    }
}
