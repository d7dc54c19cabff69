//! A map of numbers in colours, over the picture they speak of or alone.

use super::colorbar::colorbar;
use super::colormap::Colormap;
use super::picture::{show_picture, shown_size, smooth};
use super::raster::Raster;
use super::scale::{Range, Span, check_plane};
use super::scene::Scene;
use super::shape::{Outline, Paint, Pen, Shape};
use super::style::{BACKGROUND, INK};
use crate::error::Result;
use crate::image::Image;
use crate::tensor::sum_of;

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
    boxes: Vec<[f32; 4]>,
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
            opacity: 0.4,
            show_input: false,
            boxes: Vec::new(),
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

    /// How much the colours hide the picture, in `[0, 1]`: at 1 nothing of it is seen; 0.4 if not said.
    #[must_use]
    pub fn opacity(self, opacity: f32) -> Self {
        Self { opacity: opacity.clamp(0.0, 1.0), ..self }
    }

    /// Whether the plain picture stands beside the map.
    #[must_use]
    pub fn show_input(self, show_input: bool) -> Self {
        Self { show_input, ..self }
    }

    /// Rectangles drawn over the map: left, top, width and height, each as a part of the map's side.
    #[must_use]
    pub fn boxes(self, boxes: Vec<[f32; 4]>) -> Self {
        Self { boxes, ..self }
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
        let map = self.paint(room)?;
        let (width, height) = (map.width() as f32, map.height() as f32);
        scene.picture(left, 0.0, map);
        for [x, y, wide, tall] in &self.boxes {
            let [x0, y0] = [left + x * width, y * height];
            let [x1, y1] = [x0 + wide * width, y0 + tall * height];
            // a light line inside a dark one is seen on any colour
            for (color, thick) in [(INK, 4.0), (BACKGROUND, 2.0)] {
                let outline = Outline::Polygon(vec![[x0, y0], [x1, y0], [x1, y1], [x0, y1]]);
                scene.shape(Shape { outline, fill: None, pen: Some(Pen { paint: Paint::solid(color), width: thick }) });
            }
        }
        let bar = colorbar(width.max(160.0), |t| self.colormap.at(t), self.span()?, &self.label);
        scene.place(left, height + GAP, bar);
        Ok(scene)
    }

    /// The map over its picture, without a bar, of the size of either.
    ///
    /// # Errors
    /// It is too large for an image.
    pub fn picture(&self) -> Result<Image> {
        let width = self.base.as_ref().map_or(self.width, Image::width);
        let raster = self.paint(width as f32)?;
        let channel = |at: usize| raster.pixels().iter().skip(at).step_by(3).map(|value| f32::from(*value) / 255.0);
        let planes = (0..3).flat_map(channel).collect();
        Image::from_planes(raster.width(), raster.height(), planes, None)
    }

    /// The map over its picture, without a bar, as wide as it is looked at within `room` pixels.
    pub(super) fn paint(&self, room: f32) -> Result<Raster> {
        let span = self.span()?;
        let (base_width, base_height) =
            self.base.as_ref().map_or((self.width, self.height), |base| (base.width(), base.height()));
        let (width, height) = shown_size(base_width, base_height, room);
        let values = smooth(&self.values, (self.width, self.height), (width, height))?;
        let lights = self.base.as_ref().map(|base| show_picture(base, room)).transpose()?.as_ref().map(lights);
        let strength = 1.0 - self.opacity;
        let mean = lights.as_ref().map_or(0.0, |lights| sum_of(lights, f64::from) / lights.len().max(1) as f64) as f32;
        let most = lights.as_ref().map_or(0.0, |lights| lights.iter().copied().fold(1.0, f32::max));
        Ok(Raster::from_fn(width, height, |x, y| {
            let at = y * width + x;
            let color = self.colormap.at(span.position(values.get(at).copied().unwrap_or_default()));
            match lights.as_ref().and_then(|lights| lights.get(at)) {
                // the picture shades colours that are light where nothing is found, and is added to those that are
                // dark there; a blend with grey would make colours that are not in the bar
                Some(light) if self.colormap == Colormap::Diverging => {
                    let shade = 1.0 - 0.8 * strength * (1.0 - light / most);
                    color.map(|c| (f32::from(c) * shade).round() as u8)
                }
                Some(light) => color.map(|c| (f32::from(c) + (light - mean) * strength).round() as u8),
                None => color,
            }
        }))
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

/// How light each pixel of a picture is, 0 to 255.
fn lights(picture: &Raster) -> Vec<f32> {
    let luma = |[r, g, b]: [u8; 3]| 0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b);
    picture.pixels().as_chunks().0.iter().copied().map(luma).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_ends_at_the_range_of_the_data() {
        let map = Heatmap::new(3, 1, vec![-1.5, 0.0, 4.0]).unwrap();
        assert_eq!(map.span().unwrap(), Span { low: -1.5, high: 4.0 });
        assert_eq!(map.clone().range(Range::Symmetric).span().unwrap(), Span { low: -4.0, high: 4.0 });
        // the ends of the map have the colours of the ends of the bar
        let painted = map.colormap(Colormap::Viridis).paint(500.0).unwrap();
        assert_eq!(painted.pixel(0, 0), Some(Colormap::Viridis.at(0.0)));
        assert_eq!(painted.pixel(painted.width() - 1, 0), Some(Colormap::Viridis.at(1.0)));
    }

    #[test]
    fn a_plain_picture_leaves_the_colours_alone() {
        let values = vec![0.0, 1.0, 2.0, 3.0];
        let alone = Heatmap::new(2, 2, values.clone()).unwrap().colormap(Colormap::Magma).range(Range::Fixed(0.0, 3.0));
        let over = alone.clone().over(Image::filled(227, 227, [0.3, 0.6, 0.2]).unwrap());
        let painted = over.paint(1000.0).unwrap();
        assert_eq!((painted.width(), painted.height()), (454, 454));
        assert_eq!(painted.pixel(0, 0), Some(Colormap::Magma.at(0.0)));
        assert_eq!(painted.pixel(453, 453), Some(Colormap::Magma.at(1.0)));
        assert!(alone.paint(1000.0).unwrap().width() < 100, "a map of 2×2 is not blown up");
    }

    #[test]
    fn a_picture_shades_a_diverging_map_and_keeps_its_hues() {
        let planes = [0.1, 1.0].repeat(3);
        let map = Heatmap::new(2, 1, vec![3.0, 3.0]).unwrap().colormap(Colormap::Diverging).range(Range::Symmetric);
        let painted = map.over(Image::from_planes(2, 1, planes, None).unwrap()).paint(500.0).unwrap();
        let (dark, light) = (painted.pixel(0, 0).unwrap(), painted.pixel(painted.width() - 1, 0).unwrap());
        assert_eq!(light, Colormap::Diverging.at(1.0));
        assert!(dark[0] < light[0] && dark[0] > dark[1] && dark[0] > dark[2]);
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(Heatmap::new(2, 2, vec![0.0; 3]).is_err());
        assert!(Heatmap::new(1, 2, vec![0.0, f32::INFINITY]).is_err());
        assert!(Heatmap::new(1, 1, vec![0.0]).unwrap().range(Range::Fixed(2.0, 1.0)).paint(10.0).is_err());
    }
}
