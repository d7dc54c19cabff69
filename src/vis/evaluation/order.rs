//! What measures read of a map: its numbers at the size of the network's input, and the order of its pixels.

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::vis::Prediction;
use crate::vis::attribution::{Attribution, Baseline, Sign};

/// The map at the size of the network's input, row by row.
pub(super) fn map_of(attribution: &Attribution) -> Result<Vec<f32>> {
    let map = attribution.map_of_image()?;
    let (_, _, height, width) = attribution.prediction.input.dims4()?;
    if map.len() == height * width {
        return Ok(map);
    }
    Err(Error::new(Kind::Internal, "the map has another size than the network's input"))
}

/// What speaks for the score: of signed maps the positive part.
pub(super) fn relevance_of(attribution: &Attribution) -> Result<Vec<f32>> {
    Ok(map_of(attribution)?.into_iter().map(|value| value.max(0.0)).collect())
}

/// The attribution of each number of the input `[C, h, w]`: its values if they are as many, else its map for each channel.
pub(super) fn values_of(attribution: &Attribution) -> Result<Vec<f32>> {
    let input = &attribution.prediction.input;
    if attribution.values.elem_count() == input.elem_count() && attribution.sign == Sign::Signed {
        return Ok(attribution.values.flatten_all()?.to_vec1()?);
    }
    let map = map_of(attribution)?;
    Ok(std::iter::repeat_n(map, input.dim(1)?).flatten().collect())
}

/// The places of a map, the greatest first; of equals the first.
pub(super) fn descending(map: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..map.len()).collect();
    let value = |place: usize| map.get(place).copied().unwrap_or(f32::NEG_INFINITY);
    order.sort_by(|a, b| value(*b).total_cmp(&value(*a)));
    order
}

/// What stands for a hidden part, `[C, h, w]`: zeros if nothing is said.
pub(super) fn behind(
    job: &Job,
    prediction: &Prediction,
    baseline: Option<&Baseline>,
    seed: Option<u64>,
) -> Result<Vec<f32>> {
    let behind = match baseline {
        Some(baseline) => baseline.input(job, prediction, seed)?,
        None => prediction.input.zeros_like()?,
    };
    Ok(behind.flatten_all()?.to_vec1()?)
}

/// The probabilities while pixels of one input are put into another, in an order and so many at a time: none of them first,
/// all of them last.
pub(super) fn replaced(
    job: &Job,
    label: &str,
    prediction: &Prediction,
    order: &[usize],
    step: usize,
    [start, end]: [&[f32]; 2],
) -> Result<Vec<f64>> {
    let steps = order.len().div_ceil(step.max(1));
    let probabilities = prediction.probabilities(job, label, steps + 1, |index, x| {
        x.copy_from_slice(start);
        let planes = x.chunks_exact_mut(order.len()).zip(end.chunks_exact(order.len()));
        for (plane, end) in planes {
            order.iter().take(index * step).for_each(|place| plane[*place] = end[*place]);
        }
        Ok(())
    })?;
    Ok(probabilities.into_iter().map(f64::from).collect())
}

/// The area under a curve whose places are evenly spread from 0 to 1, by trapezoids.
pub(super) fn area(curve: &[f64]) -> f64 {
    let pairs = curve.windows(2).map(|pair| pair.iter().sum::<f64>() / 2.0);
    pairs.sum::<f64>() / (curve.len().max(2) - 1) as f64
}

/// Places evenly spread from 0 to 1.
pub(super) fn spread(count: usize) -> Vec<f64> {
    (0..count).map(|place| place as f64 / (count.max(2) - 1) as f64).collect()
}
