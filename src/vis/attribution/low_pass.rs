//! ForGrad: gradient maps without the high frequencies that pooling and strides put into them.

use candle_core::Tensor;

use super::Attribution;
use crate::error::Result;
use crate::lang::function;
use crate::tensor::{FftNorm, irfft2, rfft2};

/// An attribution without its high frequencies, which in gradients come from strides and poolings more than from the
/// image: each channel keeps what has at most `radius` periods over the image.
///
/// ```rhai
/// saliency(photo("chelsea")).low_pass(radius=15)
/// ```
#[function(source = "Muzellec et al., Saliency Strikes Back (ForGrad), 2023, arXiv:2307.09591")]
pub fn low_pass(
    /// The attribution.
    attribution: &Attribution,
    /// The highest frequency that is kept, in periods over the height and width of the map.
    #[default(15.0)]
    #[range(0.0..)]
    radius: f64,
) -> Result<Attribution> {
    let (_, height, width) = attribution.values.dims3()?;
    let spectrum = rfft2(&attribution.values, FftNorm::Backward)?;
    let kept = width / 2 + 1;
    let mut mask = Vec::with_capacity(height * kept);
    for row in 0..height {
        let down = row.min(height - row) as f64;
        mask.extend((0..kept).map(|across| f32::from(u8::from(down.hypot(across as f64) <= radius))));
    }
    let mask = Tensor::from_vec(mask, (1, height, kept, 1), attribution.values.device())?;
    let values = irfft2(&spectrum.broadcast_mul(&mask)?, height, width, FftNorm::Backward)?;
    let mut filtered = attribution.clone();
    filtered.method = format!("{}, low-pass {radius}", attribution.method).into();
    filtered.values = values;
    filtered.standard_error = None;
    Ok(filtered)
}
