//! Efros and Leung's synthesis: each pixel is drawn from those of the sample with similar surroundings.

use super::growth::Growth;
use super::matching::Windows;
use super::{TextureOptions, picture};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, WHITE};
use crate::job::Job;
use crate::lang::{Dynamic, function};

/// A texture that grows pixel by pixel out of a small patch of a sample: each pixel is drawn from those of the sample
/// whose surroundings are most like what is known around it.
///
/// It begins with 3×3 pixels of the sample in the middle, and grows ring by ring; in each ring those pixels come first
/// that see most. Surroundings are compared by squared differences of red, green and blue, weighted by a Gaussian whose
/// standard deviation is `window` / 6.4, over the pixels that are known; windows of the sample that reach beyond its
/// edge are not looked at. Every pixel of the texture is one of the sample. Interrupted, it returns the texture so far,
/// in plain grey where there is none yet.
///
/// ```rhai
/// efros_leung(photo("brick").resize(64, 64), size=48, seed=1)
/// ```
#[function(source = "Efros and Leung, Texture Synthesis by Non-parametric Sampling, 1999")]
pub fn efros_leung(
    job: &Job,
    /// The sample; a cut-out is put on white.
    sample: &Image,
    /// The side of the window that is compared, an odd number of pixels; about as large as the largest regular thing in
    /// the sample.
    #[default(11)]
    #[range(3..=255)]
    window: usize,
    #[options] options: &TextureOptions,
) -> Result<Image> {
    if window.is_multiple_of(2) {
        let error = Error::new(Kind::Argument, format!("efros_leung: `window` must be odd, not {window}"));
        return Err(error.with_hint("a pixel is its middle").at_argument("window"));
    }
    let size = options.size_for(sample)?;
    let sample = sample.flatten(WHITE);
    let windows = Windows::new(sample.channels(), sample.width(), (window, window));
    let windows = windows.ok_or_else(|| does_not_fit(&sample, window))?;
    let mut growth = Growth::new(windows, window, options.tolerance as f32, size, job.seed(options.seed));
    let left = growth.sources().iter().filter(|source| source.is_none()).count();
    let progress = job.progress("texture", left);
    loop {
        let found = growth.advance();
        if found == 0 {
            break;
        }
        let preview = || Ok(Dynamic::from(picture(&sample, growth.sources(), size)?));
        match progress.advance_showing(found, &preview) {
            Err(error) if error.kind() == Kind::Interrupted => break,
            outcome => outcome?,
        }
    }
    picture(&sample, growth.sources(), size)
}

/// A window is larger than the sample.
fn does_not_fit(sample: &Image, window: usize) -> Error {
    let (width, height) = (sample.width(), sample.height());
    let message = format!("efros_leung: a window of {window}×{window} does not fit a sample of {width}×{height}");
    let error = Error::new(Kind::Argument, message);
    match width.min(height) {
        0..3 => error.with_hint("a sample has at least 3×3 pixels").at_argument("sample"),
        side => {
            error.with_hint(format!("window={} is the largest that does", side - (side + 1) % 2)).at_argument("window")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::super::UNKNOWN;
    use super::*;
    use crate::image::{Size, photo};
    use crate::job::Interrupt;

    fn made(sample: &Image, window: usize, width: usize, height: usize) -> Image {
        let options = TextureOptions { size: Some(Size { width, height }), seed: Some(5), ..Default::default() };
        efros_leung(&Job::detached(), sample, window, &options).unwrap()
    }

    /// Red, green and blue of each pixel, as bits.
    fn colors(image: &Image) -> Vec<[u32; 3]> {
        let [red, green, blue] = image.channels();
        red.iter().zip(green).zip(blue).map(|((r, g), b)| [r, g, b].map(|value| value.to_bits())).collect()
    }

    #[test]
    fn every_pixel_is_one_of_the_sample() {
        let sample = photo("coffee").unwrap().crop(300, 250, 30, 24).unwrap();
        let texture = made(&sample, 7, 41, 35);
        assert_eq!((texture.width(), texture.height()), (41, 35));
        let known = colors(&sample);
        assert!(colors(&texture).iter().all(|color| known.contains(color)));
        assert_eq!(texture, made(&sample, 7, 41, 35));
        let twice = efros_leung(&Job::detached(), &sample.crop(0, 0, 9, 8).unwrap(), 5, &Default::default()).unwrap();
        assert_eq!((twice.width(), twice.height()), (18, 16));
    }

    #[test]
    fn a_plain_sample_gives_a_plain_texture() {
        let plain = Image::filled(12, 12, [0.2, 0.5, 0.9]).unwrap();
        assert_eq!(made(&plain, 5, 20, 17), Image::filled(20, 17, [0.2, 0.5, 0.9]).unwrap());
    }

    #[test]
    fn stripes_go_on() {
        // oblique ones, of four colours
        let value = |at: usize| ((at % 16 + at / 16) % 4) as f32 / 4.0;
        let plane: Vec<f32> = (0..256).map(value).collect();
        let sample = Image::from_planes(16, 16, plane.repeat(3), None).unwrap();
        let texture = made(&sample, 5, 37, 29);
        let [red, ..] = texture.channels();
        let first = (red[0] * 4.0) as usize;
        for (at, value) in red.iter().enumerate() {
            assert_eq!(*value, ((at % 37 + at / 37 + first) % 4) as f32 / 4.0, "{at}");
        }
    }

    #[test]
    fn stopped_it_is_grey_where_nothing_is_known() {
        let interrupt = Interrupt::never();
        interrupt.raise();
        let job = Job::detached().with_interrupt(interrupt);
        let options = TextureOptions { size: Some(Size { width: 40, height: 40 }), ..Default::default() };
        let texture = efros_leung(&job, &Image::filled(15, 15, [0.0; 3]).unwrap(), 11, &options).unwrap();
        let count = |value: f32| texture.planes().iter().filter(|other| **other == value).count();
        // the patch, and what was found before the first look at the interrupt
        assert!(count(0.0) > 27, "{}", count(0.0));
        assert_eq!(count(0.0) + count(UNKNOWN), 3 * 40 * 40);
    }

    #[test]
    fn what_is_wrong_is_said_first() {
        let sample = Image::filled(10, 20, [0.0; 3]).unwrap();
        let fault = |sample: &Image, window: usize, size: (usize, usize)| {
            let size = Some(Size { width: size.0, height: size.1 });
            efros_leung(&Job::detached(), sample, window, &TextureOptions { size, ..Default::default() }).unwrap_err()
        };
        assert_eq!(fault(&sample, 4, (5, 5)).argument(), Some("window"));
        let error = fault(&sample, 11, (5, 5));
        assert_eq!((error.argument(), error.hint()), (Some("window"), Some("window=9 is the largest that does")));
        let odd = fault(&sample.crop(0, 0, 7, 7).unwrap(), 9, (5, 5));
        assert_eq!(odd.hint(), Some("window=7 is the largest that does"));
        assert_eq!(fault(&Image::filled(2, 9, [0.0; 3]).unwrap(), 3, (5, 5)).argument(), Some("sample"));
        assert_eq!(fault(&sample, 3, (0, 5)).argument(), Some("size"));
        assert_eq!(fault(&sample, 3, (1 << 40, 5)).argument(), Some("size"));
    }
}
