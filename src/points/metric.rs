//! How far apart two points are.

/// Sums that run side by side, so that the loop can use vectors.
const LANES: usize = 8;

/// What is meant by the distance of two points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// The Euclidean distance, √Σ (aᵢ − bᵢ)².
    L2,
    /// One less the cosine of the angle between both, from 0 to 2. A point whose numbers are all 0 has no direction: its
    /// distance from every point, another such one and itself too, is 1.
    Cosine,
}

impl Metric {
    /// The distance of two points of the same length, in double precision.
    pub fn distance(self, a: &[f32], b: &[f32]) -> f64 {
        self.distance_of(self.key(a, b))
    }

    /// What is in the order of distances and easier to compute: the square of the Euclidean distance, and the cosine's
    /// distance itself.
    pub(in crate::points) fn key(self, a: &[f32], b: &[f32]) -> f64 {
        match self {
            Self::L2 => lanes(a, b, |a, b| (a - b) * (a - b)),
            Self::Cosine => {
                // with the root of the product, equal points are exactly 0 apart
                let norm = (lanes(a, a, |a, b| a * b) * lanes(b, b, |a, b| a * b)).sqrt();
                if norm > 0.0 { (1.0 - lanes(a, b, |a, b| a * b) / norm).clamp(0.0, 2.0) } else { 1.0 }
            }
        }
    }

    /// The distance that a key stands for.
    pub(in crate::points) fn distance_of(self, key: f64) -> f64 {
        match self {
            Self::L2 => key.max(0.0).sqrt(),
            Self::Cosine => key.clamp(0.0, 2.0),
        }
    }
}

/// The length of a point.
pub(in crate::points) fn norm(a: &[f32]) -> f64 {
    lanes(a, a, |a, b| a * b).sqrt()
}

/// Σ of what `term` makes of each pair of numbers.
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0f64; LANES];
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += term(f64::from(*a), f64::from(*b));
        }
    }
    let rest = rest_a.iter().zip(rest_b).map(|(a, b)| term(f64::from(*a), f64::from(*b)));
    sums.iter().sum::<f64>() + rest.sum::<f64>()
}

/// Σ aᵢ bᵢ.
pub(in crate::points) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0f64; LANES];
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f64>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_their_definitions() {
        let (a, b) = ([1.0, 2.0, 2.0], [4.0, 6.0, 2.0]);
        assert_eq!(Metric::L2.distance(&a, &b), 5.0);
        let cosine = (4.0 + 12.0 + 4.0) / (3.0 * 56f64.sqrt());
        assert!((Metric::Cosine.distance(&a, &b) - (1.0 - cosine)).abs() < 1e-15);
        let a: Vec<f32> = (0..37).map(|i| (i as f32 * 0.37).sin()).collect();
        let b: Vec<f32> = (0..37).map(|i| (i as f32 * 0.91).cos()).collect();
        let square: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        assert!((Metric::L2.distance(&a, &b) - square.sqrt()).abs() < 1e-13);
    }

    #[test]
    fn equal_directions_are_0_apart_and_nothing_has_no_direction() {
        let a = [0.1, 0.7, -0.3];
        let [twice, opposite] = [2.0, -1.0].map(|factor| a.map(|a| factor * a));
        assert_eq!(Metric::Cosine.distance(&a, &a), 0.0);
        assert_eq!(Metric::Cosine.distance(&a, &twice), 0.0);
        assert_eq!(Metric::Cosine.distance(&a, &opposite), 2.0);
        assert_eq!(Metric::Cosine.distance(&a, &[0.0; 3]), 1.0);
        assert_eq!(Metric::Cosine.distance(&[0.0; 3], &[0.0; 3]), 1.0);
    }

    #[test]
    fn the_largest_and_the_smallest_numbers_have_distances() {
        let (large, small) = ([f32::MAX; 3], [f32::from_bits(1); 3]);
        assert!(Metric::L2.distance(&large, &large.map(|a| -a)).is_finite());
        assert_eq!(Metric::Cosine.distance(&large, &small), 0.0);
    }
}
