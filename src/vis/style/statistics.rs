//! Gram matrices of the places that count, and what their gradients are.

use std::ops::Range;

use candle_core::{Device, Tensor};
use percept_kernels::Target;
use percept_kernels::gram::Rectangle;
use rayon::prelude::*;

use crate::error::Result;
use crate::model::Retained;
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

/// Some places of a layer, as rows of channels.
pub fn rows(map: Retained<'_>, [lines, columns]: [Range<usize>; 2]) -> Rectangle<'_> {
    let Retained { view, channels, width, .. } = map;
    Rectangle { view, channels, width, lines, columns }
}

/// Σ w f fᵀ over the rows f `[places, C]`, with the weights w of their places: `[C, C]`, not divided by anything.
///
/// # Errors
/// The tensor cannot be made.
pub fn gram(rows: &Rectangle<'_>, weights: Option<&[f32]>) -> Result<Tensor> {
    let channels = rows.channels;
    let mut sums = vec![0f32; channels * channels];
    percept_kernels::gram::gram(rows, weights, &mut sums);
    Ok(Tensor::from_vec(sums, (channels, channels), &Device::Cpu)?)
}

/// The gradient of Σ S · [`gram`] / 2 for the rows, w S f, for a symmetric S `[C, C]`, added to what is there or put in its place.
///
/// # Errors
/// S holds no float32 values.
pub fn gram_gradient(
    rows: &Rectangle<'_>,
    weights: Option<&[f32]>,
    slope: &Tensor,
    out: Target<'_>,
    accumulate: bool,
) -> Result<()> {
    with_values(slope, |slope| percept_kernels::gram::gradient(rows, weights, slope, out, accumulate))
}

/// The sum of the squares of the differences between rows and others, one after the other.
pub fn square_distance(rows: &Rectangle<'_>, others: &[f32]) -> f64 {
    let line = rows.columns.len() * rows.channels;
    let sums = (0..rows.lines.len()).into_par_iter().with_min_len(PART / line.max(1) + 1).map(|at| {
        let lines = rows.lines.start + at..rows.lines.start + at + 1;
        let values = Rectangle { lines, ..rows.clone() };
        let row = |(row, others): (&[f32], &[f32])| {
            row.iter().zip(others).map(|(value, other)| f64::from(value - other).powi(2)).sum::<f64>()
        };
        values.rows().zip(others[at * line..].chunks_exact(rows.channels)).map(row).sum::<f64>()
    });
    sums.collect::<Vec<_>>().iter().sum()
}

/// Factor times the differences between rows and others, added to what is there or put in its place, and zero elsewhere.
pub fn add_difference(rows: &Rectangle<'_>, others: &[f32], factor: f32, out: Target<'_>, accumulate: bool) {
    let Target { data, stride, offset } = out;
    let (width, channels) = (rows.width, rows.channels);
    let own = rows.columns.len() * channels;
    data.par_chunks_mut(width * stride).enumerate().with_min_len(PART / (width * channels) + 1).for_each(
        |(line, out)| {
            if !accumulate {
                out.chunks_exact_mut(stride).for_each(|row| row[offset..][..channels].fill(0.0));
            }
            if !rows.lines.contains(&line) {
                return;
            }
            let others = others[(line - rows.lines.start) * own..].chunks_exact(channels);
            let values = Rectangle { lines: line..line + 1, ..rows.clone() };
            let out = out.chunks_exact_mut(stride).skip(rows.columns.start);
            for ((values, others), out) in values.rows().zip(others).zip(out) {
                let out = out[offset..][..channels].iter_mut();
                out.zip(values).zip(others).for_each(|((out, value), other)| *out += factor * (value - other));
            }
        },
    );
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
    use percept_kernels::View;

    /// Of a layer whose channels are some of wider rows.
    #[test]
    fn distances_and_their_slopes_are_those_of_their_rows() {
        let (width, channels, stride, offset) = (7, 5, 9, 3);
        let data = values(&random(&mut rng(1), (6 * width + 1) * stride));
        let view = View { data: &data, stride, offset };
        let map = Retained { view, channels, height: 6, width };
        for places in [[1..4, 2..7], [0..6, 0..7], [2..2, 0..7]] {
            let rectangle = rows(map, places.clone());
            let own: Vec<f32> = rectangle.rows().flatten().copied().collect();
            assert_eq!(own.len(), places[0].len() * places[1].len() * channels);
            let others = values(&random(&mut rng(2), own.len()));
            let truth: f64 = own.iter().zip(&others).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            assert!((square_distance(&rectangle, &others) - truth).abs() < 1e-9);
            for accumulate in [false, true] {
                let mut out = vec![2f32; 6 * width * stride];
                add_difference(&rectangle, &others, 0.5, Target { data: &mut out, stride, offset }, accumulate);
                let mut slopes = own.iter().zip(&others).map(|(a, b)| 0.5 * (a - b));
                for (at, row) in out.chunks_exact(stride).enumerate() {
                    let counts = places[0].contains(&(at / width)) && places[1].contains(&(at % width));
                    for (channel, value) in row.iter().enumerate() {
                        let truth = match (offset..offset + channels).contains(&channel) {
                            true if counts => slopes.next().unwrap() + if accumulate { 2.0 } else { 0.0 },
                            true if !accumulate => 0.0,
                            _ => 2.0,
                        };
                        assert_eq!(*value, truth);
                    }
                }
            }
        }
    }

    #[test]
    fn gram_matrices_are_those_of_the_objective() {
        let mut rng = rng(2);
        let x = random(&mut rng, (1, 5, 6, 7));
        let data = values(&x.permute((0, 2, 3, 1)).unwrap());
        let map = Retained { view: View { data: &data, stride: 5, offset: 0 }, channels: 5, height: 6, width: 7 };
        let all = rows(map, [0..6, 0..7]);
        let truth = (gram_matrix(&x.flatten_from(2).unwrap()).unwrap() * 42.0).unwrap();
        assert_close(&values(&gram(&all, None).unwrap()), &values(&truth), 1e-5, "plain");
        assert_close(&values(&gram(&all, Some(&[1.0; 42])).unwrap()), &values(&truth), 1e-5, "all places");
        // a weight of 2 counts a place twice
        let mut weights = vec![0f32; 42];
        (weights[3], weights[40]) = (1.0, 2.0);
        let some: Vec<f32> = [3, 40, 40].iter().flat_map(|row| data[row * 5..][..5].to_vec()).collect();
        let some = Retained { view: View { data: &some, ..map.view }, height: 1, width: 3, ..map };
        let ours = gram(&all, Some(&weights)).unwrap();
        assert_close(&values(&ours), &values(&gram(&rows(some, [0..1, 0..3]), None).unwrap()), 1e-5, "weighted");

        let slope = random(&mut rng, (5, 5));
        let slope = (&slope + slope.t().unwrap()).unwrap();
        let rows = Tensor::from_slice(&data, (42, 5), &Device::Cpu).unwrap();
        let by_tape = gradient(&rows, &(&slope / 2.0).unwrap(), |rows| {
            let column = Tensor::from_slice(&weights, (42, 1), &Device::Cpu)?;
            Ok(rows.t()?.matmul(&rows.broadcast_mul(&column)?)?)
        });
        let mut ours = vec![0f32; data.len()];
        let out = Target { data: &mut ours, stride: 5, offset: 0 };
        gram_gradient(&all, Some(&weights), &slope, out, false).unwrap();
        assert_close(&ours, &values(&by_tape), 1e-5, "gradient");
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
