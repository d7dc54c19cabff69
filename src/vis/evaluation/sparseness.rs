//! Sparseness: the Gini index of a map.

use super::measure::{Better, Measure, named};
use super::order::map_of;
use crate::error::Result;
use crate::lang::function;
use crate::vis::attribution::Attribution;

/// The Gini index of a map's magnitude over the pixels: 0 if all carry the same, towards 1 if a few carry all.
///
/// ```rhai
/// sparseness(grad_cam(photo("chelsea")))
/// ```
#[function(
    source = "Chalasani et al., Concise Explanations of Neural Networks using Adversarial Training, 2020, arXiv:1810.06583"
)]
pub fn sparseness(
    /// The attribution.
    #[each]
    attribution: &Attribution,
) -> Result<Measure> {
    let value = gini(&map_of(attribution)?);
    Ok(Measure::new("sparseness", named(attribution), value, Better::Neither, "Gini index of the map, 0 to 1"))
}

/// The Gini index of magnitudes.
fn gini(map: &[f32]) -> f64 {
    let mut sorted: Vec<f64> = map.iter().map(|value| f64::from(value.abs())).collect();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let sum: f64 = sorted.iter().sum();
    let weighted: f64 =
        sorted.iter().zip(1..).map(|(value, place)| (2.0 * f64::from(place) - count - 1.0) * value).sum();
    if sum > 0.0 { weighted / (count * sum) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_half_the_mean_difference_over_the_mean() {
        assert_eq!(gini(&[5.0; 4]), 0.0);
        assert_eq!(gini(&[0.0, 0.0, 0.0, -8.0]), 0.75);
        let values = [1.0f32, -4.0, 2.0, 9.0, 3.0];
        let mut differences = 0.0;
        for a in values {
            for b in values {
                differences += f64::from((a.abs() - b.abs()).abs());
            }
        }
        assert!((gini(&values) - differences / 25.0 / 2.0 / (19.0 / 5.0)).abs() < 1e-12);
    }
}
