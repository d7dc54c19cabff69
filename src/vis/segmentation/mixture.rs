//! Mixtures of Gaussians in colour space: how likely a colour is for the foreground, or for the background.

use nalgebra::{Matrix3, Vector3};

/// A colour, each part from 0 to 255.
pub type Rgb = Vector3<f64>;

/// How many Gaussians a mixture has at most.
const COMPONENTS: usize = 5;
/// What is added to the variance of each Gaussian, so that a plain colour has one.
const LEAST_VARIANCE: f64 = 0.01;

/// One Gaussian.
#[derive(Clone, Debug)]
struct Component {
    mean: Rgb,
    /// The inverse of its covariance.
    precision: Matrix3<f64>,
    /// log(weight / √(determinant of the covariance)).
    offset: f64,
}

/// A mixture of Gaussians, each with a full covariance.
#[derive(Clone, Debug)]
pub struct Mixture {
    components: Vec<Component>,
}

/// Sums over the colours of one component.
#[derive(Clone, Default)]
struct Sums {
    count: f64,
    sum: Rgb,
    products: Matrix3<f64>,
}

impl Sums {
    fn of<'a>(colors: impl Iterator<Item = &'a Rgb>) -> Self {
        let mut sums = Self::default();
        colors.for_each(|color| sums.add(color));
        sums
    }

    fn add(&mut self, color: &Rgb) {
        self.count += 1.0;
        self.sum += color;
        self.products += color * color.transpose();
    }

    fn mean(&self) -> Rgb {
        self.sum / self.count
    }

    fn covariance(&self) -> Matrix3<f64> {
        let mean = self.mean();
        self.products / self.count - mean * mean.transpose()
    }
}

impl Mixture {
    /// The mixture of colours, of which there is at least one. The colours are split again and again: the part that varies
    /// most, across the direction in which it does (Orchard and Bouman, 1991).
    pub fn split(colors: &[Rgb]) -> Self {
        let mut parts: Vec<Vec<Rgb>> = vec![colors.to_vec()];
        while parts.len() < COMPONENTS {
            let widest = parts.iter().enumerate().map(|(index, part)| {
                let sums = Sums::of(part.iter());
                let (variance, direction) = widest(&sums.covariance());
                (index, variance * sums.count, direction, sums.mean())
            });
            let widest = widest.max_by(|a, b| a.1.total_cmp(&b.1));
            let Some((index, spread, direction, mean)) = widest.filter(|(_, spread, ..)| *spread > 0.0) else { break };
            let (above, below): (Vec<Rgb>, Vec<Rgb>) =
                parts[index].iter().partition(|color| (*color - mean).dot(&direction) > 0.0);
            // what varies only by rounding cannot be split
            if above.is_empty() || below.is_empty() || spread < 1e-9 {
                break;
            }
            parts[index] = above;
            parts.push(below);
        }
        Self::learnt(&parts.iter().map(|part| Sums::of(part.iter())).collect::<Vec<_>>())
    }

    /// The mixture learnt anew from colours, each of which belongs to the component that it fits best.
    pub fn refined(&self, colors: &[Rgb]) -> Self {
        let mut sums = vec![Sums::default(); self.components.len()];
        for color in colors {
            let best = self.components.iter().map(|component| component.log(color)).enumerate();
            let best = best.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index);
            if let Some(sums) = sums.get_mut(best) {
                sums.add(color);
            }
        }
        Self::learnt(&sums)
    }

    fn learnt(sums: &[Sums]) -> Self {
        let all: f64 = sums.iter().map(|sums| sums.count).sum();
        let used = sums.iter().filter(|sums| sums.count > 0.0);
        Self { components: used.map(|sums| Component::new(sums, all)).collect() }
    }

    /// −log of how likely a colour is.
    pub fn cost(&self, color: &Rgb) -> f64 {
        let logs = || self.components.iter().map(|component| component.log(color));
        let greatest = logs().fold(f64::NEG_INFINITY, f64::max);
        // relative to the greatest, so that no term becomes 0
        -(greatest + logs().map(|log| (log - greatest).exp()).sum::<f64>().ln())
    }
}

impl Component {
    fn new(sums: &Sums, all: f64) -> Self {
        let covariance = sums.covariance() + Matrix3::identity() * LEAST_VARIANCE;
        let precision = covariance.try_inverse().unwrap_or_else(|| Matrix3::identity() / LEAST_VARIANCE);
        let determinant = precision.determinant().max(f64::MIN_POSITIVE);
        Self { mean: sums.mean(), precision, offset: (sums.count / all).ln() + 0.5 * determinant.ln() }
    }

    /// The logarithm of weight times density, but for (2π)^−3/2, which all components have.
    fn log(&self, color: &Rgb) -> f64 {
        let away = color - self.mean;
        self.offset - 0.5 * away.dot(&(self.precision * away))
    }
}

/// The greatest variance, and its direction.
fn widest(covariance: &Matrix3<f64>) -> (f64, Rgb) {
    let eigen = covariance.symmetric_eigen();
    let index = eigen.eigenvalues.imax();
    (eigen.eigenvalues[index], eigen.eigenvectors.column(index).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clouds of colours: each of them is likely, what lies between is not.
    #[test]
    fn clouds_are_told_apart() {
        let cloud = |x: f64, y: f64, z: f64| {
            (0..200).map(move |i| Rgb::new(x + f64::from(i % 7), y + f64::from(i % 5), z + f64::from(i % 11)))
        };
        let colors: Vec<Rgb> = cloud(20.0, 40.0, 200.0).chain(cloud(200.0, 30.0, 30.0)).collect();
        let mixture = Mixture::split(&colors).refined(&colors);
        assert_eq!(mixture.components.len(), COMPONENTS);
        let cost = |x: f64, y: f64, z: f64| mixture.cost(&Rgb::new(x, y, z));
        assert!(cost(23.0, 42.0, 205.0) + 20.0 < cost(110.0, 35.0, 115.0));
        assert!(cost(203.0, 32.0, 35.0) + 20.0 < cost(110.0, 35.0, 115.0));
    }

    /// The cost is −log of the density, which sums to 1 over all colours.
    #[test]
    fn the_density_sums_to_one() {
        let colors: Vec<Rgb> = (0..600)
            .map(|i| Rgb::new(f64::from(i * 37 % 41), f64::from(i * 11 % 29) + 5.0, f64::from(i * 7 % 23)))
            .collect();
        let mixture = Mixture::split(&colors);
        let mut sum = 0.0;
        for (x, y, z) in (-60..100)
            .flat_map(|x| (-60..100).map(move |y| (x, y)))
            .flat_map(|(x, y)| (-60..100).step_by(4).map(move |z| (f64::from(x), f64::from(y), f64::from(z))))
        {
            sum += 4.0 * (-mixture.cost(&Rgb::new(x, y, z))).exp();
        }
        let density = sum / (2.0 * std::f64::consts::PI).powf(1.5);
        assert!((density - 1.0).abs() < 1e-3, "{density}");
    }

    #[test]
    fn few_and_plain_colours_will_do() {
        let plain = vec![Rgb::new(10.0, 20.0, 30.0); 50];
        let mixture = Mixture::split(&plain).refined(&plain);
        assert!(mixture.cost(&plain[0]) < mixture.cost(&Rgb::new(11.0, 20.0, 30.0)));
        assert!(mixture.cost(&Rgb::new(255.0, 255.0, 255.0)).is_finite());
    }
}
