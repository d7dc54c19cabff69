//! Films: images that are shown one after the other.

mod gif;
mod palette;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{Image, MAX_PIXELS, png};
use crate::error::{Error, Kind, Result};
use crate::files::write_file;
use crate::job::Job;
use crate::lang::{Extension, Provenance, function, value_type};

/// The fewest and the most frames per second: of a GIF that asks for more, viewers show fewer.
const RATES: std::ops::RangeInclusive<f64> = 0.1..=50.0;

/// Images of one size that are shown one after the other; cheap to clone.
#[derive(Clone)]
pub struct Film {
    frames: Arc<Vec<Image>>,
    fps: f64,
    repeat: bool,
    provenance: Provenance,
}

value_type!(Film, "film", "a film", "Images of one size that are shown one after the other.", provenance);

impl Film {
    /// A film of so many frames per second, 0.1 to 50, that is shown again and again if it is to `repeat`.
    ///
    /// # Errors
    /// There is no frame, they differ in size, have more than [`MAX_PIXELS`] in all, or the rate is out of range.
    pub fn new(frames: Vec<Image>, fps: f64, repeat: bool) -> Result<Self> {
        let error = |message: String, argument: &str| Error::new(Kind::Argument, message).at_argument(argument);
        let Some(first) = frames.first() else {
            return Err(error("film: there are no frames".to_owned(), "frames"));
        };
        let (width, height) = (first.width(), first.height());
        if let Some((place, other)) =
            frames.iter().enumerate().find(|(_, frame)| (frame.width(), frame.height()) != (width, height))
        {
            let message = format!(
                "film: frames have one size, but [0] is {width}×{height} and [{place}] is {}×{}",
                other.width(),
                other.height()
            );
            return Err(error(message, "frames").with_hint(format!("bring them to one with resize({width}, {height})")));
        }
        let pixels = frames.len().saturating_mul(width * height);
        if pixels > MAX_PIXELS {
            let megapixels = pixels as f64 / 1e6;
            let message = format!("film: {} frames of {width}×{height} are {megapixels:.0} megapixels", frames.len());
            let hint = format!("at most {} are taken: resize the frames, or leave some out", MAX_PIXELS / 1_000_000);
            return Err(error(message, "frames").with_hint(hint));
        }
        if !RATES.contains(&fps) {
            let (low, high) = (RATES.start(), RATES.end());
            return Err(error(format!("film: `fps` must be from {low} to {high}, not {fps}"), "fps"));
        }
        Ok(Self { frames: Arc::new(frames), fps, repeat, provenance: None })
    }

    /// The images, of which there is at least one; all have one size.
    pub fn frames(&self) -> &[Image] {
        &self.frames
    }

    /// Frames per second.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// Is it shown again and again?
    pub fn repeat(&self) -> bool {
        self.repeat
    }

    /// Width of its frames in pixels.
    pub fn width(&self) -> usize {
        self.frames.first().map_or(0, Image::width)
    }

    /// Height of its frames in pixels.
    pub fn height(&self) -> usize {
        self.frames.first().map_or(0, Image::height)
    }

    /// How it was made, if that is known.
    pub fn provenance(&self) -> Option<&str> {
        self.provenance.as_deref()
    }

    /// The same film with frames of another size.
    ///
    /// # Errors
    /// It is no size of an image, or too many pixels in all.
    pub fn resize(&self, width: usize, height: usize) -> Result<Self> {
        let frames = self.frames.iter().map(|frame| frame.resize(width, height)).collect::<Result<_>>()?;
        let resized = Self::new(frames, self.fps, self.repeat)?;
        Ok(Self { provenance: self.provenance.clone(), ..resized })
    }

    /// The film as an animated PNG, with `texts` such as `("Description", "film(…)")`. Programs that do not know these show the
    /// first frame. `done` is told how many more frames are finished.
    ///
    /// # Errors
    /// `done` says so.
    pub fn encode_png(&self, texts: &[(&str, &str)], mut done: impl FnMut(usize) -> Result<()>) -> Result<Vec<u8>> {
        let animation = png::Animation {
            width: self.width(),
            height: self.height(),
            count: self.frames.len(),
            fps: self.fps,
            repeat: self.repeat,
        };
        let frames = self.frames.iter().enumerate().map(|(place, frame)| {
            // the frame before has been written
            if place > 0 {
                done(1)?;
            }
            Ok(frame.to_rgb8())
        });
        animation.encode(frames, texts)
    }

    /// Writes the film as a gif, or as an animated png (png, apng), told by the name's extension. A cut-out is put on white.
    ///
    /// A GIF has 256 colours in each frame; a PNG all of them, and is larger. The file appears whole or not at all.
    ///
    /// # Errors
    /// The name has another ending, the file cannot be written, or the work was interrupted.
    pub fn save(&self, job: &Job, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
        let progress = job.progress("film", self.frames.len());
        let bytes = match extension.as_str() {
            "gif" => self.encode_gif(|frames| progress.advance(frames))?,
            "png" | "apng" => {
                let mut texts = vec![("Software", concat!("Percept ", env!("CARGO_PKG_VERSION")))];
                texts.extend(self.provenance().map(|text| ("Description", text)));
                let bytes = self.encode_png(&texts, |frames| progress.advance(frames))?;
                progress.advance(1)?;
                bytes
            }
            _ => {
                let ends = if extension.is_empty() { "no extension".into() } else { format!("`.{extension}`") };
                let message = format!("`{}` cannot be written: it ends in {ends}", path.display());
                return Err(Error::new(Kind::File, message).with_hint("end the name of a film in .gif, .png or .apng"));
            }
        };
        write_file(path, &bytes)
    }
}

impl fmt::Display for Film {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.frames.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "film of {count} frame{plural}, {}×{}, {} per second", self.width(), self.height(), self.fps)?;
        if self.repeat { Ok(()) } else { f.write_str(", once") }
    }
}

impl fmt::Debug for Film {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Film({self})")
    }
}

/// A film of images, which are shown one after the other.
///
/// In a notebook it moves; `save` writes it as a GIF or as an animated PNG. `film.len()` is the number of its frames.
///
/// ```rhai
/// let china = photo("china").resize(120, 80);
/// let frames = [china];
/// for i in 0..5 { frames.push(frames[i].zoom(1.05)); }
/// film(frames, fps=8)
/// ```
#[function(name = "film")]
fn film_word(
    /// Images of one size.
    frames: Vec<Image>,
    /// Frames per second.
    #[default(12)]
    #[range(0.1..=50.0)]
    fps: f64,
    /// Whether it starts again at its end.
    #[default(true)]
    repeat: bool,
) -> Result<Film> {
    Film::new(frames, fps, repeat)
}

/// The images of a film, a list.
///
/// ```rhai
/// film([plain(8, 8), plain(8, 8, color=[1, 0, 0])]).frames[1]
/// ```
#[function(property, name = "frames")]
fn frames_word(
    /// The film.
    film: &Film,
) -> Result<Vec<Image>> {
    Ok(film.frames().to_vec())
}

/// How many frames of a film are shown in a second.
///
/// ```rhai
/// film([plain(8, 8), plain(8, 8, color=[1, 0, 0])]).fps
/// ```
#[function(property, name = "fps")]
fn fps_word(
    /// The film.
    film: &Film,
) -> Result<f64> {
    Ok(film.fps())
}

/// Writes a film to a file; its ending says the format: .gif, with 256 colours in each frame, or .png or .apng, which keep all
/// colours.
///
/// ```rhai
/// film([plain(8, 8), plain(8, 8, color=[1, 0, 0])], fps=2).save("blinking.gif")
/// ```
#[function(name = "save")]
fn save_film(
    job: &Job,
    /// The film.
    film: &Film,
    /// The file.
    #[complete(|context| context.files(&["gif", "png", "apng"]))]
    path: String,
) -> Result<()> {
    film.save(job, job.path(path)).map_err(|error| error.at_argument("path"))
}

// Rhai has `len` of lists and strings: one of the registry would hide those from completion
inventory::submit! {
    Extension(|engine| {
        engine.register_fn("len", |film: &mut Film| i64::try_from(film.frames().len()).unwrap_or(i64::MAX));
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::io::Cursor;

    use image::AnimationDecoder;
    use image::codecs::gif::GifDecoder;

    use super::*;
    use crate::image::photo;

    fn zooming(count: usize) -> Film {
        let first = photo("china").unwrap().resize(60, 40).unwrap();
        let frames = (0..count).map(|place| first.zoom(1.0 + 0.1 * place as f64).unwrap()).collect();
        Film::new(frames, 12.0, true).unwrap()
    }

    fn silent(_: usize) -> Result<()> {
        Ok(())
    }

    #[test]
    fn a_gif_shows_the_frames() {
        let film = zooming(11);
        let bytes = film.encode_gif(silent).unwrap();
        let decoder = GifDecoder::new(Cursor::new(&bytes)).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), 11);
        let mut time = 0;
        for (frame, image) in frames.iter().zip(film.frames()) {
            let (milliseconds, over) = frame.delay().numer_denom_ms();
            time += milliseconds / over;
            let pixels = frame.buffer().pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2]]);
            let squares: f64 =
                pixels.zip(image.to_rgb8()).map(|(a, b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>();
            // 256 colours leave a few steps of 255
            assert!((squares / (3.0 * 60.0 * 40.0)).sqrt() < 8.0, "{}", (squares / 7200.0).sqrt());
        }
        assert_eq!(time, 920);
        // shown again and again
        assert!(bytes.windows(11).any(|part| part == b"NETSCAPE2.0"));
        let once = Film::new(film.frames().to_vec(), 12.0, false).unwrap().encode_gif(silent).unwrap();
        assert!(!once.windows(11).any(|part| part == b"NETSCAPE2.0"));
    }

    #[test]
    fn a_png_keeps_every_colour() {
        let film = zooming(5);
        let bytes = film.encode_png(&[("Description", "film(…)")], silent).unwrap();
        let mut reader = ::png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
        let control = reader.info().animation_control.unwrap();
        assert_eq!((control.num_frames, control.num_plays), (5, 0));
        assert_eq!(reader.info().utf8_text[0].get_text().unwrap(), "film(…)");
        for image in film.frames() {
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            let shown = reader.info().frame_control.unwrap();
            assert_eq!(f64::from(shown.delay_den) / f64::from(shown.delay_num), 12.0);
            assert_eq!(pixels, image.to_rgb8());
        }
        // those that know no animations show the first frame
        assert_eq!(Image::decode(&bytes, "film").unwrap().to_rgb8(), film.frames()[0].to_rgb8());
        let once = Film::new(film.frames().to_vec(), 0.3, false).unwrap().encode_png(&[], silent).unwrap();
        let reader = ::png::Decoder::new(Cursor::new(&once)).read_info().unwrap();
        assert_eq!(reader.info().animation_control.unwrap().num_plays, 1);
    }

    #[test]
    fn files_are_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let film = zooming(3);
        for name in ["a.gif", "a.png", "a.APNG"] {
            film.save(&Job::detached(), folder.path().join(name)).unwrap();
            assert_eq!(Image::load(folder.path().join(name)).unwrap().width(), 60);
        }
        let interrupt = crate::job::Interrupt::never();
        interrupt.raise();
        let stopped = Job::detached().with_interrupt(interrupt);
        for name in ["b.gif", "b.png"] {
            let error = film.save(&stopped, folder.path().join(name)).unwrap_err();
            assert_eq!(error.kind(), Kind::Interrupted);
        }
        let error = film.save(&Job::detached(), folder.path().join("c.jpg")).unwrap_err();
        assert_eq!(error.hint(), Some("end the name of a film in .gif, .png or .apng"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn the_gif_says_how_it_was_made() {
        let film = Film { provenance: Some("film([…], fps=12)".into()), ..zooming(1) };
        let bytes = film.encode_gif(silent).unwrap();
        let text = "film([…], fps=12)".as_bytes();
        assert!(bytes.windows(text.len()).any(|part| part == text));
    }

    #[test]
    fn bad_films_are_refused() {
        let small = Image::filled(4, 3, [0.0; 3]).unwrap();
        assert_eq!(Film::new(vec![], 12.0, true).unwrap_err().message(), "film: there are no frames");
        let mixed = Film::new(vec![small.clone(), small.clone(), Image::filled(3, 4, [0.0; 3]).unwrap()], 12.0, true);
        let error = mixed.unwrap_err();
        assert_eq!(error.message(), "film: frames have one size, but [0] is 4×3 and [2] is 3×4");
        for fps in [0.0, -1.0, 51.0, f64::NAN] {
            assert_eq!(Film::new(vec![small.clone()], fps, true).unwrap_err().argument(), Some("fps"));
        }
        let large = Image::filled(2000, 2000, [0.0; 3]).unwrap();
        assert!(Film::new(vec![large.clone(); 25], 12.0, true).is_ok());
        let error = Film::new(vec![large; 26], 12.0, true).unwrap_err();
        assert_eq!(error.message(), "film: 26 frames of 2000×2000 are 104 megapixels");
        assert_eq!(Film::new(vec![small], 2.5, false).unwrap().to_string(), "film of 1 frame, 4×3, 2.5 per second, once");
    }
}
