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
            opacity: 0.75,
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

    /// How much of the colour covers the picture, in [0,1]; 0.75 if not said.
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
        let map = self.paint(room)?;
        let (width, height) = (map.width() as f32, map.height() as f32);
        scene.picture(left, 0.0, map);
        scene.place(left, height + GAP, colorbar(width.max(160.0), self.colormap, self.span()?, &self.label));
        Ok(scene)
    }

    /// The map over its picture, without a bar, as wide as it is looked at within `room` pixels.
    pub(super) fn paint(&self, room: f32) -> Result<Raster> {
        let span = self.span()?;
        let (base_width, base_height) =
            self.base.as_ref().map_or((self.width, self.height), |base| (base.width(), base.height()));
        let (width, height) = shown_size(base_width, base_height, room);
        let values = smooth(&self.values, (self.width, self.height), (width, height))?;
        let color = |index: usize| self.colormap.at(span.position(values.get(index).copied().unwrap_or_default()));
        let base = self.base.as_ref().map(|base| show_picture(base, room)).transpose()?;
        Ok(Raster::from_fn(width, height, |x, y| {
            let color = color(y * width + x);
            match base.as_ref().and_then(|base| base.pixel(x, y)) {
                Some(under) => self.lay_over(color, under),
                None => color,
            }
        }))
    }

    /// The colour on the grey of the picture: where the picture is dark the colour is shaded, so its hue
    /// stays that of the bar.
    fn lay_over(&self, color: Rgb, under: Rgb) -> Rgb {
        let [r, g, b] = under.map(f32::from);
        let light = 0.299 * r + 0.587 * g + 0.114 * b;
        color.map(|c| (f32::from(c) * self.opacity + light * (1.0 - self.opacity)).round() as u8)
    }
}
