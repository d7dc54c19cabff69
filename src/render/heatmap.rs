//! A map of numbers in colours, over the picture they speak of or alone.

use super::colorbar::colorbar;
use super::colormap::Colormap;
use super::figure::{show_picture, shown_size, smooth};
use super::raster::Raster;
use super::scale::{Range, Span, check_plane};
use super::scene::Scene;
use super::style::Rgb;
use crate::error::Result;
use crate::image::Image;

/// Between the picture and the map beside it, and between a map and its bar.
const GAP: f32 = 14.0;

/// A map of numbers: what each place of a picture did to something.
#[derive(Clone, Debug)]
pub struct Heatmap {
    values: Vec<f32>,
    width: usize,
    height: usize,
    base: Option<Image>,
    colormap: Colormap,
    range: Range,
    label: String,
    opacity: f32,
    show_input: bool,
}

impl Heatmap {
    /// A map of `width × height` values, row by row from the top; all must be finite.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        check_plane("a heat map", width, height, &values)?;
        Ok(Self {
            values,
            width,
            height,
            base: None,
            colormap: Colormap::Inferno,
            range: Range::Auto,
            label: String::new(),
            opacity: 0.68,
            show_input: false,
        })
    }

    /// The picture beneath the map. Both are stretched over the same area, so the map may be coarser.
    #[must_use]
    pub fn over(self, base: Image) -> Self {
        Self { base: Some(base), ..self }
    }

    /// The colours, inferno if not said.
    #[must_use]
    pub fn colormap(self, colormap: Colormap) -> Self {
        Self { colormap, ..self }
    }

    /// Which values get the ends of the colours: the least and greatest, if not said.
    #[must_use]
    pub fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }

    /// What the bar measures, with its unit: `drop of the koala score (logit)`.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// How much of the colour covers the picture, in [0,1]; 0.68 if not said.
    #[must_use]
    pub fn opacity(self, opacity: f32) -> Self {
        Self { opacity: opacity.clamp(0.0, 1.0), ..self }
    }

    /// Whether the plain picture stands beside the map.
    #[must_use]
    pub fn show_input(self, show_input: bool) -> Self {
        Self { show_input, ..self }
    }

    /// The numbers at the ends of the bar.
    pub fn span(&self) -> Result<Span> {
        self.range.span(self.values.iter().copied())
    }

    /// The least width at which it can be read.
    pub(super) fn least_width(&self) -> f32 {
        if self.show_input && self.base.is_some() { 600.0 } else { 280.0 }
    }

    pub(super) fn layout(&self, room: f32) -> Result<Scene> {
        let mut scene = Scene::default();
        let mut left = 0.0;
        let input = self.base.as_ref().filter(|_| self.show_input);
        let room = if input.is_some() { (room - GAP) / 2.0 } else { room };
        if let Some(input) = input {
            let picture = show_picture(input, room)?;
            left = picture.width() as f32 + GAP;
            scene.picture(0.0, 0.0, picture);
        }
        let Painted { map, background } = self.paint(room)?;
        let (width, height) = (map.width() as f32, map.height() as f32);
        scene.picture(left, 0.0, map);
        let color = |t| self.lay_over(self.colormap.at(t), background);
        scene.place(left, height + GAP, colorbar(width.max(160.0), color, self.span()?, &self.label));
        Ok(scene)
    }

    /// The map over its picture, without a bar, as wide as it is looked at within `room` pixels.
    pub(super) fn paint(&self, room: f32) -> Result<Painted> {
        let span = self.span()?;
        let (base_width, base_height) =
            self.base.as_ref().map_or((self.width, self.height), |base| (base.width(), base.height()));
        let (width, height) = shown_size(base_width, base_height, room);
        let values = smooth(&self.values, (self.width, self.height), (width, height))?;
        let greys = self.base.as_ref().map(|base| show_picture(base, room)).transpose()?.as_ref().map(greys);
        let background = greys.as_ref().map(|greys| greys.iter().sum::<f32>() / greys.len().max(1) as f32);
        let map = Raster::from_fn(width, height, |x, y| {
            let at = y * width + x;
            let color = self.colormap.at(span.position(values.get(at).copied().unwrap_or_default()));
            self.lay_over(color, greys.as_ref().and_then(|greys| greys.get(at)).copied())
        });
        Ok(Painted { map, background })
    }

    /// The colour over a grey of the picture, 0 to 255, if there is a picture.
    pub(super) fn lay_over(&self, color: Rgb, grey: Option<f32>) -> Rgb {
        match grey {
            Some(grey) => color.map(|c| (f32::from(c) * self.opacity + grey * (1.0 - self.opacity)).round() as u8),
            None => color,
        }
    }

    /// The colours from the low end to the high end.
    pub(super) fn colors(&self) -> Colormap {
        self.colormap
    }

    /// What the bar measures.
    pub(super) fn measures(&self) -> &str {
        &self.label
    }
}

/// A map in colours, and the mean grey of the picture beneath, on which the bar is shown too: so a colour
/// of the bar is the one seen in the map.
pub(super) struct Painted {
    pub map: Raster,
    pub background: Option<f32>,
}

/// How light each pixel is, 0 to 255.
fn greys(picture: &Raster) -> Vec<f32> {
    let luma = |[r, g, b]: [u8; 3]| 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
    picture.pixels().as_chunks().0.iter().copied().map(luma).collect()
}
