//! Pictures as DEC sixels: columns of six pixels, one colour at a time.

use std::fmt::Write as _;

use color_quant::NeuQuant;

use super::raster::Raster;
use crate::error::Result;

/// How many colours a sixel terminal has.
const COLORS: usize = 256;

/// One pixel in ten teaches the palette: as good as all to the eye, and ten times as fast.
const SAMPLING: i32 = 10;

/// The picture as a sixel sequence, shrunk to at most `width` pixels, and a new line.
pub fn encode(picture: &Raster, width: usize) -> Result<String> {
    let picture = picture.shrink_to(width, usize::MAX)?;
    let rgba: Vec<u8> = picture.pixels().as_chunks().0.iter().flat_map(|&[r, g, b]: &[u8; 3]| [r, g, b, 255]).collect();
    let palette = NeuQuant::new(SAMPLING, COLORS, &rgba);
    let indices: Vec<usize> = rgba.chunks_exact(4).map(|pixel| palette.index_of(pixel)).collect();

    let mut text = format!("\x1bPq\"1;1;{};{}", picture.width(), picture.height());
    for (index, color) in palette.color_map_rgb().as_chunks().0.iter().enumerate() {
        let [r, g, b] = color.map(|channel: u8| (u32::from(channel) * 100 + 127) / 255);
        // writing into a String cannot fail
        let _ = write!(text, "#{index};2;{r};{g};{b}");
    }
    for band in indices.chunks(6 * picture.width()) {
        write_band(&mut text, band, picture.width());
    }
    Ok(text + "\x1b\\\n")
}

/// Six rows of pixels: for each colour in them, which pixels have it.
fn write_band(text: &mut String, band: &[usize], width: usize) {
    let mut masks = vec![Vec::new(); COLORS];
    for (at, &index) in band.iter().enumerate() {
        if let Some(mask) = masks.get_mut(index) {
            mask.resize(width, 0u8);
            if let Some(column) = mask.get_mut(at % width) {
                *column |= 1 << (at / width);
            }
        }
    }
    for (index, mask) in masks.iter().enumerate().filter(|(_, mask)| !mask.is_empty()) {
        let _ = write!(text, "#{index}");
        for run in mask.chunk_by(|a, b| a == b) {
            let sixel = char::from(63 + run.first().copied().unwrap_or_default());
            match run.len() {
                1..=3 => text.extend(run.iter().map(|_| sixel)),
                length => {
                    let _ = write!(text, "!{length}{sixel}");
                }
            }
        }
        text.push('$');
    }
    text.push('-');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_picture_is_one_run_a_band() {
        let text = encode(&Raster::new(20, 8, [255, 0, 0]), 100).unwrap();
        assert!(text.starts_with("\x1bPq\"1;1;20;8#0;2;") && text.ends_with("\x1b\\\n"));
        // six full rows, then two
        assert!(text.contains("!20~$-#") && text.contains("!20B$-"), "{text}");
    }

    #[test]
    fn wide_pictures_shrink() {
        assert!(encode(&Raster::new(200, 100, [9; 3]), 50).unwrap().starts_with("\x1bPq\"1;1;50;25#"));
    }
}
