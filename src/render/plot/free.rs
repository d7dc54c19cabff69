//! Which parts of a plot are still free of what it draws.

use super::super::scene::Scene;
use super::super::style::{BACKGROUND, Theme};

/// A box in pixels: left, top, width, height.
pub type Rect = [f32; 4];

/// The pixels of a plot's area, and which of them are taken.
pub struct Free {
    width: usize,
    height: usize,
    taken: Vec<bool>,
}

impl Free {
    /// What the marks of a scene leave free.
    pub fn of(scene: &Scene, width: f32, height: f32) -> Self {
        let mut page = scene.clone();
        page.grow(width, height);
        let raster = page.paint(Theme::Light);
        let background = Theme::Light.rgb(BACKGROUND);
        let taken = raster.pixels().as_chunks().0.iter().map(|pixel| *pixel != background).collect();
        Self { width: raster.width(), height: raster.height(), taken }
    }

    /// Is nothing there, and the box inside the area?
    pub fn has(&self, rect: Rect) -> bool {
        let [left, top, width, height] = rect;
        let fits = left >= 0.0 && top >= 0.0 && left + width <= self.width as f32 && top + height <= self.height as f32;
        fits && self.rows(rect).all(|row| !self.taken.get(row).is_some_and(|row| row.contains(&true)))
    }

    /// Marks a box as taken.
    pub fn take(&mut self, rect: Rect) {
        for row in self.rows(rect).collect::<Vec<_>>() {
            if let Some(row) = self.taken.get_mut(row) {
                row.fill(true);
            }
        }
    }

    /// Where the rows of a box lie.
    fn rows(&self, [left, top, width, height]: Rect) -> impl Iterator<Item = std::ops::Range<usize>> {
        let within = |at: f32, most: usize| (at.max(0.0) as usize).min(most);
        let (from, to) = (within(left.floor(), self.width), within((left + width).ceil(), self.width));
        let (first, last) = (within(top.floor(), self.height), within((top + height).ceil(), self.height));
        let width = self.width;
        (first..last).map(move |row| row * width + from..row * width + to.max(from))
    }
}
