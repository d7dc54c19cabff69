//! Scenes as SVG, for figures that are drawn rather than photographed: sharp at any size, with text that can be found.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::encode::to_png;
use super::scene::{Mark, Scene};
use super::style::{BACKGROUND, Theme};
use super::svg_color::{color_value, roles};
use super::text::{Direction, Weight};
use crate::error::Result;

/// The scene as one SVG element without references to other files.
pub(super) fn encode(scene: &Scene, theme: Theme) -> Result<String> {
    let (width, height) = (scene.width.ceil(), scene.height.ceil());
    // the viewer may lack Inter: each line is then stretched to the width it was laid out for
    let font = "Inter, 'Helvetica Neue', Arial, sans-serif";
    let style = if theme == Theme::Auto { roles() } else { String::new() };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} \
         {height}\" font-family=\"{font}\">{style}<rect width=\"100%\" height=\"100%\" fill=\"{}\"/>",
        color_value(BACKGROUND, theme)
    );
    for mark in scene.marks() {
        match mark {
            Mark::Fill { x, y, width, height, color } => {
                let fill = color_value(*color, theme);
                let _ = write!(
                    svg,
                    "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\"/>"
                );
            }
            Mark::Shape(shape) => shape.svg(&mut svg, theme),
            Mark::Picture { x, y, raster } => {
                let (width, height) = (raster.width(), raster.height());
                let data = BASE64.encode(to_png(raster, &[])?);
                let _ = write!(
                    svg,
                    "<image x=\"{x:.0}\" y=\"{y:.0}\" width=\"{width}\" height=\"{height}\" \
                     href=\"data:image/png;base64,{data}\"/>"
                );
            }
            Mark::Text { x, y, line } => {
                let weight = if line.weight == Weight::SemiBold { " font-weight=\"600\"" } else { "" };
                let turned = match line.direction {
                    Direction::Across => String::new(),
                    Direction::Up => format!(" transform=\"rotate(-90 {x:.2} {y:.2})\""),
                };
                let _ = write!(
                    svg,
                    "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{}\" fill=\"{}\"{weight}{turned} \
                     textLength=\"{:.2}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\">{}</text>",
                    line.size,
                    color_value(line.color, theme),
                    line.width(),
                    escape(&line.text)
                );
            }
        }
    }
    svg.push_str("</svg>");
    Ok(svg)
}

/// Text as HTML and XML want it, also between quotes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
