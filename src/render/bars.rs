//! Names with their shares, as horizontal bars; beside them the picture they are about.

use super::picture::show_picture;
use super::scene::{Align, Scene, paragraph};
use super::style::{ACCENT, ACCENT_PALE, INK, LABEL, QUIET, TRACK};
use super::text::{Line, Weight, measure};
use crate::error::Result;
use crate::image::Image;

const ROW: f32 = 34.0;
const THICKNESS: f32 = 14.0;
const THUMBNAIL: f32 = 240.0;
const NAMES_MAX: f32 = 220.0;
const NAME: f32 = LABEL + 1.0;

/// A name and its share in `[0, 1]`.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What the share is of.
    pub name: String,
    /// The share; what lies outside `[0, 1]` is drawn at the nearer end, but written as it is.
    pub value: f32,
}

/// Shares of a whole, such as the probabilities of classes; a full bar is 100 %.
#[derive(Clone, Debug)]
pub struct Bars {
    bars: Vec<Bar>,
    thumbnail: Option<Image>,
}

impl Bars {
    /// Bars from top to bottom.
    pub fn new(bars: Vec<Bar>) -> Self {
        Self { bars, thumbnail: None }
    }

    /// The picture that the shares are about, at the left.
    #[must_use]
    pub fn thumbnail(self, image: Image) -> Self {
        Self { thumbnail: Some(image), ..self }
    }

    /// The bars from top to bottom.
    pub fn bars(&self) -> &[Bar] {
        &self.bars
    }

    pub(super) fn picture(&self) -> Option<&Image> {
        self.thumbnail.as_ref()
    }

    pub(super) fn layout(&self, room: f32) -> Result<Scene> {
        let mut scene = Scene::default();
        let mut left = 0.0;
        let mut picture_height = 0.0;
        if let Some(image) = &self.thumbnail {
            let room = THUMBNAIL.min(room * 0.4) * (image.width() as f32 / image.height() as f32).min(1.0);
            let picture = show_picture(image, room)?;
            left = picture.width() as f32 + 28.0;
            picture_height = picture.height() as f32;
            scene.picture(0.0, 0.0, picture);
        }
        let list = self.list((room - left).min(620.0));
        let top = ((picture_height - list.height) / 2.0).max(0.0).round();
        scene.place(left, top, list);
        Ok(scene)
    }

    fn list(&self, room: f32) -> Scene {
        let mut scene = Scene::default();
        let shares: Vec<String> = self.bars.iter().map(|bar| percent(bar.value)).collect();
        let widest = |texts: &mut dyn Iterator<Item = &String>, size| {
            texts.map(|text| measure(text, size, Weight::SemiBold)).fold(0.0, f32::max).ceil()
        };
        let names = widest(&mut self.bars.iter().map(|bar| &bar.name), NAME).min(NAMES_MAX).min(room * 0.4);
        let numbers = widest(&mut shares.iter(), LABEL);
        let bar_left = names + 16.0;
        let bar_width = (room - bar_left - 12.0 - numbers).max(60.0);
        let best = self.bars.iter().map(|bar| bar.value).fold(f32::NEG_INFINITY, f32::max);
        let mut top = 0.0;
        for (bar, share) in self.bars.iter().zip(shares) {
            let first = bar.value == best;
            let weigh = |line: Line| if first { line.bold() } else { line };
            let name = paragraph(&weigh(Line::new(bar.name.clone(), NAME, INK)), names + 1.0);
            let height = ROW.max(name.height + 12.0);
            let middle = (top + height / 2.0).round();
            scene.place(0.0, (middle - name.height / 2.0).round(), name);
            let y = middle - THICKNESS / 2.0;
            scene.fill(bar_left, y, bar_width, THICKNESS, TRACK);
            let filled = bar_width * if bar.value.is_finite() { bar.value.clamp(0.0, 1.0) } else { 0.0 };
            scene.fill(bar_left, y, filled, THICKNESS, if first { ACCENT } else { ACCENT_PALE });
            let number = weigh(Line::new(share, LABEL, if first { INK } else { QUIET }));
            scene.text(bar_left + bar_width + 12.0 + numbers, middle + LABEL * 0.36, Align::Right, number);
            top += height;
        }
        scene.grow(0.0, top);
        scene
    }
}

/// A share in percent with as many digits as tell something: `93 %`, `4.1 %`, `0.03 %`.
pub fn percent(share: f32) -> String {
    let value = share * 100.0;
    match value.abs() {
        v if v >= 99.95 || v == 0.0 => format!("{value:.0} %"),
        v if v >= 0.1 => format!("{value:.1} %"),
        v if v >= 0.01 => format!("{value:.2} %"),
        _ if value.is_finite() => "< 0.01 %".to_owned(),
        _ => "—".to_owned(),
    }
    .replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_in_percent() {
        let shares = [1.0, 0.9994, 0.9996, 0.629, 0.0412, 0.0004, 0.00001, 0.0, -0.25, f32::NAN];
        let expected = ["100 %", "99.9 %", "100 %", "62.9 %", "4.1 %", "0.04 %", "< 0.01 %", "0 %", "−25.0 %", "—"];
        assert_eq!(shares.map(percent), expected);
    }
}
