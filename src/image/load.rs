//! Reading images from files and bytes.

use std::fmt::Display;
use std::io::{self, Cursor};
use std::path::Path;
use std::{fs, mem};

use image::error::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Image, size};
use crate::error::{Error, Kind, Result, missing_file};
use crate::job::Job;
use crate::lang::function;

/// The formats that can be read, for messages.
const READABLE: &str = "png, jpeg, webp, gif or bmp";

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// What a decoder may allocate, in bytes: [`size::MAX_PIXELS`] with four 16-bit channels, and some more.
const MAX_DECODER_MEMORY: u64 = 1 << 30;

impl Image {
    /// The image in a file: png, jpeg, webp, gif (its first frame) or bmp, told by its content.
    ///
    /// It is turned upright if its EXIF data say how. The size is checked before anything is decoded.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = fs::metadata(path).map_err(|error| cannot_read(path, &error))?;
        if !metadata.is_file() {
            return Err(file_error(path.display(), "is a folder, not an image file"));
        }
        if metadata.len() > MAX_FILE {
            let what = format!("is too large: {} MB, at most {} are read", metadata.len() >> 20, MAX_FILE >> 20);
            return Err(file_error(path.display(), what));
        }
        let bytes = fs::read(path).map_err(|error| cannot_read(path, &error))?;
        Self::decode(&bytes, path.display())
    }

    /// The image in `bytes`, in any of the formats [`Image::load`] reads; `what` names it in errors.
    pub fn decode(bytes: &[u8], what: impl Display) -> Result<Self> {
        let fail = |message: String| file_error(&what, message);
        if bytes.is_empty() {
            return Err(fail("is empty".into()));
        }
        let Ok(format) = image::guess_format(bytes) else {
            return Err(fail(format!("is not an image ({READABLE} can be read)")));
        };
        if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
            return Err(fail("is truncated: this JPEG has no end".into()));
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_DECODER_MEMORY);
        reader.limits(limits);
        let mut decoder = reader.into_decoder().map_err(|error| fail(describe(&error, format)))?;
        let (width, height) = decoder.dimensions();
        if let Some(limit) = size::beyond_limit(width as usize, height as usize) {
            return Err(fail(format!("is too large: {width}×{height} pixels ({limit})")));
        }
        let orientation = decoder.orientation().ok();
        let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| fail(describe(&error, format)))?;
        if let Some(orientation) = orientation {
            picture.apply_orientation(orientation);
        }
        from_dynamic(picture).map_err(|error| fail(error.to_string()))
    }
}

fn from_dynamic(picture: DynamicImage) -> Result<Image> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let [mut red, mut green, mut blue, mut alpha]: [Vec<f32>; 4] = [(); 4].map(|()| Vec::with_capacity(width * height));
    let mut push = |[r, g, b, a]: [f32; 4]| {
        red.push(r);
        green.push(g);
        blue.push(b);
        alpha.push(a);
    };
    let deep = picture.color().bytes_per_pixel() / picture.color().channel_count() > 1;
    if deep {
        picture.into_rgba32f().pixels().for_each(|pixel| push(pixel.0));
    } else {
        picture.into_rgba8().pixels().for_each(|pixel| push(pixel.0.map(|v| f32::from(v) / 255.0)));
    }
    red.append(&mut green);
    red.append(&mut blue);
    Image::from_planes(width, height, mem::take(&mut red), Some(alpha))
}

/// Whether the end marker follows the start of the pixel data; the decoder would fill up with grey.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const START_OF_SCAN: u8 = 0xDA;
    const END_OF_IMAGE: [u8; 2] = [0xFF, 0xD9];
    // segments before the pixels have lengths and are jumped over: a thumbnail in one has an end marker too
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = bytes.get(at..at + 4) {
        if marker == START_OF_SCAN {
            return bytes.get(at..).is_some_and(|scan| scan.windows(2).any(|pair| pair == END_OF_IMAGE));
        }
        let length = usize::from(u16::from_be_bytes([high, low]));
        // a marker may be preceded by any number of fill bytes
        at += if marker == 0xFF { 1 } else { 2 + length };
    }
    false
}

fn describe(error: &ImageError, format: ImageFormat) -> String {
    let name = format.extensions_str().first().map_or_else(String::new, |e| e.to_uppercase());
    match error {
        ImageError::Unsupported(_) => format!("is a {name} image of a kind that cannot be read ({READABLE} can)"),
        ImageError::Limits(_) => format!("is a {name} image too large to decode in {} MB", MAX_DECODER_MEMORY >> 20),
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("is truncated: its {name} data end too early")
        }
        other => {
            let text = other.to_string().to_lowercase();
            if ["eof", "end of file", "not enough", "insufficient"].iter().any(|sign| text.contains(sign)) {
                format!("is truncated: its {name} data end too early")
            } else {
                format!("is damaged: {}", other.to_string().lines().next().unwrap_or("it cannot be decoded"))
            }
        }
    }
}

fn file_error(what: impl Display, message: impl Display) -> Error {
    Error::new(Kind::File, format!("`{what}` {message}"))
}

fn cannot_read(path: &Path, error: &io::Error) -> Error {
    let what = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => missing_file(path),
        io::ErrorKind::PermissionDenied => file_error(what, "may not be read: permission denied"),
        _ => file_error(what, format!("cannot be read: {error}")),
    }
}

/// Reads a picture: PNG, JPEG, WebP, GIF or BMP.
///
/// ```rhai
/// photo("coffee").save("example.png");
/// load_image("example.png")
/// ```
#[function]
fn load_image(
    job: &Job,
    /// The file.
    #[complete(|context| context.files(&["png", "jpg", "jpeg", "webp", "gif", "bmp"]))]
    path: String,
) -> Result<Image> {
    Image::load(job.path(path)).map_err(|error| error.at_argument("path"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const CHELSEA: &[u8] = include_bytes!("../../assets/photos/chelsea.jpg");

    fn message(bytes: &[u8]) -> String {
        let error = Image::decode(bytes, "x").unwrap_err();
        assert_eq!(error.kind(), Kind::File);
        error.message().to_owned()
    }

    /// A PNG that says it is of this size, and has no pixels.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgba);
        let mut writer = encoder.write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, &[]).unwrap();
        drop(writer);
        bytes
    }

    #[test]
    fn a_photo_is_read() {
        let image = Image::decode(CHELSEA, "chelsea").unwrap();
        assert_eq!((image.width(), image.height()), (451, 300));
        assert!(image.alpha().is_none());
        let mean = image.planes().iter().sum::<f32>() / image.planes().len() as f32;
        assert!((0.3..0.6).contains(&mean), "{mean}");
    }

    #[test]
    fn bad_bytes_are_named() {
        assert_eq!(message(b""), "`x` is empty");
        assert_eq!(message(b"hello, world"), "`x` is not an image (png, jpeg, webp, gif or bmp can be read)");
        assert!(message(b"II*\0\x08\0\0\0").starts_with("`x` is a TIFF image of a kind that cannot be read"));
        assert_eq!(message(&CHELSEA[..CHELSEA.len() / 2]), "`x` is truncated: this JPEG has no end");
        assert_eq!(message(&CHELSEA[..20]), "`x` is truncated: this JPEG has no end");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let image = Image::decode(CHELSEA, "chelsea").unwrap().resize(24, 16).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for extension in ["png", "jpg", "webp"] {
            let path = folder.path().join(format!("a.{extension}"));
            image.save(&path).unwrap();
            let bytes = fs::read(&path).unwrap();
            assert!(Image::decode(&bytes, "whole").is_ok());
            for length in (0..bytes.len() * 3 / 4).step_by(7) {
                assert!(Image::decode(&bytes[..length], "part").is_err(), "{extension} cut to {length} bytes");
            }
        }
    }

    #[test]
    fn an_absurd_header_is_refused_before_decoding() {
        let text = message(&png_header(60_000, 60_000));
        assert_eq!(text, "`x` is too large: 60000×60000 pixels (3600 megapixels, at most 100 are taken)");
        assert!(message(&png_header(70_000, 1)).contains("a side may have at most 65535 pixels"));
        // a legal size without the pixels
        assert!(message(&png_header(100, 100)).contains("truncated"), "{}", message(&png_header(100, 100)));
    }

    #[test]
    fn files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Image::load(folder.path().join("nothing.png")).unwrap_err();
        assert!(missing.message().ends_with("nothing.png` does not exist"));
        assert!(Image::load(folder.path()).unwrap_err().message().contains("is a folder"));
        fs::write(folder.path().join("koala.png"), CHELSEA).unwrap();
        let near = Image::load(folder.path().join("koalla.png")).unwrap_err();
        assert_eq!(near.hint(), Some("did you mean `koala.png`?"));
        // told by the content, not by the name
        assert!(Image::load(folder.path().join("koala.png")).is_ok());
    }
}
