//! The bar that says which colour is which number.

use super::raster::Raster;
use super::scale::Span;
use super::scene::{Align, Scene, paragraph};
use super::style::{INK, LABEL, LINE, QUIET, Rgb, TICK};
use super::text::{Line, Weight, measure};

const THICKNESS: usize = 12;
const TICK_LENGTH: f32 = 4.0;

/// A horizontal bar of `width` pixels with both ends and round numbers between them written beneath, and
/// under these what it measures.
///
/// `color` gives the colour at a position in `[0, 1]`.
pub fn colorbar(width: f32, color: impl Fn(f32) -> Rgb, span: Span, label: &str) -> Scene {
    let mut scene = Scene::default();
    let pixels = (width.round() as usize).max(2);
    let gradient = Raster::from_fn(pixels, THICKNESS, |x, y| {
        let edge = y == 0 || y + 1 == THICKNESS || x == 0 || x + 1 == pixels;
        let color = color(if span.low < span.high { x as f32 / (pixels - 1) as f32 } else { 0.5 });
        if edge { outline(color) } else { color }
    });
    scene.picture(0.0, 0.0, gradient);

    let number = |scene: &mut Scene, x: f32, align: Align, text: String| {
        let tick = x.round().clamp(0.0, pixels as f32 - 1.0);
        scene.fill(tick, THICKNESS as f32, 1.0, TICK_LENGTH, LINE);
        scene.text(x, THICKNESS as f32 + TICK_LENGTH + TICK + 1.0, align, Line::new(text, TICK, QUIET));
    };
    let (low, high) = span.ends();
    if span.low == span.high {
        number(&mut scene, width / 2.0, Align::Center, low);
    } else {
        let length = |text: &str| measure(text, TICK, Weight::Regular);
        let mut free_from = length(&low) + 10.0;
        let free_to = width - length(&high) - 10.0;
        number(&mut scene, 0.0, Align::Left, low);
        for (value, text) in span.ticks((width / 52.0) as usize) {
            let (x, half) = (span.position(value) * width, length(&text) / 2.0);
            if x - half >= free_from && x + half <= free_to {
                free_from = x + half + 10.0;
                number(&mut scene, x, Align::Center, text);
            }
        }
        number(&mut scene, width, Align::Right, high);
    }
    if !label.is_empty() {
        let text = paragraph(&Line::new(label, LABEL, INK), width.max(160.0));
        scene.place(0.0, THICKNESS as f32 + TICK_LENGTH + TICK + 9.0, text);
    }
    scene
}

/// A slightly darker shade, so that a pale end does not dissolve into the page.
fn outline(color: Rgb) -> Rgb {
    color.map(|c| (f32::from(c) * 0.85) as u8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::render::{Colormap, Theme};

    #[test]
    fn the_ends_have_the_colours_of_the_ends() {
        let span = Span { low: -2.0, high: 5.0 };
        let raster = colorbar(200.0, |t| Colormap::Viridis.at(t), span, "").paint(Theme::Light);
        assert_eq!(raster.pixel(0, 5), Some(outline(Colormap::Viridis.at(0.0))));
        assert_eq!(raster.pixel(199, 5), Some(outline(Colormap::Viridis.at(1.0))));
        // zero stands two sevenths from the left
        assert_eq!(raster.pixel((200.0 * 2.0 / 7.0) as usize, 14), Some(Theme::Light.rgb(LINE)));
    }
}
