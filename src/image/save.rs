//! Writing images to files.

use std::path::Path;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageError};

use super::{Image, png, to_byte};
use crate::error::{Error, Kind, Result};
use crate::files::write_file;
use crate::job::Job;
use crate::lang::function;

/// JPEG quality, of 100: no visible loss at twice the size.
const JPEG_QUALITY: u8 = 92;

impl Image {
    /// Writes the image as png, jpeg or (lossless) webp, told by the name's extension.
    ///
    /// A png carries the provenance as text; a jpeg has no transparency, so a cut-out is put on white.
    /// The file appears whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        let bytes = match extension.as_str() {
            "png" => self.encode_png()?,
            "jpg" | "jpeg" => self.encode_jpeg().map_err(encoding_failed)?,
            "webp" => self.encode_webp().map_err(encoding_failed)?,
            _ => {
                let ends = if extension.is_empty() { "no extension".into() } else { format!("`.{extension}`") };
                let message = format!("`{}` cannot be written: it ends in {ends}", path.display());
                return Err(Error::new(Kind::File, message).with_hint("end the name in .png, .jpg, .jpeg or .webp"));
            }
        };
        write_file(path, &bytes)
    }

    /// The image as a PNG, with its provenance as the text `Description` and its transparency.
    pub fn encode_png(&self) -> Result<Vec<u8>> {
        let software = concat!("Percept ", env!("CARGO_PKG_VERSION"));
        let mut texts = vec![("Software", software)];
        texts.extend(self.provenance().map(|text| ("Description", text)));
        let (pixels, alpha) = self.bytes();
        png::encode(self.width(), self.height(), alpha, &pixels, &texts)
    }

    /// A jpeg of the image; a cut-out is put on white.
    ///
    /// # Errors
    /// It is too large for one.
    pub fn to_jpeg(&self) -> Result<Vec<u8>> {
        let failed = |error| Error::new(Kind::Internal, format!("a jpeg cannot be made: {error}"));
        self.encode_jpeg().map_err(failed)
    }

    fn encode_jpeg(&self) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode(
            &self.to_rgb8(),
            self.width() as u32,
            self.height() as u32,
            ExtendedColorType::Rgb8,
        )?;
        Ok(bytes)
    }

    fn encode_webp(&self) -> Result<Vec<u8>, ImageError> {
        let (pixels, alpha) = self.bytes();
        let color = if alpha { ExtendedColorType::Rgba8 } else { ExtendedColorType::Rgb8 };
        let mut bytes = Vec::new();
        WebPEncoder::new_lossless(&mut bytes).encode(&pixels, self.width() as u32, self.height() as u32, color)?;
        Ok(bytes)
    }

    /// The pixels as bytes, and whether there are four to each: with alpha.
    fn bytes(&self) -> (Vec<u8>, bool) {
        let Some(alpha) = self.alpha() else {
            return (self.to_rgb8(), false);
        };
        let [red, green, blue] = self.channels();
        let pixels = red.iter().zip(green).zip(blue).zip(alpha);
        (pixels.flat_map(|(((&r, &g), &b), &a)| [r, g, b, a].map(to_byte)).collect(), true)
    }
}

fn encoding_failed(error: ImageError) -> Error {
    Error::new(Kind::Internal, format!("encoding an image: {error}"))
}

/// Writes an image to a file; its ending says the format: .png, .jpg or .webp.
///
/// ```rhai
/// photo("coffee").save("example.png")
/// ```
#[function(name = "save")]
fn save_image(
    job: &Job,
    /// The image.
    image: Image,
    /// The file.
    #[complete(|context| context.files(&["png", "jpg", "jpeg", "webp"]))]
    path: String,
) -> Result<()> {
    image.save(job.path(path)).map_err(|error| error.at_argument("path"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::fs;

    use super::*;

    fn picture() -> Image {
        let planes = (0..3 * 6 * 4).map(|i| (i * 37 % 256) as f32 / 255.0).collect();
        Image::from_planes(6, 4, planes, None).unwrap()
    }

    fn cutout() -> Image {
        let alpha = (0..24).map(|i| if i < 12 { 0.0 } else { 1.0 }).collect();
        Image::from_planes(6, 4, picture().planes().to_vec(), Some(alpha)).unwrap()
    }

    #[test]
    fn lossless_formats_give_back_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        for extension in ["png", "PNG", "webp"] {
            for image in [picture(), cutout()] {
                let path = folder.path().join(format!("a.{extension}"));
                image.save(&path).unwrap();
                let read = Image::load(&path).unwrap();
                assert_eq!(read.bytes(), image.bytes());
            }
        }
        // nothing else is left in the folder
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_jpeg_is_near_and_flat() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpeg");
        let image = Image::filled(16, 16, [0.8, 0.4, 0.2]).unwrap();
        image.save(&path).unwrap();
        let read = Image::load(&path).unwrap();
        assert!(read.planes().iter().zip(image.planes()).all(|(a, b)| (a - b).abs() < 0.02));
        cutout().save(&path).unwrap();
        assert!(Image::load(&path).unwrap().alpha().is_none());
    }

    #[test]
    fn the_png_says_how_it_was_made() {
        for text in ["dream(photo(\"china\"), octaves=4, seed=7)", "Grün — 灰"] {
            let bytes = picture().with_provenance(text).encode_png().unwrap();
            let decoder = ::png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
            let info = decoder.info();
            let plain = info.uncompressed_latin1_text.iter().find(|t| t.keyword == "Description");
            let unicode = info.utf8_text.iter().find(|t| t.keyword == "Description");
            let found = plain.map(|t| t.text.clone()).or(unicode.map(|t| t.get_text().unwrap()));
            assert_eq!(found.as_deref(), Some(text));
        }
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let error = picture().save(folder.path().join("a.tiff")).unwrap_err();
        assert!(error.message().ends_with("a.tiff` cannot be written: it ends in `.tiff`"));
        assert_eq!(error.hint(), Some("end the name in .png, .jpg, .jpeg or .webp"));
        assert!(picture().save("noextension").unwrap_err().message().contains("no extension"));
        let error = picture().save(folder.path().join("no/such/a.png")).unwrap_err();
        assert!(error.message().ends_with("its folder does not exist"));
        let taken = folder.path().join("taken.png");
        fs::create_dir(&taken).unwrap();
        assert!(picture().save(&taken).unwrap_err().message().ends_with("it is a folder"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
