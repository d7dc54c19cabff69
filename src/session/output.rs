//! A value ready to be shown, in several forms at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::Result;
use crate::image::Film;
use crate::render::{Figure, to_png};

/// The longest side of a film that moves on a page, in pixels.
const LONGEST: f64 = 640.0;
/// The most pixels of all its frames: a notebook keeps what it shows.
const MOST_PIXELS: f64 = 20e6;

/// A value in every form that suits it. There is always text.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// What stands above it.
    pub title: Option<String>,
    /// What it shows, in a few words, for the names of files.
    pub name: Option<String>,
    /// Plain text.
    pub text: String,
    /// Markdown, for documentation.
    pub markdown: Option<String>,
    /// HTML without scripts or references to other files, for tables.
    pub html: Option<String>,
    /// Something to look at.
    pub figure: Option<Figure>,
    /// A film, which stands for the figure where pictures can move.
    pub film: Option<Film>,
    /// How the value was made, kept in saved pictures.
    pub provenance: Option<String>,
}

impl Output {
    /// An output that is only text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The figure as a PNG file of at most `side` pixels each way.
    ///
    /// # Errors
    /// The figure is too large to draw.
    pub fn small_png(&self, side: usize) -> Result<Option<Vec<u8>>> {
        let Some(figure) = &self.figure else { return Ok(None) };
        to_png(&figure.render()?.shrink_to(side, side)?, &[]).map(Some)
    }

    /// The figure as SVG, if it is a plot.
    ///
    /// # Errors
    /// The figure is too large to draw.
    pub fn svg(&self) -> Result<Option<String>> {
        self.figure.as_ref().map_or(Ok(None), Figure::svg)
    }

    /// The HTML, with the figure above it: notebooks show HTML instead of a picture, not beside it. `png` is the figure as
    /// [`Output::png`] draws it.
    pub fn page(&self, png: Option<&[u8]>) -> Option<String> {
        let html = self.html.as_ref()?;
        Some(match png {
            // some draw the picture as HTML themselves
            Some(png) if !html.contains("<img") => {
                format!(
                    "<img style=\"display:block;max-width:100%\" src=\"data:image/png;base64,{}\">{html}",
                    BASE64.encode(png)
                )
            }
            _ => html.clone(),
        })
    }

    /// The figure as a PNG file, with its provenance as text inside; a film as an animated one.
    ///
    /// # Errors
    /// The figure is too large to draw.
    pub fn png(&self) -> Result<Option<Vec<u8>>> {
        let mut notes: Vec<(&str, &str)> = vec![("Software", concat!("percept ", env!("CARGO_PKG_VERSION")))];
        notes.extend(self.title.as_deref().map(|title| ("Title", title)));
        notes.extend(self.provenance.as_deref().map(|provenance| ("Description", provenance)));
        match (&self.film, &self.figure) {
            (Some(film), _) => for_a_page(film)?.encode_png(&notes, |_| Ok(())).map(Some),
            (None, Some(figure)) => to_png(&figure.render()?, &notes).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// A film at the size it is looked at: shrunk if it is large.
fn for_a_page(film: &Film) -> Result<Film> {
    let (width, height) = (film.width() as f64, film.height() as f64);
    let pixels = width * height * film.frames().len() as f64;
    let factor = (LONGEST / width.max(height)).min((MOST_PIXELS / pixels).sqrt());
    if factor >= 1.0 {
        return Ok(film.clone());
    }
    let scaled = |side: f64| ((side * factor).round() as usize).max(1);
    film.resize(scaled(width), scaled(height))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::Image;

    #[test]
    fn large_films_are_shrunk_for_a_page() {
        let size = |width: usize, height: usize, count: usize| {
            let frames = vec![Image::filled(width, height, [0.5; 3]).unwrap(); count];
            let film = for_a_page(&Film::new(frames, 12.0, true).unwrap()).unwrap();
            (film.width(), film.height())
        };
        assert_eq!(size(640, 427, 3), (640, 427));
        assert_eq!(size(1280, 320, 2), (640, 160));
        let (width, height) = size(400, 300, 600);
        assert!(width * height * 600 < 21_000_000 && width > 250, "{width}×{height}");
    }
}
