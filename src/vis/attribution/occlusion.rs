//! Occlusion: how much the score drops when a window of the image is covered.

use candle_core::Tensor;

use super::{Attribution, Baseline, Sign};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Options, Reject, function};
use crate::model::{Area, Input};
use crate::vis::Explain;

/// A length or a pair [height, width], in pixels of the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeightWidth {
    /// Vertically.
    pub height: usize,
    /// Horizontally.
    pub width: usize,
}

impl FromValue for HeightWidth {
    const EXPECTED: &'static str = "a number of pixels or [height, width]";
    const TYPES: &'static [&'static str] = &["integer", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let both = if value.is_int() { vec![usize::from_value(value)?; 2] } else { Vec::<usize>::from_value(value)? };
        match both.as_slice() {
            [0, _] | [_, 0] => Err(Reject::Because("must be at least 1".into(), None)),
            [height, width] => Ok(Self { height: *height, width: *width }),
            numbers => Err(Reject::Because(format!("has {} numbers; [height, width] has 2", numbers.len()), None)),
        }
    }
}

/// Windows that slide over an image and cover it.
#[derive(Clone, Debug, Options)]
pub struct Windows {
    /// Size of the window in pixels of the network's input: a side, or [height, width].
    #[default(32)]
    pub window: HeightWidth,
    /// How far the window moves, in pixels: in both directions, or [down, right].
    #[default(8)]
    pub stride: HeightWidth,
    /// What covers the image: "mean" (its mean colour), "grey", "black", "white", "blur", "noise", a colour
    /// [red, green, blue], or another image.
    #[default("mean")]
    pub baseline: Baseline,
}

/// Windows that are named, at most.
const MOST_SPOTS: usize = 3;

/// A window, and how much the score drops when it is covered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// Where it is in the image as the network sees it.
    pub area: Area,
    /// The drop, above zero.
    pub drop: f32,
}

/// How much the score of a class drops when a window slides over the image and covers it.
///
/// Each pixel gets the mean drop over the windows that covered it: positive where the network found what speaks for
/// the class, negative where covering helped. Boxes show the windows that cost most, up to three that do not overlap and cost
/// at least half as much as the first: `.spots`.
///
/// ```rhai
/// occlusion(gallery("mammal/koala"), class="koala", window=64, stride=32)
/// ```
#[function(source = "Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, 2013, arXiv:1311.2901")]
pub fn occlusion(
    job: &Job,
    /// The image, or a tensor in the network's input space.
    #[each]
    image: &Input,
    #[options] windows: &Windows,
    #[options] explain: &Explain,
) -> Result<Attribution> {
    let Windows { window, stride, baseline } = windows;
    let question = explain.question(job, image)?;
    let [width, height] = question.size();
    check(window, stride, width, height)?;
    baseline.check(&question)?;
    let prediction = question.answer(job)?;
    let cover: Vec<f32> = baseline.input(job, &prediction, None)?.flatten_all()?.to_vec1()?;
    let rows = window_offsets(height, window.height, stride.height);
    let columns = window_offsets(width, window.width, stride.width);
    let HeightWidth { height: tall, width: wide } = *window;
    let area = |top: usize, left: usize| Area { top, left, height: tall, width: wide };
    let areas: Vec<Area> = rows.iter().flat_map(|top| columns.iter().map(move |left| area(*top, *left))).collect();

    let scores = prediction.scores_of_patches(job, "occlusion", &areas, |index, pixels| {
        pixels.copy_from_slice(&areas[index].cut(&cover, [height, width]));
        Ok(())
    })?;
    let score_drops: Vec<f32> = scores.iter().map(|score| prediction.score - score).collect();
    let values = average_windows(&score_drops, &areas, width, height);
    let values = Tensor::from_vec(values, (1, height, width), prediction.input.device())?;
    let unit = format!("drop of the {}", prediction.score_name());
    let attribution = Attribution::new("occlusion", &prediction, values, Sign::Signed, unit);
    Ok(Attribution { spots: best_spots(&score_drops, &areas), ..attribution })
}

/// The windows that cost most, none of which overlaps another.
fn best_spots(score_drops: &[f32], areas: &[Area]) -> Vec<Spot> {
    let mut spots: Vec<Spot> = Vec::with_capacity(MOST_SPOTS);
    let all = areas.iter().zip(score_drops).map(|(area, drop)| Spot { area: *area, drop: *drop });
    let mut all: Vec<Spot> = all.filter(|spot| spot.drop > 0.0).collect();
    all.sort_by(|a, b| b.drop.total_cmp(&a.drop));
    let least = all.first().map_or(0.0, |first| 0.5 * first.drop);
    for spot in all.into_iter().filter(|spot| spot.drop >= least) {
        if spots.len() < MOST_SPOTS && spots.iter().all(|other| !overlap(&other.area, &spot.area)) {
            spots.push(spot);
        }
    }
    spots
}

fn overlap(a: &Area, b: &Area) -> bool {
    let apart = |a: usize, length: usize, b: usize, other: usize| a + length <= b || b + other <= a;
    !apart(a.top, a.height, b.top, b.height) && !apart(a.left, a.width, b.left, b.width)
}

/// The windows that cost most when covered, of an attribution by occlusion: a list of maps with `top`, `left`, `height` and
/// `width` in pixels of the image as the network sees it, and `drop`, the largest first.
///
/// ```rhai
/// occlusion(gallery("mammal/koala"), class="koala", window=64, stride=32).spots[0].drop
/// ```
#[function(property)]
fn spots(
    /// The attribution.
    attribution: &Attribution,
) -> Result<Vec<Dynamic>> {
    let number = |value: usize| Dynamic::from(value as i64);
    let map = |spot: &Spot| {
        let Area { top, left, height, width } = spot.area;
        let sides = [("top", top), ("left", left), ("height", height), ("width", width)];
        let mut map: rhai::Map = sides.into_iter().map(|(name, value)| (name.into(), number(value))).collect();
        map.insert("drop".into(), Dynamic::from(f64::from(spot.drop)));
        Dynamic::from(map)
    };
    Ok(attribution.spots.iter().map(map).collect())
}

/// Windows that fit into the image and leave no pixel uncovered.
fn check(window: &HeightWidth, stride: &HeightWidth, width: usize, height: usize) -> Result<()> {
    let HeightWidth { height: rows, width: columns } = window;
    if *columns > width || *rows > height {
        let message = format!("occlusion: `window` is {columns}×{rows} pixels, the network sees {width}×{height}");
        return Err(Error::new(Kind::Argument, message).at_argument("window"));
    }
    if stride.height > *rows || stride.width > *columns {
        let message = format!(
            "occlusion: `stride` ({}×{}) must not exceed `window` ({columns}×{rows})",
            stride.width, stride.height
        );
        let error = Error::new(Kind::Argument, message).with_hint("otherwise some pixels are never covered");
        return Err(error.at_argument("stride"));
    }
    Ok(())
}

/// Where windows start along one side; the last one ends at the edge, so that every pixel is covered.
fn window_offsets(length: usize, window: usize, stride: usize) -> Vec<usize> {
    let last = length - window;
    let mut offsets: Vec<usize> = (0..=last).step_by(stride).collect();
    if offsets.last() != Some(&last) {
        offsets.push(last);
    }
    offsets
}

/// The mean drop over the windows that covered each pixel.
fn average_windows(score_drops: &[f32], areas: &[Area], width: usize, height: usize) -> Vec<f32> {
    let mut sums = vec![0f64; width * height];
    let mut counts = vec![0u32; width * height];
    for (drop, area) in score_drops.iter().zip(areas) {
        for row in area.top..area.top + area.height {
            let line = row * width + area.left..row * width + area.left + area.width;
            for (sum, count) in sums[line.clone()].iter_mut().zip(&mut counts[line]) {
                *sum += f64::from(*drop);
                *count += 1;
            }
        }
    }
    sums.iter().zip(&counts).map(|(sum, count)| (sum / f64::from((*count).max(1))) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_reach_both_edges() {
        assert_eq!(window_offsets(227, 32, 8).last(), Some(&195));
        assert_eq!(window_offsets(227, 32, 8).len(), 26);
        assert_eq!(window_offsets(10, 10, 3), [0]);
        assert_eq!(window_offsets(10, 4, 3), [0, 3, 6]);
    }

    #[test]
    fn the_best_spots_do_not_overlap() {
        let area = |left: usize| Area { top: 0, left, height: 2, width: 2 };
        let areas = [area(0), area(1), area(2), area(6), area(9)];
        let spots = best_spots(&[3.0, 4.0, 2.5, 2.0, 1.9], &areas);
        assert_eq!(spots.iter().map(|spot| (spot.area.left, spot.drop)).collect::<Vec<_>>(), [(1, 4.0), (6, 2.0)]);
        assert!(best_spots(&[-1.0, 0.0], &areas[..2]).is_empty());
    }

    #[test]
    fn overlapping_windows_are_averaged() {
        let areas = [0, 1].map(|left| Area { top: 0, left, height: 2, width: 2 });
        let values = average_windows(&[1.0, 3.0], &areas, 3, 2);
        assert_eq!(values, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }
}
