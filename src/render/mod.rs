//! Figures: what a value looks like, in pixels, as SVG and in a terminal.
//!
//! A [`Figure`] is laid out as a scene of marks (`scene`), which is painted into a [`Raster`] and encoded.

mod bars;
mod colorbar;
mod colormap;
mod encode;
mod figure;
mod grid;
mod halfblocks;
mod heatmap;
mod ledger;
mod picture;
mod plot;
mod raster;
mod scale;
mod scene;
mod shape;
mod sixel;
mod style;
mod svg;
mod svg_color;
mod terminal;
mod text;

pub use bars::{Bar, Bars, percent};
pub use colormap::Colormap;
pub use encode::to_png;
pub use figure::{Body, Figure, Row};
pub use grid::{Grid, Tile};
pub use heatmap::Heatmap;
pub use ledger::{Ledger, Planes, Term};
pub use raster::Raster;
pub use scale::{Range, Span};
pub use style::{Rgb, Theme};
pub use svg::escape;
pub use terminal::{Protocol, Terminal};
