//! Which pixels of an image that was made mattered to what it was made for: an importance mask.

use candle_core::Tensor;

use crate::error::Result;
use crate::image::Image;
use crate::tensor::with_values;
use crate::vis::transform::{Blur, Drawn};

/// The share of pixels, those that matter most, that are fully opaque.
const OPAQUE: f64 = 0.1;

/// The standard deviation of the blur of the mask, in pixels.
const SIGMA: f64 = 2.0;

/// How opaque each pixel is, from 0 to 1, `height × width` numbers, given the sum over an ascent's steps of the magnitudes of
/// the gradient, `[1, 3, h, w]`.
///
/// The mean over colours is clipped at its 90th percentile, so that a tenth of the pixels is fully opaque, divided by that,
/// and blurred with σ = 2 pixels (Hamblin et al., Feature Accentuation, 2024, arXiv:2402.10039; Fel et al., MaCo, 2023,
/// arXiv:2306.06805).
///
/// # Errors
/// The tensor has another shape.
pub fn importance_mask(importance: &Tensor) -> Result<Vec<f32>> {
    let means = importance.mean_keepdim(1)?.narrow(0, 0, 1)?;
    let mut sorted: Vec<f32> = means.flatten_all()?.to_vec1()?;
    let count = sorted.len();
    let place = (((1.0 - OPAQUE) * count as f64).ceil() as usize).saturating_sub(1).min(count.saturating_sub(1));
    sorted.sort_unstable_by(f32::total_cmp);
    let most = sorted.get(place).copied().unwrap_or(0.0);
    if most <= 0.0 {
        // nothing mattered, or so little that no tenth did
        return with_values(&means, |values| values.iter().map(|value| if *value > 0.0 { 1.0 } else { 0.0 }).collect());
    }
    let clipped = (means.clamp(0f32, most)? / f64::from(most))?;
    let blurred = Blur { sigma: SIGMA }.apply(&clipped)?;
    with_values(&blurred, |values| values.iter().map(|value| value.clamp(0.0, 1.0)).collect())
}

/// An image as a cut-out, of which what mattered is opaque.
///
/// # Errors
/// The sum of gradients has another size than the image.
pub(super) fn cut_out(image: &Image, importance: &Tensor) -> Result<Image> {
    Image::from_planes(image.width(), image.height(), image.planes().to_vec(), Some(importance_mask(importance)?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::tensor::testing::{random, rng};

    #[test]
    fn what_mattered_is_opaque_and_the_rest_is_not() {
        // a disc in the middle mattered a hundred times as much
        let disc: Vec<f32> = (0..3 * 40 * 40)
            .map(|i| {
                let (y, x) = ((i / 40 % 40) as f32 - 20.0, (i % 40) as f32 - 20.0);
                if x.hypot(y) < 10.0 { 100.0 } else { 1.0 }
            })
            .collect();
        let mask = importance_mask(&Tensor::from_vec(disc, (1, 3, 40, 40), &Device::Cpu).unwrap()).unwrap();
        assert_eq!(mask.len(), 1600);
        assert!(mask[20 * 40 + 20] > 0.99 && mask[0] < 0.02);
        assert!(mask.iter().all(|alpha| (0.0..=1.0).contains(alpha)));
        // soft at the edge
        assert!(mask[20 * 40 + 30] > 0.1 && mask[20 * 40 + 30] < 0.9);
    }

    /// Before the blur a tenth is fully opaque, and the scale of the gradient does not matter.
    #[test]
    fn the_scale_of_gradients_does_not_matter() {
        let importance = random(&mut rng(1), (1, 3, 20, 30)).abs().unwrap();
        let mask = importance_mask(&importance).unwrap();
        let scaled = importance_mask(&(importance * 1e-6).unwrap()).unwrap();
        assert!(mask.iter().zip(&scaled).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn nothing_that_mattered_is_a_clear_image() {
        let none = Tensor::zeros((1, 3, 4, 5), DType::F32, &Device::Cpu).unwrap();
        assert!(importance_mask(&none).unwrap().iter().all(|alpha| *alpha == 0.0));
    }
}
