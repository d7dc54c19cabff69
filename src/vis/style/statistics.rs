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

/// The values of each channel of activations `[1, C, h, w]` at some places: `[C, places]`.
///
/// # Errors
/// There are no such places.
pub fn columns(activations: &Tensor, [rows, columns]: &[Range<usize>; 2]) -> Result<Tensor> {
    let channels = activations.dim(1)?;
    let part = activations.narrow(2, rows.start, rows.len())?.narrow(3, columns.start, columns.len())?;
    Ok(part.contiguous()?.reshape((channels, rows.len() * columns.len()))?)
}

/// The adjoint of [`columns`]: activations of the shape of `like` that are zero at all other places.
///
/// # Errors
/// There are no such places.
pub fn spread(columns: &Tensor, [down, across]: &[Range<usize>; 2], like: &Tensor) -> Result<Tensor> {
    let (_, channels, height, width) = like.dims4()?;
    let part = columns.reshape((1, channels, down.len(), across.len()))?;
    let rows = part.pad_with_zeros(2, down.start, height - down.end)?;
    Ok(rows.pad_with_zeros(3, across.start, width - across.end)?)
}

/// Σ w f fᵀ over the columns f of `[C, places]`, with the weights w of their places: `[C, C]`, not divided by anything.
///
/// # Errors
/// There are more or fewer weights.
pub fn gram(columns: &Tensor, weights: Option<&[f32]>) -> Result<Tensor> {
    Ok(match weights {
        None => columns.matmul(&columns.t()?)?,
        Some(weights) => weighted(columns, weights)?.matmul(&columns.t()?)?,
    })
}

/// The gradient of Σ S · [`gram`] / 2 for the columns, for a symmetric S `[C, C]`: w S f.
///
/// # Errors
/// The shapes do not fit.
pub fn gram_gradient(columns: &Tensor, weights: Option<&[f32]>, slope: &Tensor) -> Result<Tensor> {
    let gradient = slope.matmul(columns)?;
    match weights {
        None => Ok(gradient),
        Some(weights) => weighted(&gradient, weights),
    }
}

/// Each column times a number.
fn weighted(columns: &Tensor, weights: &[f32]) -> Result<Tensor> {
    let places = columns.dim(1)?.max(1);
    let mut values = with_values(columns, <[f32]>::to_vec)?;
    values.par_chunks_mut(places).with_min_len(PART / places + 1).for_each(|row| {
        row.iter_mut().zip(weights).for_each(|(value, weight)| *value *= weight);
    });
    Ok(Tensor::from_vec(values, columns.shape(), &Device::Cpu)?)
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
        let right = |place: usize| values[place + 1] - values[place];
        let below = |place: usize| values[place + width] - values[place];
        let has = |place: usize| place % width < width - 1 && place / width % height < height - 1;
        // 0 where a pixel has no neighbour
        let mut lengths = vec![0f32; values.len()];
        lengths.par_chunks_mut(PART).enumerate().for_each(|(part, lengths)| {
            for (at, length) in lengths.iter_mut().enumerate() {
                let place = part * PART + at;
                if has(place) {
                    *length = (right(place).powi(2) + below(place).powi(2) + LEAST).sqrt();
                }
            }
        });
        let mut gradient = vec![0f32; values.len()];
        gradient.par_chunks_mut(PART).enumerate().for_each(|(part, slopes)| {
            for (at, slope) in slopes.iter_mut().enumerate() {
                let place = part * PART + at;
                let mut sum = 0.0;
                if lengths[place] > 0.0 {
                    sum -= (right(place) + below(place)) / lengths[place];
                }
                if !place.is_multiple_of(width) && lengths[place - 1] > 0.0 {
                    sum += right(place - 1) / lengths[place - 1];
                }
                if !(place / width).is_multiple_of(height) && lengths[place - width] > 0.0 {
                    sum += below(place - width) / lengths[place - width];
                }
                *slope = sum / count as f32;
            }
        });
        (sum_of(&lengths, f64::from), gradient)
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
    fn columns_and_their_adjoint_hold_the_places() {
        let mut rng = rng(1);
        let x = random(&mut rng, (1, 5, 6, 7));
        let places = [1..4, 2..7];
        let ours = columns(&x, &places).unwrap();
        assert_eq!(ours.dims(), [5, 15]);
        let truth = x.narrow(2, 1, 3).unwrap().narrow(3, 2, 5).unwrap().flatten_from(2).unwrap().squeeze(0).unwrap();
        assert_eq!(values(&ours), values(&truth));
        let back = spread(&ours, &places, &x).unwrap();
        assert_eq!(back.dims(), x.dims());
        assert_eq!(values(&columns(&back, &places).unwrap()), values(&ours));
        assert_eq!(square(&back).unwrap(), square(&ours).unwrap());
    }

    #[test]
    fn gram_matrices_are_those_of_the_objective() {
        let mut rng = rng(2);
        let x = random(&mut rng, (1, 5, 6, 7));
        let all = columns(&x, &[0..6, 0..7]).unwrap();
        let truth = (gram_matrix(&x.flatten_from(2).unwrap()).unwrap() * 42.0).unwrap();
        assert_close(&values(&gram(&all, None).unwrap()), &values(&truth), 1e-5, "plain");
        assert_close(&values(&gram(&all, Some(&[1.0; 42])).unwrap()), &values(&truth), 1e-5, "all places");
        // a weight of 2 counts a place twice
        let mut weights = vec![0f32; 42];
        (weights[3], weights[40]) = (1.0, 2.0);
        let some = Tensor::cat(&[3, 40, 40].map(|place| all.narrow(1, place, 1).unwrap()), 1).unwrap();
        let ours = gram(&all, Some(&weights)).unwrap();
        assert_close(&values(&ours), &values(&gram(&some, None).unwrap()), 1e-5, "weighted");

        let slope = random(&mut rng, (5, 5));
        let slope = (&slope + slope.t().unwrap()).unwrap();
        let by_tape = gradient(&all, &(&slope / 2.0).unwrap(), |columns| {
            let row = Tensor::from_slice(&weights, (1, 42), &Device::Cpu)?;
            Ok(columns.broadcast_mul(&row)?.matmul(&columns.t()?)?)
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
