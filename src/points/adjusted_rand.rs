//! How far two partitions agree.

use std::collections::BTreeMap;

use super::labels::Labels;
use crate::error::{Error, Kind, Result};

/// The adjusted Rand index of two partitions of the same points, whatever their labels are: 1 if they are the same, 0 on
/// average for partitions made at random with the same sizes, and below that for less.
///
/// Hubert and Arabie, Comparing partitions, 1985, as scikit-learn has it: 1 as well if both put all points together, or
/// each alone.
///
/// # Errors
///
/// If there are no points, or not as many labels in both.
pub fn adjusted_rand(a: &[usize], b: &[usize]) -> Result<f64> {
    if a.is_empty() {
        return Err(Error::new(Kind::Argument, "there are no points to compare partitions of"));
    }
    let of_a = Labels::new(a, a.len())?;
    let of_b = Labels::new(b, a.len())?;
    let mut both: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    of_a.places.into_iter().zip(of_b.places).for_each(|cell| *both.entry(cell).or_default() += 1);

    // ordered pairs of different points that are together in both, in one and in the other
    let pairs = |count: usize| count as f64 * (count as f64 - 1.0);
    let together: f64 = both.into_values().map(pairs).sum();
    let in_a: f64 = of_a.counts.into_iter().map(pairs).sum();
    let in_b: f64 = of_b.counts.into_iter().map(pairs).sum();
    if together == in_a && together == in_b {
        return Ok(1.0);
    }
    let expected = in_a * in_b / pairs(a.len());
    Ok((together - expected) / (0.5 * (in_a + in_b) - expected))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// By looking at each pair of points.
    fn slow(a: &[usize], b: &[usize]) -> f64 {
        let n = a.len();
        let (mut together, mut in_a, mut in_b, mut pairs) = (0.0, 0.0, 0.0, 0.0);
        for (i, j) in (0..n).flat_map(|i| (0..i).map(move |j| (i, j))) {
            pairs += 1.0;
            in_a += f64::from(u8::from(a[i] == a[j]));
            in_b += f64::from(u8::from(b[i] == b[j]));
            together += f64::from(u8::from(a[i] == a[j] && b[i] == b[j]));
        }
        let expected = in_a * in_b / pairs;
        (together - expected) / ((in_a + in_b) / 2.0 - expected)
    }

    #[test]
    fn it_is_what_counting_pairs_gives() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let n = random.random_range(5..60);
            let mut labels =
                || -> Vec<usize> { (0..n).map(|i| (i > 2) as usize * random.random_range(0..4)).collect() };
            let (a, b) = (labels(), labels());
            if a != b {
                assert!((adjusted_rand(&a, &b).unwrap() - slow(&a, &b)).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn special_cases() {
        let index = |a: &[usize], b: &[usize]| adjusted_rand(a, b).unwrap();
        assert_eq!(index(&[0, 0, 1, 1], &[7, 7, 3, 3]), 1.0);
        // the example in scikit-learn's documentation
        assert!((index(&[0, 0, 1, 2], &[0, 0, 1, 1]) - 0.571_428_571_428_571_4).abs() < 1e-12);
        assert_eq!(index(&[0, 0, 0, 0], &[0, 1, 2, 3]), 0.0);
        assert!((index(&[0, 0, 1, 1], &[0, 1, 0, 1]) + 0.5).abs() < 1e-12);
        assert_eq!(index(&[5], &[6]), 1.0);
        assert_eq!(index(&[1; 6], &[2; 6]), 1.0);
        assert_eq!(index(&[1, 2, 3], &[3, 1, 2]), 1.0);
    }

    #[test]
    fn what_is_impossible_is_said() {
        let message = |a: &[usize], b: &[usize]| adjusted_rand(a, b).unwrap_err().to_string();
        assert_eq!(message(&[], &[]), "there are no points to compare partitions of");
        assert_eq!(message(&[1, 2], &[1]), "1 labels for 2 points");
    }
}
