//! Principal components.

use std::ops::Range;

use nalgebra::{DMatrix, DMatrixView, Dyn};
use rayon::prelude::*;

use super::eigen::leading;
use super::rows::Points;
use super::rows::wrong;
use crate::error::Result;

/// Rows or columns of a tile of the covariance matrix, and how much of the other side is read at once.
const TILE: usize = 256;
/// Sums over the other side are made in at most so many parts side by side.
const PARTS: usize = 16;
/// The covariance matrix is made if it has at most so many rows; above that it is only multiplied with.
const MADE: usize = 2048;
/// Rest, as a part of the largest variance, and restarts after which it is given up.
const REST: (f64, usize) = (1e-12, 40);
/// Standard deviations below this part of the largest one are what rounding leaves of 0.
const NOTHING: f64 = 1e-7;

/// The principal components of some points.
#[derive(Clone, Debug)]
pub struct Pca {
    /// The mean of the points.
    mean: Vec<f64>,
    /// One column for each component.
    components: DMatrix<f64>,
    variances: Vec<f64>,
    ratios: Vec<f64>,
    scores: Vec<f32>,
    residual: f64,
}

impl Pca {
    /// The first `count` principal components of points: orthonormal directions in which they vary most, in descending
    /// order of variance (Pearson, 1901; Hotelling, 1933).
    ///
    /// They are eigenvectors of the covariance matrix, or of the Gram matrix if there are fewer points than dimensions,
    /// in f64. That matrix is decomposed whole if it is small or a large part of it is wanted. Else its leading
    /// eigenvectors are found by block Lanczos iteration from a random start that `seed` sets (after Halko, Martinsson
    /// and Tropp, Finding Structure with Randomness, 2011), which goes on until they are exact to about 1e-12 of the
    /// largest variance; [`Self::residual`] tells. The result does not depend on the number of threads.
    ///
    /// Of the two directions of a component it is the one whose number of largest magnitude is positive, the first such
    /// number if there are several: scikit-learn's v-based `svd_flip`. Components in which the points do not vary are
    /// any that are orthogonal to the others.
    ///
    /// # Errors
    /// There are less than 2 points, or `count` is not from 1 to the lesser of rows and columns.
    pub fn fit(points: &Points, count: usize, seed: u64) -> Result<Self> {
        let (rows, columns) = (points.rows(), points.columns());
        if rows < 2 {
            return wrong("one point has no principal components: at least 2 are needed");
        }
        let most = rows.min(columns);
        if count == 0 || count > most {
            return wrong(format!("{rows} points in {columns} dimensions have 1 to {most} components, not {count}"));
        }
        let mean = points.mean();
        let side = if rows < columns { Side::Rows } else { Side::Columns };
        let centered = Centered { points, mean: &mean, side };
        let found = if most <= MADE {
            let products = centered.products();
            leading(most, count, seed, REST, &|block| &products * block)?
        } else {
            leading(most, count, seed, REST, &|block| centered.multiply(block))?
        };
        let degrees = (rows - 1) as f64;
        let variances: Vec<f64> = found.values.iter().map(|value| value.max(0.0) / degrees).collect();
        let total = centered.squares() / degrees;
        let ratios = variances.iter().map(|variance| if total > 0.0 { variance / total } else { 0.0 }).collect();
        let mut components = match side {
            Side::Columns => found.vectors,
            Side::Rows => {
                let mut components = centered.across(&found.vectors);
                orthonormalize(&mut components, &variances);
                components
            }
        };
        components.column_iter_mut().for_each(|mut component| {
            let largest =
                component.iter().fold(0.0f64, |most, value| if value.abs() > most.abs() { *value } else { most });
            if largest < 0.0 {
                component.neg_mut();
            }
        });
        let mut pca = Self { mean, components, variances, ratios, scores: Vec::new(), residual: found.residual };
        pca.scores = pca.scores_of(points);
        Ok(pca)
    }

    /// How many components there are.
    pub fn count(&self) -> usize {
        self.components.ncols()
    }

    /// The mean of the points, one number for each column.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The components: count × columns, row by row, each of length 1.
    pub fn components(&self) -> &[f64] {
        self.components.as_slice()
    }

    /// The variance of the points along each component, with one degree of freedom for the mean.
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// The variance along each component as a part of that of the points, 0 to 1; 0 if they do not vary.
    pub fn ratios(&self) -> &[f64] {
        &self.ratios
    }

    /// How far each of the points lies from the mean along each component: rows × count, row by row.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// How far the components are from being eigenvectors: the largest ‖Cv − λv‖ by the largest variance, 0 if the
    /// matrix was decomposed whole.
    pub fn residual(&self) -> f64 {
        self.residual
    }

    /// How far other points lie from the mean along each component: rows × count, row by row.
    ///
    /// # Errors
    /// They have another number of columns, or lie so far away that the answer is beyond ±1e30.
    pub fn place(&self, points: &Points) -> Result<Points> {
        if points.columns() != self.mean.len() {
            return wrong(format!("the new points have {} columns, the old {}", points.columns(), self.mean.len()));
        }
        Points::new(self.scores_of(points), points.rows(), self.count())
    }

    /// What the first `count` components tell of the points: the mean and the scores times the components.
    ///
    /// # Errors
    /// There are not so many components, or points lie beyond ±1e30.
    pub fn reconstruct(&self, count: usize) -> Result<Points> {
        if count > self.count() {
            return wrong(format!("{count} of {} components", self.count()));
        }
        let (columns, rows) = (self.mean.len(), self.scores.len() / self.count());
        let part = |scores: &[f32]| -> Vec<f32> {
            let scores: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
            let scores = DMatrixView::from_slice(&scores, self.count(), scores.len() / self.count());
            // one column for each point
            let told = self.components.columns(0, count) * scores.rows(0, count);
            let point = |point: &[f64]| -> Vec<f32> {
                point.iter().zip(&self.mean).map(|(value, mean)| (value + mean) as f32).collect()
            };
            told.as_slice().chunks_exact(columns).flat_map(point).collect()
        };
        let parts: Vec<Vec<f32>> = self.scores.par_chunks(TILE * self.count()).map(part).collect();
        Points::new(parts.concat(), rows, columns)
    }

    fn scores_of(&self, points: &Points) -> Vec<f32> {
        let centered = Centered { points, mean: &self.mean, side: Side::Columns };
        let turned = self.components.transpose();
        let part = |rows: Range<usize>| -> Vec<f32> {
            // one column for each point
            let scores = &turned * centered.panel(0..points.columns(), rows).0;
            scores.iter().map(|score| *score as f32).collect()
        };
        let parts: Vec<Vec<f32>> = tiles(points.rows()).into_par_iter().map(part).collect();
        parts.concat()
    }
}

/// Which side of the points the matrix of products has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    /// X Xᵀ.
    Rows,
    /// Xᵀ X.
    Columns,
}

/// Points X about their mean.
struct Centered<'a> {
    points: &'a Points,
    mean: &'a [f64],
    side: Side,
}

/// A part of X in f64: side × the other side.
struct Panel(DMatrix<f64>);

impl Panel {
    /// With rows for columns, without a copy. Only to the right of a product: nalgebra 0.35 writes beyond the end of small
    /// products whose left matrix has its rows apart from each other.
    fn transposed(&self) -> DMatrixView<'_, f64, Dyn, Dyn> {
        let (rows, columns) = self.0.shape();
        DMatrixView::from_slice_with_strides(self.0.as_slice(), columns, rows, rows, 1)
    }
}

impl Centered<'_> {
    /// How many rows the matrix of products has, and over how many numbers they are summed.
    fn sizes(&self) -> (usize, usize) {
        match self.side {
            Side::Rows => (self.points.rows(), self.points.columns()),
            Side::Columns => (self.points.columns(), self.points.rows()),
        }
    }

    fn panel(&self, side: Range<usize>, other: Range<usize>) -> Panel {
        let (rows, columns) = if self.side == Side::Rows { (&side, &other) } else { (&other, &side) };
        let mean = &self.mean[columns.clone()];
        let mut panel = DMatrix::zeros(side.len(), other.len());
        for (index, row) in rows.clone().enumerate() {
            let values = self.points.row(row)[columns.clone()].iter().zip(mean);
            let values = values.map(|(value, mean)| f64::from(*value) - mean);
            match self.side {
                Side::Rows => panel.row_mut(index).iter_mut().zip(values).for_each(|(to, value)| *to = value),
                Side::Columns => panel.column_mut(index).iter_mut().zip(values).for_each(|(to, value)| *to = value),
            }
        }
        Panel(panel)
    }

    /// The matrix of products of one side, tile by tile.
    fn products(&self) -> DMatrix<f64> {
        let (size, other) = self.sizes();
        let tiles = tiles(size);
        let below = |(index, across): (usize, &Range<usize>)| {
            tiles[index..].iter().map(|down| (down.clone(), across.clone())).collect::<Vec<_>>()
        };
        let pairs: Vec<(Range<usize>, Range<usize>)> = tiles.iter().enumerate().flat_map(below).collect();
        let tile = |(down, across): &(Range<usize>, Range<usize>)| {
            self.summed(other, (down.len(), across.len()), |part, sum| {
                let left = self.panel(down.clone(), part.clone());
                if down == across {
                    sum.gemm(1.0, &left.0, &left.transposed(), 1.0);
                } else {
                    sum.gemm(1.0, &left.0, &self.panel(across.clone(), part).transposed(), 1.0);
                }
            })
        };
        let made: Vec<DMatrix<f64>> = pairs.par_iter().map(tile).collect();
        let mut products = DMatrix::zeros(size, size);
        for ((down, across), tile) in pairs.iter().zip(&made) {
            products.view_mut((down.start, across.start), tile.shape()).copy_from(tile);
            products.view_mut((across.start, down.start), (across.len(), down.len())).copy_from(&tile.transpose());
        }
        products
    }

    /// The matrix of products times a block of columns.
    fn multiply(&self, block: &DMatrix<f64>) -> DMatrix<f64> {
        let (size, other) = self.sizes();
        let turned = block.transpose();
        self.summed(other, (size, block.ncols()), |part, sum| {
            let panel = self.panel(0..size, part);
            let inner = &turned * &panel.0;
            sum.gemm(1.0, &panel.0, &inner.transpose(), 1.0);
        })
    }

    /// The other side of X times a block of columns.
    fn across(&self, block: &DMatrix<f64>) -> DMatrix<f64> {
        let (size, other) = self.sizes();
        let turned = block.transpose();
        let part = |range: Range<usize>| &turned * self.panel(0..size, range).0;
        let ranges = tiles(other);
        let parts: Vec<DMatrix<f64>> = ranges.par_iter().cloned().map(part).collect();
        let mut all = DMatrix::zeros(other, block.ncols());
        for (range, part) in ranges.iter().zip(&parts) {
            all.rows_mut(range.start, range.len()).copy_from(&part.transpose());
        }
        all
    }

    /// What `add` adds to a matrix for each range of the other side, in a fixed order.
    fn summed(
        &self,
        other: usize,
        (rows, columns): (usize, usize),
        add: impl Fn(Range<usize>, &mut DMatrix<f64>) + Sync,
    ) -> DMatrix<f64> {
        let ranges = tiles(other);
        let part = |ranges: &[Range<usize>]| {
            let mut sum = DMatrix::zeros(rows, columns);
            ranges.iter().for_each(|range| add(range.clone(), &mut sum));
            sum
        };
        let parts: Vec<DMatrix<f64>> = ranges.par_chunks(ranges.len().div_ceil(PARTS).max(4)).map(part).collect();
        parts.into_iter().reduce(|sum, part| sum + part).unwrap_or_else(|| DMatrix::zeros(rows, columns))
    }

    /// The sum of the squares of all numbers of X.
    fn squares(&self) -> f64 {
        let square = |row: &[f32]| -> f64 {
            row.iter().zip(self.mean).map(|(value, mean)| (f64::from(*value) - mean).powi(2)).sum()
        };
        self.points.iter().map(square).sum()
    }
}

/// Ranges that make up `0..count`.
fn tiles(count: usize) -> Vec<Range<usize>> {
    (0..count).step_by(TILE).map(|start| start..count.min(start + TILE)).collect()
}

/// Makes components of length σ orthonormal. Those without variance become the parts of the axes that are left over.
fn orthonormalize(components: &mut DMatrix<f64>, variances: &[f64]) {
    let largest = variances.first().copied().unwrap_or(0.0).sqrt();
    let mut axes = 0..components.nrows();
    for (index, variance) in variances.iter().enumerate() {
        let mut column = components.column(index).into_owned();
        let varies = variance.sqrt() > NOTHING * largest;
        let mut length = if varies { column.norm() } else { 0.0 };
        if length > 0.0 {
            column /= length;
            length = clear(&mut column, components, index);
        }
        // an axis of which enough is left exists: the components before span fewer dimensions
        while length < 0.1 / (components.nrows() as f64).sqrt() {
            let Some(axis) = axes.next() else { break };
            column.fill(0.0);
            column[axis] = 1.0;
            length = clear(&mut column, components, index);
        }
        if length > 0.0 {
            column /= length;
        }
        components.set_column(index, &column);
    }
}

/// Takes out of a vector what lies in the first `count` components; what its length is then.
fn clear(column: &mut nalgebra::DVector<f64>, components: &DMatrix<f64>, count: usize) -> f64 {
    for _ in 0..2 {
        for before in 0..count {
            let share = components.column(before).dot(column);
            column.axpy(-share, &components.column(before), 1.0);
        }
    }
    column.norm()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Points whose variance falls from one hidden direction to the next.
    fn points(rows: usize, columns: usize, fall: f64, seed: u64) -> Points {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let hidden = rows.min(columns);
        let normal = |rows, columns, random: &mut ChaCha8Rng| {
            DMatrix::from_fn(rows, columns, |_, _| -> f64 { StandardNormal.sample(random) })
        };
        let mut left = normal(rows, hidden, &mut random);
        left.column_iter_mut().enumerate().for_each(|(index, mut column)| column *= fall.powi(index as i32));
        let turn = normal(columns, columns, &mut random).qr().q();
        let all = left * turn.rows(0, hidden);
        let values = (0..rows * columns).map(|at| all[(at / columns, at % columns)] as f32 + 3.0).collect();
        Points::new(values, rows, columns).unwrap()
    }

    /// Compares with the singular value decomposition of the centred points.
    fn assert_components(points: &Points, pca: &Pca, tolerance: f64) {
        let (rows, columns) = (points.rows(), points.columns());
        let mean = points.mean();
        let x = DMatrix::from_fn(rows, columns, |row, column| f64::from(points.row(row)[column]) - mean[column]);
        let svd = x.clone().svd(true, true);
        let mut order: Vec<usize> = (0..svd.singular_values.len()).collect();
        order.sort_by(|a, b| svd.singular_values[*b].total_cmp(&svd.singular_values[*a]));
        let v = svd.v_t.unwrap();
        let total = x.norm_squared();
        for (index, component) in pca.components().chunks_exact(columns).enumerate() {
            let truth = v.row(order[index]);
            let sigma = svd.singular_values[order[index]];
            let dot: f64 = truth.iter().zip(component).map(|(a, b)| a * b).sum();
            let close = |a: f64, b: f64| (a - dot.signum() * b).abs() < tolerance;
            assert!(truth.iter().zip(component).all(|(a, b)| close(*a, *b)), "component {index}");
            let variance = sigma * sigma / (rows - 1) as f64;
            assert!((pca.variances()[index] / variance - 1.0).abs() < tolerance);
            assert!((pca.ratios()[index] - sigma * sigma / total).abs() < tolerance);
            let largest =
                component.iter().fold(0.0f64, |most, value| if value.abs() > most.abs() { *value } else { most });
            assert!(largest > 0.0);
            for row in 0..rows {
                let score: f64 = x.row(row).iter().zip(component).map(|(a, b)| a * b).sum();
                let ours = f64::from(pca.scores()[row * pca.count() + index]);
                assert!((ours - score).abs() < 1e-5 * svd.singular_values[order[0]]);
            }
        }
    }

    #[test]
    fn components_are_singular_vectors() {
        // both sides, whole and iterated
        for (rows, columns, count) in [(40, 6, 6), (7, 30, 6), (400, 310, 5), (310, 400, 5), (2, 3, 1)] {
            let points = points(rows, columns, 0.8, 1);
            let pca = Pca::fit(&points, count, 0).unwrap();
            assert_components(&points, &pca, 1e-6);
        }
    }

    #[test]
    fn multiplying_with_the_matrix_is_making_it() {
        for side in [Side::Rows, Side::Columns] {
            let points = points(300, 270, 0.9, 2);
            let mean = points.mean();
            let centered = Centered { points: &points, mean: &mean, side };
            let block = DMatrix::from_fn(centered.sizes().0, 8, |i, j| ((i * 7 + j * 3) % 11) as f64);
            let (made, multiplied) = (centered.products() * &block, centered.multiply(&block));
            assert!((&made - multiplied).amax() < 1e-10 * made.amax());
            assert!((centered.products().trace() - centered.squares()).abs() < 1e-9 * centered.squares());
        }
    }

    #[test]
    fn all_components_reconstruct_the_points() {
        let points = points(50, 9, 0.7, 3);
        let pca = Pca::fit(&points, 9, 0).unwrap();
        let back = pca.reconstruct(9).unwrap();
        assert!(back.values().iter().zip(points.values()).all(|(a, b)| (a - b).abs() < 1e-5));
        // what is missed is what the other components hold
        let part = pca.reconstruct(4).unwrap();
        let missed: f64 = part.values().iter().zip(points.values()).map(|(a, b)| f64::from(a - b).powi(2)).sum();
        let held: f64 = pca.variances()[4..].iter().sum::<f64>() * 49.0;
        assert!((missed / held - 1.0).abs() < 1e-4);
        let mean = pca.reconstruct(0).unwrap();
        assert!((f64::from(mean.row(7)[2]) - pca.mean()[2]).abs() < 1e-6);
        assert!(pca.reconstruct(10).is_err());
        assert_eq!(pca.place(&points).unwrap().values(), pca.scores());
        assert!(pca.place(&Points::new(vec![1.0], 1, 1).unwrap()).is_err());
    }

    #[test]
    fn points_that_do_not_vary_have_orthonormal_components() {
        let constant = Points::new(vec![2.5; 40], 8, 5).unwrap();
        let wide = Points::new([vec![1.0; 20], vec![2.0; 20], vec![3.0; 20]].concat(), 3, 20).unwrap();
        for (points, rank) in [(constant, 0), (wide, 1)] {
            let count = points.rows().min(points.columns());
            let pca = Pca::fit(&points, count, 0).unwrap();
            let components = DMatrixView::from_slice(pca.components(), points.columns(), count);
            let gram = components.transpose() * components;
            assert!((gram - DMatrix::identity(count, count)).amax() < 1e-9);
            assert!(pca.variances()[rank..].iter().all(|variance| *variance < 1e-12));
            assert!(pca.scores().iter().chain(&[0.0]).all(|score| score.is_finite()));
            assert!((pca.ratios().iter().sum::<f64>() - rank as f64).abs() < 1e-9);
        }
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let values = (0..3000 * 70).map(|_| random.random_range(-1.0..1.0)).collect();
        let points = Points::new(values, 3000, 70).unwrap();
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Pca::fit(&points, 3, 0).unwrap())
        };
        let (one, three) = (run(1), run(3));
        assert_eq!(one.components(), three.components());
        assert_eq!(one.scores(), three.scores());
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let points = points(5, 3, 0.5, 5);
        assert_eq!(
            Pca::fit(&points, 4, 0).unwrap_err().message().to_owned(),
            "5 points in 3 dimensions have 1 to 3 components, not 4"
        );
        assert!(Pca::fit(&points, 0, 0).is_err());
        assert!(
            Pca::fit(&Points::new(vec![1.0, 2.0], 1, 2).unwrap(), 1, 0)
                .unwrap_err()
                .message()
                .to_owned()
                .contains("at least 2")
        );
    }
}
