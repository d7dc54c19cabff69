//! Gradients normalised over a Laplacian pyramid: coarse forms grow as fast as fine lines.

use candle_core::{Device, Tensor};

use super::color::mix;
use super::pyramid::Pyramid;
use crate::error::{Error, Kind, Result};
use crate::tensor::{affine, sum_of, with_values};

/// How much each band counts by default, finest first; the last is what is left below four bands of details.
pub const BAND_WEIGHTS: [f32; 5] = [0.35, 0.8, 1.0, 1.0, 0.8];

/// A band whose deviation is no more than this counts as zero.
const LEAST: f64 = 1e-30;

/// A chroma whose deviation is no more than this much of luma's is what rounding has left of a grey gradient.
const ROUNDING: f64 = 1e-5;

/// How much colour counts by default beside brightness.
pub const CHROMA: f32 = 0.35;

/// Luma and the two chromas, from blue and from red, of red, green and blue (ITU-R BT.601).
const TO_LUMA: [[f32; 3]; 3] =
    [[0.299, 0.587, 0.114], [-0.168_735_9, -0.331_264_1, 0.5], [0.5, -0.418_687_6, -0.081_312_4]];

/// Red, green and blue of luma and the two chromas.
const FROM_LUMA: [[f32; 3]; 3] = [[1.0, 0.0, 1.402], [1.0, -0.344_136_3, -0.714_136_3], [1.0, 1.772, 0.0]];

/// A gradient for an image, `[N, C, h, w]`, in which every scale is as strong as `weights` say.
///
/// The gradient is split into the bands of a Laplacian pyramid, as many as there are `weights`: the first belongs to
/// the finest details, the last to the coarse rest below the others. Each band of each channel of each image is divided
/// by its deviation from zero, √(mean g²), multiplied by its weight, and all are put together again; a band that is
/// zero stays zero. What comes out is in units of these deviations: a step size in pixel units, 0 to 1, multiplies it
/// as it is (0.008 is a good one).
///
/// With three channels, red, green and blue, this happens in luma and two chromas (BT.601), the chromas' bands
/// multiplied by `chroma`, from 0 (grey) up: much below 1 keeps an image's own colours. Other channels are each taken
/// by itself.
///
/// The image may have any size; a plain gradient draws lines of one pixel where this draws whole forms. The idea is
/// that of `TensorFlow`'s DeepDream notebook (Mordvintsev, 2015, `lap_normalize`), whose bands all count alike.
///
/// # Errors
/// The gradient has another shape or is empty, there are no weights, or a weight or `chroma` is negative or not finite.
pub fn normalised(gradient: &Tensor, weights: &[f32], chroma: f32) -> Result<Tensor> {
    let (images, channels, height, width) = gradient.dims4()?;
    let Some(levels) = weights.len().checked_sub(1) else {
        let message = "a gradient is normalised in at least one band: there are no weights";
        return Err(Error::new(Kind::Argument, message).at_argument("weights"));
    };
    for (name, values) in [("weights", weights), ("chroma", &[chroma][..])] {
        if let Some(value) = values.iter().find(|value| !(value.is_finite() && **value >= 0.0)) {
            let message = format!("`{name}` must be finite and at least 0, not {value}");
            return Err(Error::new(Kind::Argument, message).at_argument(name));
        }
    }
    let colored = channels == 3;
    let pyramid = Pyramid::new([height, width], levels)?;
    let planes = if colored { mix(gradient, TO_LUMA)? } else { gradient.detach() };
    let planes = planes.reshape((images * channels, 1, height, width))?;
    let mut whole = Vec::with_capacity(gradient.elem_count());
    // the deviations of the last luma's bands
    let mut luma = vec![0.0; weights.len()];
    // images may be large, and a pyramid is several copies of what it is made of
    for index in 0..images * channels {
        let is_chroma = colored && !index.is_multiple_of(3);
        let bands = pyramid.split(&planes.narrow(0, index, 1)?)?;
        let bands = bands.into_iter().zip(weights).zip(&mut luma).map(|((band, weight), luma)| {
            let square = with_values(&band, |values| sum_of(values, |value| f64::from(value).powi(2)))?;
            let deviation = (square / band.elem_count().max(1) as f64).sqrt();
            let weight = f64::from(if is_chroma { weight * chroma } else { *weight });
            // nothing has no direction, and what is next to nothing would be noise: of a grey gradient, the chromas
            let least = if is_chroma { LEAST.max(ROUNDING * *luma) } else { LEAST };
            if !is_chroma {
                *luma = deviation;
            }
            let factor = if deviation > least { (weight / deviation) as f32 } else { 0.0 };
            affine(&band, &[factor], &[0.0])
        });
        let sum = pyramid.merge(&bands.collect::<Result<Vec<_>>>()?)?;
        with_values(&sum, |values| whole.extend_from_slice(values))?;
    }
    drop(planes);
    let sum = Tensor::from_vec(whole, gradient.shape(), &Device::Cpu)?;
    if colored { mix(&sum, FROM_LUMA) } else { Ok(sum) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tensor::testing::{assert_close, pick, random, rng, values};

    fn deviation(values: &[f32]) -> f64 {
        (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn one_band_is_brought_to_deviation_one() {
        let mut rng = rng(1);
        let gradient = (random(&mut rng, (2, 1, 30, 41)) * 1e-4).unwrap();
        let normal = normalised(&gradient, &[1.0], 1.0).unwrap();
        for (image, own) in values(&normal).chunks(30 * 41).zip(values(&gradient).chunks(30 * 41)) {
            assert!((deviation(image) - 1.0).abs() < 1e-5);
            let factor = (1.0 / deviation(own)) as f32;
            assert_close(image, &own.iter().map(|v| v * factor).collect::<Vec<_>>(), 1e-5, "one band");
        }
    }

    /// The definition, band by band.
    #[test]
    fn every_band_has_its_weight() {
        let mut rng = rng(2);
        let weights = [0.3, 0.7, 1.0, 0.0];
        let gradient = random(&mut rng, (1, 2, 37, 50));
        let pyramid = Pyramid::new([37, 50], 3).unwrap();
        let bands = pyramid.split(&gradient).unwrap();
        let scaled: Vec<Tensor> = bands
            .iter()
            .zip(weights)
            .map(|(band, weight)| {
                let plane = band.elem_count() / 2;
                let scale = |values: &[f32]| {
                    let factor = f64::from(weight) / deviation(values);
                    values.iter().map(|v| (f64::from(*v) * factor) as f32).collect::<Vec<f32>>()
                };
                let all: Vec<f32> = values(band).chunks(plane).flat_map(scale).collect();
                Tensor::from_vec(all, band.shape(), band.device()).unwrap()
            })
            .collect();
        let truth = pyramid.merge(&scaled).unwrap();
        assert_close(&values(&normalised(&gradient, &weights, 0.5).unwrap()), &values(&truth), 1e-5, "bands");
    }

    #[test]
    fn brightness_and_colour_are_normalised_by_themselves() {
        let mut rng = rng(3);
        let gradient = random(&mut rng, (1, 3, 24, 24));
        let luma = |x: &Tensor| values(&mix(x, TO_LUMA).unwrap());
        let normal = luma(&normalised(&gradient, &[1.0], 0.35).unwrap());
        for (channel, truth) in normal.chunks(24 * 24).zip([1.0, 0.35, 0.35]) {
            assert!((deviation(channel) - truth).abs() < 1e-4, "{} instead of {truth}", deviation(channel));
        }
        let grey = values(&normalised(&gradient, &BAND_WEIGHTS, 0.0).unwrap());
        let (red, rest) = grey.split_at(24 * 24);
        assert_close(red, &rest[..24 * 24], 1e-5, "grey");
        // there and back
        let same = mix(&mix(&gradient, TO_LUMA).unwrap(), FROM_LUMA).unwrap();
        assert_close(&values(&same), &values(&gradient), 1e-5, "BT.601");
    }

    #[test]
    fn a_grey_gradient_stays_grey() {
        let plane = random(&mut rng(6), (1, 1, 24, 30));
        let grey = Tensor::cat(&[&plane, &plane, &plane], 1).unwrap();
        let normal = values(&normalised(&grey, &BAND_WEIGHTS, CHROMA).unwrap());
        let (red, rest) = normal.split_at(24 * 30);
        assert_close(red, &rest[..24 * 30], 1e-5, "green is red");
        assert_close(red, &rest[24 * 30..], 1e-5, "blue is red");
    }

    #[test]
    fn any_size_and_no_gradient_will_do() {
        let mut rng = rng(4);
        for _ in 0..50 {
            let shape = [pick(&mut rng, 1..=2), pick(&mut rng, 1..=4), pick(&mut rng, 1..=20), pick(&mut rng, 1..=20)];
            let gradient = random(&mut rng, &shape[..]);
            let normal = normalised(&gradient, &BAND_WEIGHTS, CHROMA).unwrap();
            assert_eq!(normal.dims(), shape);
            assert!(values(&normal).iter().all(|value| value.is_finite()));
            let none = normalised(&gradient.zeros_like().unwrap(), &BAND_WEIGHTS, CHROMA).unwrap();
            assert!(values(&none).iter().all(|value| *value == 0.0));
        }
    }

    #[test]
    fn bad_weights_are_refused() {
        let gradient = random(&mut rng(5), (1, 3, 4, 4));
        let argument = |weights: &[f32], chroma| {
            normalised(&gradient, weights, chroma).unwrap_err().argument().map(str::to_owned).unwrap()
        };
        assert_eq!(argument(&[], 1.0), "weights");
        assert_eq!(argument(&[1.0, -0.5], 1.0), "weights");
        assert_eq!(argument(&[f32::NAN], 1.0), "weights");
        assert_eq!(argument(&[1.0], f32::INFINITY), "chroma");
        assert!(normalised(&gradient.squeeze(0).unwrap(), &[1.0], 1.0).is_err());
    }
}
