//! A value ready to be shown, in several forms at once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::error::Result;
use crate::render::{Figure, to_png};

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

    /// The figure as a PNG file, with its provenance as text inside.
    ///
    /// # Errors
    /// The figure is too large to draw.
    pub fn png(&self) -> Result<Option<Vec<u8>>> {
        let Some(figure) = &self.figure else { return Ok(None) };
        let mut notes: Vec<(&str, &str)> = vec![("Software", concat!("percept ", env!("CARGO_PKG_VERSION")))];
        notes.extend(self.title.as_deref().map(|title| ("Title", title)));
        notes.extend(self.provenance.as_deref().map(|provenance| ("Description", provenance)));
        to_png(&figure.render()?, &notes).map(Some)
    }
}
