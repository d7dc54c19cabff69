//! Pictures side by side, each with words beneath it: what several methods return.

use std::fmt;

use crate::error::Result;
use crate::image::Image;
use crate::lang::{Provenance, function, value_type};
use crate::plot::Plot;

/// One of several pictures.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The picture.
    pub image: Image,
    /// What it is; lines.
    pub label: String,
}

/// Pictures side by side, and plots beneath them.
#[derive(Clone, Debug, Default)]
pub struct Panels {
    /// What they are.
    pub title: String,
    /// What to know about them.
    pub caption: Option<String>,
    /// The pictures, from left to right and from top to bottom.
    pub panels: Vec<Panel>,
    /// How many stand in a line; as many as have room if not given.
    pub columns: Option<usize>,
    /// Plots about them.
    pub plots: Vec<Plot>,
    /// The call that made them.
    pub provenance: Provenance,
}

value_type!(
    Panels,
    "panels",
    "pictures side by side",
    "Pictures side by side, each with words beneath it.",
    provenance
);

impl Panels {
    /// Pictures with their labels.
    pub fn new(title: impl Into<String>, panels: Vec<Panel>) -> Self {
        Self { title: title.into(), panels, ..Self::default() }
    }
}

impl Panel {
    /// A picture and what it is.
    pub fn new(image: Image, label: impl Into<String>) -> Self {
        Self { image, label: label.into() }
    }
}

impl fmt::Display for Panels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        for panel in &self.panels {
            write!(f, "\n  {}: {}", panel.label.replace('\n', ", "), panel.image)?;
        }
        Ok(())
    }
}

/// The pictures, as a list of images.
///
/// ```rhai
/// sheet("fire2", channels=[0, 1], size=48, steps=4).images.len()
/// ```
#[function(property, name = "images")]
fn images(
    /// The pictures.
    panels: Panels,
) -> Result<Vec<Image>> {
    Ok(panels.panels.into_iter().map(|panel| panel.image).collect())
}

/// What stands beneath each picture, as a list of texts.
///
/// ```rhai
/// sheet("fire2", channels=[0, 1], size=48, steps=4).labels
/// ```
#[function(property, name = "labels")]
fn labels(
    /// The pictures.
    panels: Panels,
) -> Result<Vec<String>> {
    Ok(panels.panels.into_iter().map(|panel| panel.label).collect())
}

/// The pictures, each brought to the size of the last one: the frames of a film.
///
/// ```rhai
/// film(grow(noise(40, 40, seed=1), from=40, to=60, layer="fire2", steps=1).frames, fps=2)
/// ```
#[function(property, name = "frames")]
fn frames(
    /// The pictures.
    panels: Panels,
) -> Result<Vec<Image>> {
    let Some(last) = panels.panels.last() else { return Ok(Vec::new()) };
    let (width, height) = (last.image.width(), last.image.height());
    panels.panels.iter().map(|panel| panel.image.resize(width, height)).collect()
}
