//! What stands along the horizontal axis: numbers or names, never one over the other.

use super::super::scene::{Align, Scene};
use super::super::style::{QUIET, TICK};
use super::super::text::{Line, Weight, measure, shorten, wrap};
use super::axis::Axis;

/// The least room between two labels.
const BETWEEN: f32 = 12.0;
/// From one line of a label to the next.
const LEADING: f32 = TICK + 3.0;
/// The most lines of a label.
const MOST_LINES: usize = 3;
/// The longest a name that runs upwards becomes.
const LONGEST: f32 = 130.0;

/// Labels, each with its place between 0 and 1.
#[derive(Clone, Debug, Default)]
pub struct XLabels {
    labels: Vec<(f64, Vec<String>)>,
    upwards: bool,
}

/// The axis with as many numbers as there is room for, or with its names: in a line, in several, or upwards.
pub fn fit(axis: Axis, width: f32) -> (Axis, XLabels) {
    let Some(names) = axis.names.clone() else { return numbers(axis, width) };
    let axis = axis.with_ticks(0);
    // between neighbours
    let slot = ((axis.position(1.0) - axis.position(0.0)) as f32 * width).max(0.1);
    let place = |index: usize| axis.position(index as f64);
    let shown = |index: &usize| (-1e-9..=1.0 + 1e-9).contains(&place(*index));
    let lines: Vec<(f64, Vec<String>)> = (0..names.len())
        .filter(shown)
        .map(|index| (place(index), wrap(&names[index], TICK, Weight::Regular, slot - 8.0)))
        .collect();
    // a word that is too long for its slot would be broken
    let whole = |name: &String| name.split_whitespace().all(|word| length(word) <= slot - 8.0);
    if names.iter().all(whole) && lines.iter().all(|(_, lines)| lines.len() <= MOST_LINES) {
        return (axis, XLabels { labels: lines, upwards: false });
    }
    let stride = ((TICK + 4.0) / slot).ceil().max(1.0) as usize;
    let all = (0..names.len()).filter(shown).step_by(stride);
    let labels = all.map(|index| (place(index), vec![shorten(&names[index], TICK, Weight::Regular, LONGEST)]));
    let labels = labels.collect();
    (axis, XLabels { labels, upwards: true })
}

fn numbers(axis: Axis, width: f32) -> (Axis, XLabels) {
    let most = (width / 56.0).clamp(2.0, 12.0) as usize;
    let mut fewest = None;
    for count in (1..=most).rev() {
        let axis = axis.clone().with_ticks(count);
        let labels: Vec<(f64, Vec<String>)> =
            axis.ticks.iter().map(|tick| (axis.position(tick.at), vec![tick.text.clone()])).collect();
        let labels = XLabels { labels, upwards: false };
        if labels.is_apart(width) {
            return (axis, labels);
        }
        fewest = Some((axis, labels));
    }
    // very long numbers on a very narrow plot: the first one, and those that are free of it
    let (axis, mut labels) = fewest.unwrap_or_else(|| (axis.with_ticks(2), XLabels::default()));
    labels.labels.truncate(1);
    (axis, labels)
}

fn length(text: &str) -> f32 {
    measure(text, TICK, Weight::Regular)
}

impl XLabels {
    /// Where they stand, between 0 and 1.
    pub fn places(&self) -> impl Iterator<Item = f64> {
        self.labels.iter().map(|(at, _)| *at)
    }

    fn ends(&self, width: f32) -> impl Iterator<Item = (f32, f32)> {
        self.labels.iter().map(move |(at, lines)| {
            let half =
                if self.upwards { TICK * 0.6 } else { lines.iter().map(|line| length(line)).fold(0.0, f32::max) / 2.0 };
            let middle = *at as f32 * width;
            (middle - half, middle + half)
        })
    }

    fn is_apart(&self, width: f32) -> bool {
        let ends: Vec<(f32, f32)> = self.ends(width).collect();
        ends.windows(2).all(|pair| pair.first().zip(pair.last()).is_none_or(|(a, b)| a.1 + BETWEEN <= b.0))
    }

    /// How far they reach beyond both ends of the axis.
    pub fn overhang(&self, width: f32) -> [f32; 2] {
        self.ends(width).fold([0.0, 0.0], |[left, right], (from, to)| [left.max(-from), right.max(to - width)])
    }

    /// Draws them beneath `top`.
    pub fn draw(&self, scene: &mut Scene, left: f32, top: f32, width: f32) {
        for (at, lines) in &self.labels {
            let x = left + *at as f32 * width;
            for (index, text) in lines.iter().enumerate() {
                let line = Line::new(text.as_str(), TICK, QUIET);
                if self.upwards {
                    scene.text_up((x + TICK * 0.36).round(), top + line.width() / 2.0, line);
                } else {
                    let y = (top + TICK * 0.8 + index as f32 * LEADING).round();
                    scene.text(x, y, Align::Center, line);
                }
            }
        }
    }
}
