//! Complexity: the entropy of a map.

use super::measure::{Better, Measure, named};
use super::order::map_of;
use crate::error::Result;
use crate::lang::function;
use crate::vis::attribution::Attribution;

/// The entropy, in nats, of how a map's magnitude is spread over the pixels: small if few of them carry it; at most ln of
/// their number.
///
/// ```rhai
/// complexity(grad_cam(photo("chelsea")))
/// ```
#[function(
    source = "Bhatt, Weller and Moura, Evaluating and Aggregating Feature-based Model Explanations, 2020, arXiv:2005.00631"
)]
pub fn complexity(
    /// The attribution.
    #[each]
    attribution: &Attribution,
) -> Result<Measure> {
    let value = entropy(&map_of(attribution)?);
    Ok(Measure::new("complexity", named(attribution), value, Better::Neither, "entropy of the map, in nats"))
}

/// The entropy of magnitudes, each as a share of all.
pub(super) fn entropy(map: &[f32]) -> f64 {
    let sum = crate::tensor::sum_of(map, |value| f64::from(value.abs()));
    let part = |value: f32| {
        let share = f64::from(value.abs()) / sum;
        if share > 0.0 { -share * share.ln() } else { 0.0 }
    };
    if sum > 0.0 { crate::tensor::sum_of(map, part) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_largest_where_all_pixels_carry_the_same() {
        assert!((entropy(&[-2.0; 8]) - 8f64.ln()).abs() < 1e-12);
        assert_eq!(entropy(&[0.0, 3.0, 0.0]), 0.0);
        assert!((entropy(&[1.0, 3.0]) - (0.25 * 4f64.ln() + 0.75 * (4.0f64 / 3.0).ln())).abs() < 1e-12);
    }
}
