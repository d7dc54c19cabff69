//! Names beside points, where there is room for them.

use super::super::scene::{Align, Scene};
use super::super::style::{BACKGROUND, INK, TICK};
use super::super::text::Line;
use super::axis::Axis;
use super::clip;
use super::draw::{PAGE, point_size};
use super::free::Free;
use crate::plot::{Data, Plot};

/// No more names than this are placed.
const MOST: usize = 2000;
/// Between a point and its name.
const GAP: f32 = 3.0;

/// Writes the names of points into a scene of their area; how many were written, and how many there are.
pub fn place(scene: &mut Scene, plot: &Plot, x: &Axis, y: &Axis, size: (f32, f32), free: &mut Free) -> (usize, usize) {
    let (mut written, mut all) = (0, 0);
    for series in &plot.series {
        let Data::Points { x: xs, y: ys, sizes, names: Some(names), .. } = &series.data else { continue };
        for (index, ((at_x, at_y), name)) in xs.iter().zip(ys.iter()).zip(names.iter()).enumerate() {
            let (across, up) = (x.position(*at_x), y.position(*at_y));
            if name.is_empty() || !clip::inside((across, up)) {
                continue;
            }
            all += 1;
            if written >= MOST {
                continue;
            }
            let line = Line::new(name.as_str(), TICK, INK);
            let (px, py) = (across as f32 * size.0, (1.0 - up as f32) * size.1);
            let away = point_size(sizes.as_deref(), index, PAGE.point) / 2.0 + GAP;
            let (width, height) = (line.width(), TICK * 1.2);
            let beside = [
                [px + away, py - height / 2.0],
                [px - away - width, py - height / 2.0],
                [px - width / 2.0, py - away - height],
                [px - width / 2.0, py + away],
            ];
            // rounding moves a baseline by half a pixel, and antialiasing reaches one further
            let free_at = |[left, top]: &[f32; 2]| free.has([left - 1.0, top - 1.0, width + 2.0, height + 2.0]);
            if let Some([left, top]) = beside.into_iter().find(free_at) {
                // no line of the grid runs through it
                scene.fill(left - 1.0, top, width + 2.0, height, BACKGROUND);
                scene.text(left, (top + height * 0.8).round(), Align::Left, line);
                free.take([left - 3.0, top - 1.0, width + 6.0, height + 2.0]);
                written += 1;
            }
        }
    }
    (written, all)
}
