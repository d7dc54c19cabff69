//! Otsu's threshold: where a map is cut if nothing but the map is known.

/// How many bins the values are counted in.
const BINS: usize = 256;

/// The value that parts numbers into two groups which vary least inside (Otsu, 1979), found among the borders of 256 bins;
/// nothing if all numbers are the same.
pub fn otsu(values: &[f32]) -> Option<f32> {
    let ends = |(low, high): (f32, f32), value: &f32| (low.min(*value), high.max(*value));
    let (low, high) = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), ends);
    let width = (f64::from(high) - f64::from(low)) / BINS as f64;
    if width <= 0.0 || !width.is_finite() {
        return None;
    }
    let mut counts = [0f64; BINS];
    let mut sums = [0f64; BINS];
    for value in values {
        let value = f64::from(*value);
        let bin = (((value - f64::from(low)) / width) as usize).min(BINS - 1);
        counts[bin] += 1.0;
        sums[bin] += value;
    }
    let (all, total): (f64, f64) = (counts.iter().sum(), sums.iter().sum());
    let (mut count, mut sum) = (0.0, 0.0);
    let mut best = (f64::NEG_INFINITY, low);
    for bin in 0..BINS - 1 {
        count += counts[bin];
        sum += sums[bin];
        if count == 0.0 || count == all {
            continue;
        }
        // the more the means differ, the less is left to vary inside
        let apart = sum / count - (total - sum) / (all - count);
        let between = count * (all - count) * apart * apart;
        if between > best.0 {
            best = (between, (f64::from(low) + width * (bin + 1) as f64) as f32);
        }
    }
    Some(best.1)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The slow twin: every value is tried, and the variance inside both groups is computed from its definition.
    #[test]
    fn what_it_parts_varies_least_inside() {
        let values: Vec<f32> =
            (0..400u32).map(|i| if i % 3 == 0 { 5.0 } else { 1.0 } + (i * 37 % 101) as f32 / 100.0).collect();
        let inside = |threshold: f32| {
            let (above, below): (Vec<f32>, Vec<f32>) = values.iter().partition(|value| **value >= threshold);
            [above, below].iter().filter(|part| !part.is_empty()).fold(0f64, |sum, part| {
                let mean = part.iter().map(|v| f64::from(*v)).sum::<f64>() / part.len() as f64;
                sum + part.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>()
            })
        };
        let best = values.iter().map(|value| inside(*value)).fold(f64::INFINITY, f64::min);
        let found = otsu(&values).unwrap();
        assert!(inside(found) < best * 1.001, "{found}: {} and {best}", inside(found));
        assert!((2.0..=5.0).contains(&found));
        assert_eq!(otsu(&[3.0; 20]), None);
        assert_eq!(otsu(&[]), None);
    }
}
