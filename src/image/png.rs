//! Writing PNGs with text chunks, for images and for figures.

use png::{BitDepth, ColorType, Compression, Encoder};

use crate::error::{Error, Kind, Result};

/// A PNG of 8-bit pixels, with texts such as `("Description", "dream(…)")`.
///
/// `pixels` has 3 or, with `alpha`, 4 bytes a pixel.
pub fn encode(width: usize, height: usize, alpha: bool, pixels: &[u8], texts: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write(&mut bytes, width, height, alpha, pixels, texts)
        .map_err(|error| Error::new(Kind::Internal, format!("writing a PNG: {error}")))?;
    Ok(bytes)
}

fn write(
    bytes: &mut Vec<u8>,
    width: usize,
    height: usize,
    alpha: bool,
    pixels: &[u8],
    texts: &[(&str, &str)],
) -> Result<(), png::EncodingError> {
    let side = |length: usize| u32::try_from(length).map_err(|_| png::EncodingError::LimitsExceeded);
    let mut encoder = Encoder::new(bytes, side(width)?, side(height)?);
    encoder.set_color(if alpha { ColorType::Rgba } else { ColorType::Rgb });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Balanced);
    for (key, value) in texts {
        // every reader knows tEXt, but it can only hold Latin-1
        if value.is_ascii() {
            encoder.add_text_chunk((*key).to_owned(), (*value).to_owned())?;
        } else {
            encoder.add_itxt_chunk((*key).to_owned(), (*value).to_owned())?;
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()
}
