//! Colours of one image brought to those of another.

use candle_core::{Device, Tensor};
use nalgebra::{Matrix3, Vector3};

use crate::error::Result;
use crate::image::Image;
use crate::model::LUMINANCE;
use crate::tensor::with_values;

/// A colour axis whose variance is below this holds nothing but rounding.
const LEAST_VARIANCE: f64 = 1e-6;

/// Where the colours of an image lie: their mean, and the axes along which they vary independently, as columns, with the
/// variance along each.
struct Cloud {
    mean: Vector3<f64>,
    axes: Matrix3<f64>,
    variances: Vector3<f64>,
}

impl Cloud {
    fn of([red, green, blue]: [&[f32]; 3]) -> Self {
        let count = red.len().max(1) as f64;
        let pixels = || red.iter().zip(green).zip(blue).map(|((r, g), b)| Vector3::new(*r, *g, *b).map(f64::from));
        let mean = pixels().sum::<Vector3<f64>>() / count;
        let covariance = pixels().fold(Matrix3::zeros(), |sum, pixel| {
            let away = pixel - mean;
            sum + away * away.transpose()
        }) / count;
        let eigen = covariance.symmetric_eigen();
        Self { mean, axes: eigen.eigenvectors, variances: eigen.eigenvalues.map(|value| value.max(0.0)) }
    }

    /// The symmetric matrix with these axes whose variances are `f` of the cloud's.
    fn matrix(&self, f: impl Fn(f64) -> f64) -> Matrix3<f64> {
        self.axes * Matrix3::from_diagonal(&self.variances.map(f)) * self.axes.transpose()
    }
}

/// An image `[1, 3, h, w]` whose colours are distributed as those of a sample: along each axis along which the sample's colours
/// vary independently, its values get the sample's histogram (Heeger and Bergen, 1995; Gatys, Ecker and Bethge, 2015). Equal
/// values stay equal.
///
/// # Errors
/// The tensor has another shape.
pub fn with_histogram_of(image: &Tensor, sample: &Image) -> Result<Tensor> {
    let (_, _, height, width) = image.dims4()?;
    let cloud = Cloud::of(sample.channels());
    let values = with_values(&image.detach(), <[f32]>::to_vec)?;
    let (red, rest) = values.split_at(height * width);
    let (green, blue) = rest.split_at(height * width);
    let mut matched = vec![cloud.mean; height * width];
    for axis in cloud.axes.column_iter() {
        let along = |[red, green, blue]: [&[f32]; 3]| -> Vec<f64> {
            let pixels = red.iter().zip(green).zip(blue);
            pixels.map(|((r, g), b)| (Vector3::new(*r, *g, *b).map(f64::from) - cloud.mean).dot(&axis)).collect()
        };
        let values = ranked(&along([red, green, blue]), along(sample.channels()));
        matched.iter_mut().zip(values).for_each(|(pixel, value)| *pixel += axis * value);
    }
    let planes: Vec<f32> =
        (0..3).flat_map(|channel| matched.iter().map(move |pixel| pixel[channel].clamp(0.0, 1.0) as f32)).collect();
    Ok(Tensor::from_vec(planes, (1, 3, height, width), &Device::Cpu)?)
}

/// For each value, that of the sample with the same rank; for equal ones the mean of theirs.
fn ranked(values: &[f64], mut sample: Vec<f64>) -> Vec<f64> {
    sample.sort_by(f64::total_cmp);
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let last = sample.len().saturating_sub(1);
    let quantile = |rank: usize| {
        let place = ((rank as f64 + 0.5) / values.len() as f64 * sample.len() as f64 - 0.5).clamp(0.0, last as f64);
        let below = place.floor() as usize;
        let [low, high] = [below, (below + 1).min(last)].map(|at| sample.get(at).copied().unwrap_or(0.0));
        low + (high - low) * (place - below as f64)
    };
    let mut matched = vec![0.0; values.len()];
    let mut rank = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let mean = (rank..rank + equal.len()).map(quantile).sum::<f64>() / equal.len() as f64;
        equal.iter().for_each(|at| matched[*at] = mean);
        rank += equal.len();
    }
    matched
}

/// A style with the mean and the covariance of a content's colours (Gatys et al., Preserving Color in Neural Artistic Style
/// Transfer, 2016; Hertzmann et al., Image Analogies, 2001).
///
/// # Errors
/// The image cannot be made.
pub fn with_colors_of(style: &Image, content: &Image) -> Result<Image> {
    let (from, to) = (Cloud::of(style.channels()), Cloud::of(content.channels()));
    let matrix = to.matrix(f64::sqrt) * from.matrix(|variance| 1.0 / variance.max(LEAST_VARIANCE).sqrt());
    let [red, green, blue] = style.channels();
    let moved: Vec<Vector3<f64>> = red
        .iter()
        .zip(green)
        .zip(blue)
        .map(|((r, g), b)| to.mean + matrix * (Vector3::new(*r, *g, *b).map(f64::from) - from.mean))
        .collect();
    let planes = (0..3).flat_map(|channel| moved.iter().map(move |pixel| pixel[channel] as f32)).collect();
    Image::from_planes(style.width(), style.height(), planes, None)
}

/// How bright each pixel is.
fn luminance(image: &Image) -> Vec<f32> {
    let [red, green, blue] = image.channels();
    let [r, g, b] = LUMINANCE;
    red.iter().zip(green).zip(blue).map(|((x, y), z)| r * x + g * y + b * z).collect()
}

/// An image without its colours.
///
/// # Errors
/// The image cannot be made.
pub fn grey(image: &Image) -> Result<Image> {
    of_luminance(image, luminance(image))
}

fn of_luminance(size: &Image, luminance: Vec<f32>) -> Result<Image> {
    let planes = [luminance.as_slice(), &luminance, &luminance].concat();
    Image::from_planes(size.width(), size.height(), planes, None)
}

/// Whether an image has no colours.
pub fn is_grey(image: &Image) -> bool {
    let [red, green, blue] = image.channels();
    red == green && green == blue
}

/// A style without colours, as bright and as contrasty as a content.
///
/// # Errors
/// The image cannot be made.
pub fn grey_as(style: &Image, content: &Image) -> Result<Image> {
    let moments = |values: &[f32]| {
        let count = values.len().max(1) as f64;
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let variance = values.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
        (mean, variance)
    };
    let (own, wanted) = (luminance(style), luminance(content));
    let ((from, own_variance), (to, variance)) = (moments(&own), moments(&wanted));
    let factor = (variance / own_variance.max(LEAST_VARIANCE)).sqrt();
    of_luminance(style, own.iter().map(|value| (to + factor * (f64::from(*value) - from)) as f32).collect())
}

/// A content with the brightness of another image of its size, whose own colours do not count.
///
/// # Errors
/// The image cannot be made.
pub fn with_luminance_of(content: &Image, bright: &Image) -> Result<Image> {
    let change: Vec<f32> = luminance(bright).iter().zip(luminance(content)).map(|(new, old)| new - old).collect();
    let channels = content.channels().into_iter();
    let planes = channels.flat_map(|plane| plane.iter().zip(&change).map(|(value, change)| value + change)).collect();
    Image::from_planes(content.width(), content.height(), planes, None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::photo;
    use crate::tensor::testing::{random, rng, values};

    #[test]
    fn ranks_carry_a_histogram_over() {
        assert_eq!(ranked(&[0.3, 0.1, 0.2], vec![7.0, 5.0, 9.0]), [9.0, 5.0, 7.0]);
        assert_eq!(ranked(&[0.5, 0.5, 0.1], vec![1.0, 2.0, 4.0]), [3.0, 3.0, 1.0]);
        assert_eq!(ranked(&[0.0, 1.0], vec![1.0, 2.0, 3.0, 4.0]), [1.5, 3.5]);
        assert_eq!(ranked(&[2.0; 3], vec![6.0]), [6.0; 3]);
    }

    #[test]
    fn noise_gets_the_colours_of_a_photo() {
        let photo = photo("china").unwrap().resize(60, 40).unwrap();
        let noise = crate::tensor::map(&random(&mut rng(1), (1, 3, 40, 60)), |v| 0.5 + 0.5 * v).unwrap();
        let matched = Image::from_tensor(&with_histogram_of(&noise, &photo).unwrap()).unwrap();
        let (ours, truth) = (Cloud::of(matched.channels()), Cloud::of(photo.channels()));
        assert!((ours.mean - truth.mean).norm() < 0.02, "{} {}", ours.mean, truth.mean);
        assert!((ours.variances - truth.variances).abs().max() < 0.02);
        // the photo itself has its histogram already
        let same = with_histogram_of(&photo.tensor().unwrap(), &photo).unwrap();
        for (a, b) in values(&same).iter().zip(photo.planes()) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        // a grey sample leaves no colours
        let grey = grey(&photo).unwrap();
        let matched = Image::from_tensor(&with_histogram_of(&noise, &grey).unwrap()).unwrap();
        let [red, green, _] = matched.channels();
        assert!(red.iter().zip(green).all(|(r, g)| (r - g).abs() < 1e-4));
    }

    #[test]
    fn a_style_gets_mean_and_covariance() {
        let [coffee, china] = ["coffee", "china"].map(|name| photo(name).unwrap().resize(50, 50).unwrap());
        // pale colours, so that nothing is clipped
        let pale = |image: &Image| {
            let planes = image.planes().iter().map(|value| 0.35 + 0.3 * value).collect();
            Image::from_planes(50, 50, planes, None).unwrap()
        };
        let (style, content) = (pale(&coffee), pale(&china));
        let moved = Cloud::of(with_colors_of(&style, &content).unwrap().channels());
        let truth = Cloud::of(content.channels());
        assert!((moved.mean - truth.mean).norm() < 0.01);
        assert!((moved.matrix(|v| v) - truth.matrix(|v| v)).abs().max() < 1e-3);
        let flat = Image::filled(9, 9, [0.3; 3]).unwrap();
        assert!(with_colors_of(&flat, &content).unwrap().planes().iter().all(|value| value.is_finite()));
    }

    #[test]
    fn luminance_moves_and_chroma_stays() {
        let [cat, china] = ["chelsea", "china"].map(|name| photo(name).unwrap().resize(40, 30).unwrap());
        let made = with_luminance_of(&cat, &grey(&china).unwrap()).unwrap();
        let mut whole = 0;
        for at in 0..40 * 30 {
            let pixel = |image: &Image| image.channels().map(|plane| plane[at]);
            let (ours, own) = (pixel(&made), pixel(&cat));
            if ours.iter().all(|value| *value > 0.0 && *value < 1.0) {
                whole += 1;
                assert!(((ours[0] - ours[1]) - (own[0] - own[1])).abs() < 1e-5);
                assert!(((ours[2] - ours[1]) - (own[2] - own[1])).abs() < 1e-5);
                assert!((luminance(&made)[at] - luminance(&china)[at]).abs() < 1e-5);
            }
        }
        assert!(whole > 600, "{whole}");
        assert!(is_grey(&grey(&cat).unwrap()) && !is_grey(&cat));
        let matched = grey_as(&china, &cat).unwrap();
        let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
        assert!((mean(&luminance(&matched)) - mean(&luminance(&cat))).abs() < 0.03);
    }
}
