//! Gram matrices of the places that count, and what their gradients are.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use crate::error::Result;
use crate::tensor::{sum_of, with_values, zip};

/// Numbers of one part of the work at least.
const PART: usize = 1 << 14;

/// How much each place of a layer counts for a style.
#[derive(Clone, Debug)]
pub struct Weights {
    /// From 0 to 1, row by row.
    pub values: Vec<f32>,
    /// How many places stand in a row.
    pub width: usize,
}

impl Weights {
    /// Those of some rows and columns.
    pub fn of(&self, [rows, columns]: &[Range<usize>; 2]) -> Vec<f32> {
        let row = |row: usize| &self.values[row * self.width..][columns.clone()];
        rows.clone().flat_map(|at| row(at).iter().copied()).collect()
    }
}

/// The channels of some places of activations `[1, C, h, w]`, one row for each place: `[places, C]`.
///
/// # Errors
/// There are no such places.
pub fn rows(activations: &Tensor, [rows, columns]: &[Range<usize>; 2]) -> Result<Tensor> {
    let channels = activations.dim(1)?;
    let part = activations.narrow(2, rows.start, rows.len())?.narrow(3, columns.start, columns.len())?;
    Ok(part.permute((0, 2, 3, 1))?.contiguous()?.reshape((rows.len() * columns.len(), channels))?)
}

/// The adjoint of [`rows`]: activations of the shape of `like` that are zero at all other places.
///
/// # Errors
/// There are no such places.
pub fn spread(rows: &Tensor, [down, across]: &[Range<usize>; 2], like: &Tensor) -> Result<Tensor> {
    let (_, channels, height, width) = like.dims4()?;
    let part = rows.reshape((1, down.len(), across.len(), channels))?;
    let part =
        part.pad_with_zeros(1, down.start, height - down.end)?.pad_with_zeros(2, across.start, width - across.end)?;
    Ok(part.permute((0, 3, 1, 2))?)
}

/// Σ w f fᵀ over the rows f `[places, C]`, with the weights w of their places: `[C, C]`, not divided by anything.
///
/// # Errors
/// The rows hold no float32 values.
pub fn gram(rows: &Tensor, weights: Option<&[f32]>) -> Result<Tensor> {
    let channels = rows.dim(1)?;
    let mut sums = vec![0f32; channels * channels];
    with_values(rows, |values| percept_kernels::gram::gram(values, channels, weights, &mut sums))?;
    Ok(Tensor::from_vec(sums, (channels, channels), &Device::Cpu)?)
}

/// The gradient of Σ S · [`gram`] / 2 for the rows, for a symmetric S `[C, C]`: w S f.
///
/// # Errors
/// The tensors hold no float32 values.
pub fn gram_gradient(rows: &Tensor, weights: Option<&[f32]>, slope: &Tensor) -> Result<Tensor> {
    let (channels, mut out) = (rows.dim(1)?, vec![0f32; rows.elem_count()]);
    with_values(rows, |values| {
        with_values(slope, |slope| percept_kernels::gram::gradient(values, channels, weights, slope, &mut out))
    })??;
    Ok(Tensor::from_vec(out, rows.shape(), &Device::Cpu)?)
}

/// The sum of the squares of all numbers.
///
/// # Errors
/// The tensor holds no float32 values.
pub fn square(x: &Tensor) -> Result<f64> {
    with_values(x, |values| sum_of(values, |value| f64::from(value) * f64::from(value)))
}

/// a − b.
///
/// # Errors
/// The tensors hold no float32 values.
pub fn difference(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    zip(a, b, |a, b| a - b)
}

/// The mean of √(Δx² + Δy²) over the pixels and colours of an image `[1, 3, h, w]`, the differences to the pixels to the right
/// and below, and its gradient: what [`tv`](crate::vis::objective::tv) measures.
///
/// # Errors
/// The tensor has another shape.
pub fn total_variation(image: &Tensor) -> Result<(f64, Tensor)> {
    /// The root has no slope at 0.
    const LEAST: f32 = 1e-8;
    let (_, channels, height, width) = image.dims4()?;
    if height < 2 || width < 2 {
        return Ok((0.0, image.zeros_like()?));
    }
    let count = channels * (height - 1) * (width - 1);
    let (sum, gradient) = with_values(&image.detach(), |values| {
        let row = |index: usize| &values[index * width..][..width];
        let slope = |a: f32, b: f32, scale: f32| (b - a) * scale;
        // one over the length of each difference, 0 where a pixel has no neighbour
        let mut scales = vec![0f32; values.len()];
        let lengths = scales.par_chunks_mut(width).enumerate().with_min_len(PART / width + 1).map(|(index, scales)| {
            if (index + 1).is_multiple_of(height) {
                return 0.0;
            }
            let (here, right, below) = (row(index), &row(index)[1..], row(index + 1));
            for (((scale, v), right), below) in scales.iter_mut().zip(here).zip(right).zip(below) {
                *scale = 1.0 / ((right - v).powi(2) + (below - v).powi(2) + LEAST).sqrt();
            }
            scales[..width - 1].iter().map(|scale| f64::from(1.0 / scale)).sum::<f64>()
        });
        let sum: f64 = lengths.collect::<Vec<_>>().iter().sum();
        let mut gradient = vec![0f32; values.len()];
        gradient.par_chunks_mut(width).enumerate().with_min_len(PART / width + 1).for_each(|(index, slopes)| {
            let (here, scales) = (row(index), &scales[..]);
            let scales_of = |index: usize| &scales[index * width..][..width];
            if !(index + 1).is_multiple_of(height) {
                let below = row(index + 1);
                for (((s, v), below), scale) in slopes.iter_mut().zip(here).zip(below).zip(scales_of(index)) {
                    *s -= slope(*v, *below, *scale);
                }
                for (x, (pair, scale)) in here.windows(2).zip(scales_of(index)).enumerate() {
                    let along = slope(pair[0], pair[1], *scale);
                    slopes[x] -= along;
                    slopes[x + 1] += along;
                }
            }
            if !index.is_multiple_of(height) {
                for (((s, above), v), scale) in
                    slopes.iter_mut().zip(row(index - 1)).zip(here).zip(scales_of(index - 1))
                {
                    *s += slope(*above, *v, *scale);
                }
            }
            slopes.iter_mut().for_each(|slope| *slope /= count as f32);
        });
        (sum, gradient)
    })?;
    Ok((sum / count as f64, Tensor::from_vec(gradient, image.shape(), &Device::Cpu)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::job::Job;
    use crate::model::Model;
    use crate::tensor::map;
    use crate::tensor::testing::{assert_close, gradient, random, rng, values};
    use crate::vis::descent::value_and_gradient;
    use crate::vis::objective::{Picture, gram_matrix};

    #[test]
    fn rows_and_their_adjoint_hold_the_places() {
        let mut rng = rng(1);
        let x = random(&mut rng, (1, 5, 6, 7));
        let places = [1..4, 2..7];
        let ours = rows(&x, &places).unwrap();
        assert_eq!(ours.dims(), [15, 5]);
        let truth = x.narrow(2, 1, 3).unwrap().narrow(3, 2, 5).unwrap().flatten_from(2).unwrap().squeeze(0).unwrap();
        assert_eq!(values(&ours.t().unwrap()), values(&truth));
        let back = spread(&ours, &places, &x).unwrap();
        assert_eq!(back.dims(), x.dims());
        assert_eq!(values(&rows(&back, &places).unwrap()), values(&ours));
        assert_eq!(square(&back).unwrap(), square(&ours).unwrap());
    }

    #[test]
    fn gram_matrices_are_those_of_the_objective() {
        let mut rng = rng(2);
        let x = random(&mut rng, (1, 5, 6, 7));
        let all = rows(&x, &[0..6, 0..7]).unwrap();
        let truth = (gram_matrix(&x.flatten_from(2).unwrap()).unwrap() * 42.0).unwrap();
        assert_close(&values(&gram(&all, None).unwrap()), &values(&truth), 1e-5, "plain");
        assert_close(&values(&gram(&all, Some(&[1.0; 42])).unwrap()), &values(&truth), 1e-5, "all places");
        // a weight of 2 counts a place twice
        let mut weights = vec![0f32; 42];
        (weights[3], weights[40]) = (1.0, 2.0);
        let some = Tensor::cat(&[3, 40, 40].map(|row| all.narrow(0, row, 1).unwrap()), 0).unwrap();
        let ours = gram(&all, Some(&weights)).unwrap();
        assert_close(&values(&ours), &values(&gram(&some, None).unwrap()), 1e-5, "weighted");

        let slope = random(&mut rng, (5, 5));
        let slope = (&slope + slope.t().unwrap()).unwrap();
        let by_tape = gradient(&all, &(&slope / 2.0).unwrap(), |rows| {
            let column = Tensor::from_slice(&weights, (42, 1), &Device::Cpu)?;
            Ok(rows.t()?.matmul(&rows.broadcast_mul(&column)?)?)
        });
        let ours = gram_gradient(&all, Some(&weights), &slope).unwrap();
        assert_close(&values(&ours), &values(&by_tape), 1e-5, "gradient");
    }

    #[test]
    fn weights_of_places_are_cut_out() {
        let weights = Weights { values: (0..12_u8).map(f32::from).collect(), width: 4 };
        assert_eq!(weights.of(&[1..3, 2..4]), [6.0, 7.0, 10.0, 11.0]);
    }

    #[test]
    fn total_variation_is_that_of_the_objective() {
        let model = Model::embedded().unwrap();
        for size in [(30, 41), (2, 2), (130, 140)] {
            let image = map(&random(&mut rng(3), (1, 3, size.0, size.1)), |v| 0.5 + 0.5 * v).unwrap();
            let (value, gradient) = total_variation(&image).unwrap();
            let truth = value_and_gradient(&Job::detached(), &model, &Picture::TotalVariation, &image).unwrap();
            assert!((value / truth.0 - 1.0).abs() < 1e-5, "{value} and {}", truth.0);
            assert_close(&values(&gradient), &values(&truth.1), 1e-3, "gradient");
        }
        let line = Tensor::ones((1, 3, 1, 9), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert_eq!(total_variation(&line).unwrap().0, 0.0);
    }
}
