//! GrabCut: foreground and background by their colours and the edges between them, from seeds.

use super::max_flow::FlowGraph;
use super::mixture::{Mixture, Rgb};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;

/// What an edge between pixels of the same colour costs at most; the paper's γ.
const GAMMA: f64 = 50.0;
/// What it costs to give a seed to the other side: more than all edges of a pixel.
const SURE: f64 = 9.0 * GAMMA;

/// What is known of a pixel before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// It stays background.
    Background,
    /// It starts as background.
    PerhapsBackground,
    /// It starts as foreground.
    PerhapsForeground,
    /// It stays foreground.
    Foreground,
}

impl Seed {
    fn is_sure(self) -> bool {
        matches!(self, Self::Background | Self::Foreground)
    }

    fn starts_in_front(self) -> bool {
        matches!(self, Self::Foreground | Self::PerhapsForeground)
    }
}

/// Which pixels of an image are foreground (Rother, Kolmogorov and Blake, GrabCut, 2004), given a seed for each: colours are
/// mixtures of five Gaussians, learnt anew in each round; pixels are joined with their eight neighbours; the cut is exact.
/// It ends before `rounds` if a round changes nothing.
///
/// # Errors
/// There are more or fewer seeds than pixels, or none of one side; or the job was interrupted.
pub fn grab_cut(job: &Job, image: &Image, seeds: &[Seed], rounds: usize) -> Result<Vec<bool>> {
    let (width, height) = (image.width(), image.height());
    if seeds.len() != width * height {
        let message = format!("{} seeds for an image of {width}×{height}", seeds.len());
        return Err(Error::new(Kind::Argument, message).at_argument("seeds"));
    }
    let mut front: Vec<bool> = seeds.iter().map(|seed| seed.starts_in_front()).collect();
    if front.iter().all(|front| *front) || !front.iter().any(|front| *front) {
        let message = "segmentation needs seeds of both sides, foreground and background";
        return Err(Error::new(Kind::Argument, message).at_argument("seeds"));
    }
    let colors = colors(image);
    let edges = edges(&colors, width);
    let progress = job.progress("segmentation", rounds);
    let mut mixtures: Option<[Mixture; 2]> = None;
    for _ in 0..rounds {
        let sides = [true, false].map(|side| {
            let chosen = colors.iter().zip(&front).filter(|(_, front)| **front == side);
            chosen.map(|(color, _)| *color).collect::<Vec<Rgb>>()
        });
        if sides.iter().any(Vec::is_empty) {
            break;
        }
        let [in_front, behind] = &sides;
        let learnt = match mixtures.take() {
            None => [Mixture::split(in_front).refined(in_front), Mixture::split(behind).refined(behind)],
            Some([foreground, background]) => [foreground.refined(in_front), background.refined(behind)],
        };
        let next = cut(&colors, &edges, seeds, &learnt);
        mixtures = Some(learnt);
        let same = next == front;
        front = next;
        progress.advance(1)?;
        if same {
            break;
        }
    }
    Ok(front)
}

/// The colours, each part from 0 to 255.
fn colors(image: &Image) -> Vec<Rgb> {
    let [red, green, blue] = image.channels();
    let byte = |value: &f32| 255.0 * f64::from(*value);
    red.iter().zip(green).zip(blue).map(|((r, g), b)| Rgb::new(byte(r), byte(g), byte(b))).collect()
}

/// Neighbours, and what it costs to part them: less, the more their colours differ, as measured by the mean of the image.
fn edges(colors: &[Rgb], width: usize) -> Vec<(usize, usize, f64)> {
    let height = colors.len() / width.max(1);
    let mut edges = Vec::with_capacity(4 * colors.len());
    for y in 0..height {
        for x in 0..width {
            let place = y * width + x;
            if x + 1 < width {
                edges.push((place, place + 1, 1.0));
            }
            if y + 1 < height {
                edges.push((place, place + width, 1.0));
                if x > 0 {
                    edges.push((place, place + width - 1, std::f64::consts::SQRT_2));
                }
                if x + 1 < width {
                    edges.push((place, place + width + 1, std::f64::consts::SQRT_2));
                }
            }
        }
    }
    let square = |one: usize, other: usize| (colors[one] - colors[other]).norm_squared();
    let sum: f64 = edges.iter().map(|(one, other, _)| square(*one, *other)).sum();
    // an image of one colour has no edges
    let beta = if sum > 0.0 { edges.len() as f64 / (2.0 * sum) } else { 0.0 };
    for (one, other, distance) in &mut edges {
        *distance = GAMMA / *distance * (-beta * square(*one, *other)).exp();
    }
    edges
}

/// The sides that cost least: colours that do not fit theirs, and edges between the sides.
fn cut(
    colors: &[Rgb],
    edges: &[(usize, usize, f64)],
    seeds: &[Seed],
    [foreground, background]: &[Mixture; 2],
) -> Vec<bool> {
    let mut graph = FlowGraph::new(colors.len(), edges.len());
    for (place, (color, seed)) in colors.iter().zip(seeds).enumerate() {
        let (front, behind) = match seed {
            Seed::Foreground => (SURE, 0.0),
            Seed::Background => (0.0, SURE),
            // what all costs have in common changes no cut, and costs may not be below 0
            _ => {
                let (as_front, as_behind) = (foreground.cost(color), background.cost(color));
                let least = as_front.min(as_behind);
                (as_behind - least, as_front - least)
            }
        };
        graph.terminals(place, front, behind);
    }
    for (one, other, cost) in edges {
        graph.edge(*one, *other, *cost);
    }
    graph.run();
    let sides = (0..colors.len()).zip(seeds);
    sides.map(|(place, seed)| if seed.is_sure() { seed.starts_in_front() } else { graph.with_source(place) }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A red disk on a green ground, both noisy: a few seeds are enough for all of it.
    #[test]
    fn a_disk_is_found_from_few_seeds() {
        let side = 48;
        let noise = crate::image::noise(side, side, 1).unwrap();
        let inside = |place: usize| {
            let (x, y) = (place % side, place / side);
            (x as f64 - 20.0).powi(2) + (y as f64 - 26.0).powi(2) < 150.0
        };
        let color = |place: usize, channel: usize| match (inside(place), channel) {
            (true, 0) | (false, 1) => 0.3,
            _ => -0.2,
        };
        let area = side * side;
        let planes = noise.planes().iter().enumerate().map(|(i, v)| v + color(i % area, i / area)).collect();
        let image = Image::from_planes(side, side, planes, None).unwrap();
        let seeds: Vec<Seed> = (0..area)
            .map(|place| match (place % side, place / side) {
                (18..=22, 24..=28) => Seed::Foreground,
                (0..=3, _) => Seed::Background,
                (x, _) if x < 24 => Seed::PerhapsForeground,
                _ => Seed::PerhapsBackground,
            })
            .collect();
        let mask = grab_cut(&Job::detached(), &image, &seeds, 5).unwrap();
        let wrong = (0..area).filter(|place| mask[*place] != inside(*place)).count();
        assert!(wrong <= 4, "{wrong} pixels");
    }

    #[test]
    fn seeds_are_kept_and_both_sides_are_needed() {
        let image = crate::image::noise(9, 9, 2).unwrap();
        let seeds: Vec<Seed> =
            (0..81).map(|place| if place % 2 == 0 { Seed::Foreground } else { Seed::Background }).collect();
        let mask = grab_cut(&Job::detached(), &image, &seeds, 3).unwrap();
        assert!(mask.iter().enumerate().all(|(place, front)| *front == (place % 2 == 0)));
        for seed in [Seed::Foreground, Seed::PerhapsBackground] {
            assert_eq!(grab_cut(&Job::detached(), &image, &[seed; 81], 3).unwrap_err().kind(), Kind::Argument);
        }
        assert!(grab_cut(&Job::detached(), &image, &seeds[1..], 3).is_err());
    }
}
