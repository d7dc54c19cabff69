//! ROAD: removing pixels so that what is left does not show which ones were removed.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::imputation::Imputation;
use super::measure::{Better, Curve, Measure, named};
use super::order::map_of;
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::function;
use crate::tensor::normal;
use crate::vis::attribution::Attribution;

/// Half of the probability left when the least important pixels are removed, less that when the most important ones are,
/// averaged over several shares of pixels: large if the map tells them apart.
///
/// A removed pixel becomes the weighted mean of its neighbours (1/6 beside it, 1/12 diagonally), all at once, and a little
/// noise is added, so that the shape of what was removed tells the network nothing. Of a target that is no class its number
/// is taken.
///
/// ```rhai
/// road(grad_cam(photo("chelsea")), percentiles=[70, 90], seed=1)
/// ```
#[function(
    source = "Rong et al., A Consistent and Efficient Evaluation Strategy for Attribution Methods, 2022, arXiv:2202.00449; pytorch-grad-cam's ROADCombined"
)]
pub fn road(
    job: &Job,
    /// The attribution.
    #[each]
    attribution: &Attribution,
    /// Pixels at or above these percentiles of the map are removed: at 90, a tenth.
    #[default([10, 20, 30, 40, 50, 60, 70, 80, 90])]
    percentiles: Vec<f64>,
    /// The standard deviation of the noise, as a part of that of the network's input.
    #[default(0.01)]
    #[range(0.0..=10.0)]
    noise: f64,
    /// The seed of the noise; without it, the next of the session's.
    #[default]
    seed: Option<u64>,
) -> Result<Measure> {
    if percentiles.is_empty() || percentiles.iter().any(|percentile| !(*percentile > 0.0 && *percentile <= 100.0)) {
        let message = "road: `percentiles` are one or more numbers above 0 and up to 100";
        return Err(Error::new(Kind::Argument, message).at_argument("percentiles"));
    }
    let prediction = &attribution.prediction;
    let seed = job.seed(seed);
    let (_, _, height, width) = prediction.input.dims4()?;
    let [most_first, least_first] = orders(&map_of(attribution)?, seed);
    let input: Vec<f32> = prediction.input.flatten_all()?.to_vec1()?;
    let deviation = deviation(&input) * noise;
    let count = percentiles.len();
    // first all with the most important pixels removed, then all with the least important ones
    let interrupt = job.interrupt();
    let probabilities = prediction.probabilities(job, "ROAD", 2 * count, |index, x| {
        let order = if index < count { &most_first } else { &least_first };
        let removed = removed(order, percentiles[index % count]);
        let equations = Imputation::new(&removed, width);
        let planes: Vec<&[f32]> = input.chunks_exact(height * width).collect();
        let solved: Vec<Vec<f64>> =
            planes.par_iter().map(|plane| equations.solve(interrupt, plane)).collect::<Result<_>>()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(index as u64);
        let mut noise = normal(&mut random);
        for (plane, solved) in x.chunks_exact_mut(height * width).zip(solved) {
            for (place, value) in equations.missing().iter().zip(solved) {
                plane[*place] = (value + deviation * f64::from(noise.next().unwrap_or(0.0))) as f32;
            }
        }
        Ok(())
    })?;
    let (most, least) = probabilities.split_at(count);
    let [most, least] = [most, least].map(|curve| curve.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>());
    let value = least.iter().zip(&most).map(|(least, most)| (least - most) / 2.0).sum::<f64>() / count as f64;
    let meaning = "half the probability that least important pixels cost less than most important ones";
    let places = percentiles.iter().map(|percentile| 1.0 - percentile / 100.0).collect();
    let curves = vec![
        Curve { label: "most important removed".into(), values: most },
        Curve { label: "least important removed".into(), values: least },
    ];
    Ok(Measure::new("ROAD", named(attribution), value, Better::Higher, meaning).with_curves(
        ["share of pixels removed", "probability"],
        places,
        curves,
    ))
}

/// The places of a map, the most important first, and the least important first. Equals stand in random order: they are many
/// where a map is cut off at zero, and none of them is more important than another.
fn orders(map: &[f32], seed: u64) -> [Vec<usize>; 2] {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::MAX);
    let mut order: Vec<usize> = (0..map.len()).collect();
    order.shuffle(&mut random);
    [-1.0, 1.0].map(|sign| {
        let mut sorted = order.clone();
        sorted.sort_by(|a, b| (sign * map[*a]).total_cmp(&(sign * map[*b])));
        sorted
    })
}

/// Which places are removed: the first of an order, as many as are at or above a percentile.
fn removed(order: &[usize], percentile: f64) -> Vec<bool> {
    let kept = (percentile / 100.0 * (order.len().max(1) - 1) as f64).ceil() as usize;
    let mut removed = vec![false; order.len()];
    order.iter().take(order.len() - kept).for_each(|place| removed[*place] = true);
    removed
}

/// The standard deviation of numbers.
fn deviation(values: &[f32]) -> f64 {
    let count = values.len().max(1) as f64;
    let mean = crate::tensor::sum_of(values, f64::from) / count;
    (crate::tensor::sum_of(values, |value| (f64::from(value) - mean).powi(2)) / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_removed_as_reach_the_percentile() {
        let [most, least] = orders(&[1.0, 4.0, 2.0, 3.0], 1);
        assert_eq!((most.as_slice(), least.as_slice()), ([1, 3, 2, 0].as_slice(), [0, 2, 3, 1].as_slice()));
        // the percentile lies between 2 and 3
        assert_eq!(removed(&most, 50.0), [false, true, false, true]);
        assert_eq!(removed(&least, 50.0), [true, false, true, false]);
        assert_eq!(removed(&most, 100.0), [false, true, false, false]);
        // of equals no more than of others
        let [most, _] = orders(&[0.0; 10], 1);
        assert_eq!(removed(&most, 90.0).iter().filter(|removed| **removed).count(), 1);
    }
}
