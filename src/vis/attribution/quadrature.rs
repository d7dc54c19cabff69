//! Where an integral from 0 to 1 is evaluated, and how much each place counts.

use crate::lang::choices;

/// A rule of numerical integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quadrature {
    /// Exact for polynomials of a degree below twice the number of places.
    #[default]
    GaussLegendre,
    /// Equal steps, with both ends counting half.
    Trapezoid,
}

choices!(Quadrature { "gauss-legendre" => GaussLegendre, "trapezoid" => Trapezoid });

impl Quadrature {
    /// Places from 0 to 1 in ascending order, with weights that sum to 1.
    pub fn places(self, count: usize) -> Vec<(f64, f64)> {
        match self {
            Self::GaussLegendre => gauss_legendre(count),
            Self::Trapezoid if count < 2 => vec![(0.5, 1.0)],
            Self::Trapezoid => {
                let step = 1.0 / (count - 1) as f64;
                let weight = |index: usize| if index == 0 || index == count - 1 { step / 2.0 } else { step };
                (0..count).map(|index| (index as f64 * step, weight(index))).collect()
            }
        }
    }
}

/// The zeros of the Legendre polynomial of a degree, by Newton's method, brought from −1…1 to 0…1.
fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let place = |index: usize| {
        // Tricomi's estimate, from the largest zero down
        let mut x = (std::f64::consts::PI * (index as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (value, derivative) = legendre(count, x);
            slope = derivative;
            let step = value / derivative;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        (0.5 * (1.0 + x), 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..count).rev().map(place).collect()
}

/// The Legendre polynomial of a degree and its derivative.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 2..=degree {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
    }
    let n = degree as f64;
    (value, n * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for count in [1, 2, 3, 10, 50, 200] {
            let places = Quadrature::GaussLegendre.places(count);
            assert!(places.windows(2).all(|pair| pair[0].0 < pair[1].0));
            for power in 0..(2 * count).min(40) {
                let sum: f64 = places.iter().map(|(x, weight)| weight * x.powi(power as i32)).sum();
                assert!((sum - 1.0 / (power as f64 + 1.0)).abs() < 1e-13, "{count} places, x^{power}: {sum}");
            }
        }
    }

    #[test]
    fn trapezoids_are_exact_for_lines() {
        for count in [1, 2, 7, 50] {
            let sum: f64 = Quadrature::Trapezoid.places(count).iter().map(|(x, weight)| weight * (3.0 * x + 1.0)).sum();
            assert!((sum - 2.5).abs() < 1e-12, "{count}");
        }
    }
}
