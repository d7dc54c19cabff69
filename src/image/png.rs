//! Writing PNGs with text chunks, for images and for figures, and animated ones.

use png::{BitDepth, ColorType, Compression, Encoder, EncodingError};

use crate::error::{Error, Kind, Result};

/// A PNG of 8-bit pixels, with texts such as `("Description", "dream(…)")`.
///
/// `pixels` has 3 or, with `alpha`, 4 bytes a pixel.
pub fn encode(width: usize, height: usize, alpha: bool, pixels: &[u8], texts: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let write = |bytes: &mut Vec<u8>| {
        let mut encoder = encoder(bytes, width, height, texts)?;
        encoder.set_color(if alpha { ColorType::Rgba } else { ColorType::Rgb });
        let mut writer = encoder.write_header()?;
        writer.write_image_data(pixels)?;
        writer.finish()
    };
    write(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

/// What the frames of an animated PNG have in common.
pub struct Animation {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// How many frames there are.
    pub count: usize,
    /// Frames per second, from 0.02 to 65.
    pub fps: f64,
    /// Is it shown again and again?
    pub repeat: bool,
}

impl Animation {
    /// An animated PNG of frames of 3 bytes a pixel, with texts.
    ///
    /// # Errors
    /// A frame is an error, or there are more or fewer than said.
    pub fn encode(&self, frames: impl Iterator<Item = Result<Vec<u8>>>, texts: &[(&str, &str)]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let begin = |bytes| {
            let mut encoder = encoder(bytes, self.width, self.height, texts)?;
            encoder.set_color(ColorType::Rgb);
            let count = u32::try_from(self.count).map_err(|_| EncodingError::LimitsExceeded)?;
            encoder.set_animated(count, if self.repeat { 0 } else { 1 })?;
            // a thousand over the frames of a thousand seconds
            encoder.set_frame_delay(1000, (1000.0 * self.fps).round() as u16)?;
            encoder.validate_sequence(true);
            encoder.write_header()
        };
        let mut writer = begin(&mut bytes).map_err(fault)?;
        for frame in frames {
            writer.write_image_data(&frame?).map_err(fault)?;
        }
        writer.finish().map_err(fault)?;
        Ok(bytes)
    }
}

/// An encoder of 8-bit pixels.
fn encoder<'a>(
    bytes: &'a mut Vec<u8>,
    width: usize,
    height: usize,
    texts: &[(&str, &str)],
) -> Result<Encoder<'static, &'a mut Vec<u8>>, EncodingError> {
    let side = |length: usize| u32::try_from(length).map_err(|_| EncodingError::LimitsExceeded);
    let mut encoder = Encoder::new(bytes, side(width)?, side(height)?);
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
    Ok(encoder)
}

fn fault(error: EncodingError) -> Error {
    Error::new(Kind::Internal, format!("writing a PNG: {error}"))
}
