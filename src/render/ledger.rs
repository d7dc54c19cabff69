//! A sum as a table of pictures: what was multiplied, what came of it, and how it adds up.

use super::colorbar::colorbar;
use super::colormap::Colormap;
use super::picture::show_picture;
use super::raster::Raster;
use super::scale::{Range, Span};
use super::scene::{Align, Scene};
use super::style::{Color, INK, LABEL, LINE, QUIET, TICK, TRACK};
use super::text::{Line, Weight, measure, shorten};
use crate::error::Result;
use crate::image::Image;

const TILE: f32 = 72.0;
const LARGE_TILE: f32 = 120.0;
/// From this side on a plane is large, and smoothed rather than shown as squares.
const LARGE: usize = 24;
const ROW_GAP: f32 = 14.0;
/// What stands between two tiles: × or =.
const SIGN: f32 = 52.0;
const NAMES: f32 = 250.0;
const BARS: f32 = 260.0;
const BAR: f32 = 14.0;
/// From so many numbers on, this part of them may be beyond the ends of a scale.
const MANY: usize = 2000;
const BEYOND: f64 = 0.01;
const THIN_ROW: f32 = 30.0;
const TALL_ROW: f32 = 48.0;
const THUMBNAIL: f32 = 220.0;
const POSITIVE: Color = Color::Series(1);
const NEGATIVE: Color = Color::Series(0);

/// `[height, width]`, values and weights, row by row.
pub type Planes = ([usize; 2], Vec<f32>, Vec<f32>);

/// A term of a sum.
#[derive(Clone, Debug)]
pub struct Term {
    /// What it is.
    pub name: String,
    /// Where it is, beneath that.
    pub detail: String,
    /// What is multiplied, if it is anything. Planes of one number are written as numbers.
    pub planes: Option<Planes>,
    /// What it is worth.
    pub value: f64,
}

/// Terms that add up to a number, from top to bottom.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The terms.
    pub terms: Vec<Term>,
    /// What the sum is called.
    pub total: String,
    /// What the values and the weights of planes are.
    pub units: [&'static str; 2],
    /// What the sum is about, at the left.
    pub thumbnail: Option<Image>,
}

impl Ledger {
    /// Whether some weights and products are beyond the ends of their scales.
    pub fn is_clipped(&self) -> bool {
        let weights = self.terms.iter().filter_map(Term::tiles).flat_map(|(_, _, weights)| weights);
        weights.filter(|weight| **weight != 0.0).count() > MANY
    }

    /// What all terms add up to.
    fn sum(&self) -> f64 {
        self.terms.iter().map(|term| term.value).sum()
    }

    pub(super) fn layout(&self, room: f32) -> Result<Scene> {
        let mut scene = Scene::default();
        let mut left = 0.0;
        if let Some(image) = &self.thumbnail {
            let picture = show_picture(image, THUMBNAIL)?;
            left = picture.width() as f32 + 28.0;
            scene.picture(0.0, 0.0, picture);
        }
        scene.place(left, 0.0, self.rows(room - left)?);
        Ok(scene)
    }

    /// The terms without what they are about.
    pub(super) fn rows(&self, room: f32) -> Result<Scene> {
        let planes: Vec<&Planes> = self.terms.iter().filter_map(Term::tiles).collect();
        let largest = planes.iter().map(|([height, width], ..)| *height.max(width)).max();
        let tile = if largest.is_some_and(|side| side >= LARGE) { LARGE_TILE } else { TILE };
        let tiles =
            if self.terms.iter().any(|term| term.planes.is_some()) { 3.0 * tile + 2.0 * SIGN + 24.0 } else { 0.0 };
        let digits = digits(self.terms.iter().fold(0f64, |most, term| most.max(term.value.abs())));
        let number = self.terms.iter().map(|term| term.value).chain([self.sum()]);
        let number =
            number.map(|value| measure(&signed(value, digits), LABEL, Weight::SemiBold)).fold(0.0, f32::max) + 16.0;
        let names = self.terms.iter().flat_map(|term| [(&term.name, LABEL), (&term.detail, TICK)]);
        let names = names.map(|(text, size)| measure(text, size, Weight::Regular)).fold(0.0, f32::max);
        let total = measure(&self.total, LABEL, Weight::SemiBold);
        let names = names.max(total).min(NAMES).ceil() + 20.0;
        let bars_left = names + tiles + number;
        // the number below an end reaches a little beyond it
        let bars = (room - bars_left - 8.0).clamp(80.0, BARS);

        let scales = scales(&planes)?;
        let span = self.running();
        let at = |value: f64| bars_left + bars * span.position(value as f32);
        let mut scene = Scene::default();
        let (mut top, mut so_far) = (0.0, 0.0);
        for term in &self.terms {
            let height = match (term.tiles(), term.detail.is_empty()) {
                (Some(_), _) => tile,
                (None, true) => THIN_ROW - ROW_GAP,
                (None, false) => TALL_ROW - ROW_GAP,
            };
            let middle = (top + height / 2.0).round();
            self.name(&mut scene, term, middle, names - 20.0);
            if let (Some((_, values, weights)), None) = (&term.planes, term.tiles()) {
                let (value, weight) = (values.first().copied().unwrap_or(0.0), weights.first().copied().unwrap_or(0.0));
                let texts = [short(value), "×".into(), short(weight), "=".into()];
                let places = [0.5 * tile, tile + 0.5 * SIGN, 1.5 * tile + SIGN, 2.0 * tile + 1.5 * SIGN];
                for (index, (text, x)) in texts.into_iter().zip(places).enumerate() {
                    let line = if index % 2 == 0 { Line::new(text, LABEL, INK) } else { Line::new(text, 16.0, QUIET) };
                    scene.text(names + x, middle + LABEL * 0.36, Align::Center, line);
                }
            }
            if let Some((size, values, weights)) = term.tiles() {
                let products: Vec<f32> = values.iter().zip(weights).map(|(value, weight)| value * weight).collect();
                let mut x = names;
                for (index, plane) in [values, weights, &products].into_iter().enumerate() {
                    let (colormap, span) = scales[index];
                    let picture = paint(plane, *size, tile, colormap, span)?;
                    let (wide, tall) = (picture.width() as f32, picture.height() as f32);
                    let (at_x, at_y) = ((x + (tile - wide) / 2.0).round(), (top + (tile - tall) / 2.0).round());
                    scene.fill(at_x - 1.0, at_y - 1.0, wide + 2.0, tall + 2.0, LINE);
                    scene.picture(at_x, at_y, picture);
                    if index < 2 {
                        let sign = if index == 0 { "×" } else { "=" };
                        scene.text(x + tile + SIGN / 2.0, middle + 5.0, Align::Center, Line::new(sign, 16.0, QUIET));
                    }
                    x += tile + SIGN;
                }
            }
            let line = Line::new(signed(term.value, digits), LABEL, INK);
            scene.text(bars_left - 14.0, middle + LABEL * 0.36, Align::Right, line);
            let (from, to) = (at(so_far), at(so_far + term.value));
            so_far += term.value;
            let color = if term.value < 0.0 { NEGATIVE } else { POSITIVE };
            scene.fill(from.min(to), middle - BAR / 2.0, (to - from).abs().max(1.0), BAR, color);
            // the next bar begins where this one ends
            scene.fill(to.round(), middle + BAR / 2.0, 1.0, height / 2.0 - BAR / 2.0 + ROW_GAP, LINE);
            top = (top + height + ROW_GAP).round();
        }
        scene.fill(0.0, top, bars_left + bars, 1.0, LINE);
        let middle = top + 18.0;
        let bold = |text: String| Line::new(text, LABEL, INK).bold();
        scene.text(
            0.0,
            middle + LABEL * 0.36,
            Align::Left,
            bold(shorten(&self.total, LABEL, Weight::SemiBold, names - 20.0)),
        );
        scene.text(bars_left - 14.0, middle + LABEL * 0.36, Align::Right, bold(signed(so_far, digits)));
        let (from, to) = (at(0.0), at(so_far));
        scene.fill(
            from.min(to),
            middle - BAR / 2.0,
            (to - from).abs().max(1.0),
            BAR,
            if so_far < 0.0 { NEGATIVE } else { POSITIVE },
        );
        // where zero is
        scene.fill(at(0.0).round(), 0.0, 1.0, middle + BAR, TRACK);
        scene.text(at(0.0), middle + BAR + TICK, Align::Center, Line::new("0", TICK, QUIET));
        let bottom = middle + BAR + TICK + 18.0;
        if largest.is_none() && tiles > 0.0 {
            for (unit, x) in self.units.into_iter().zip([0.5 * tile, 1.5 * tile + SIGN]) {
                scene.text(names + x, middle + LABEL * 0.36, Align::Center, Line::new(unit, TICK, QUIET));
            }
        }
        if largest.is_some() {
            let labels =
                [self.units[0].to_owned(), self.units[1].to_owned(), format!("{} × {}", self.units[0], self.units[1])];
            let width = tile + SIGN - 14.0;
            for (index, ((colormap, span), label)) in scales.into_iter().zip(labels).enumerate() {
                let bar = colorbar(width, |t| colormap.at(t), span, "");
                let x = names + index as f32 * (tile + SIGN) - (width - tile) / 2.0;
                let text = super::scene::paragraph(&Line::new(label, TICK, QUIET), tile + SIGN - 6.0);
                let height = bar.height;
                scene.place(x, bottom, bar);
                scene.place(x, bottom + height + 2.0, text);
            }
        }
        Ok(scene)
    }

    fn name(&self, scene: &mut Scene, term: &Term, middle: f32, room: f32) {
        let name = Line::new(shorten(&term.name, LABEL, Weight::Regular, room), LABEL, INK);
        if term.detail.is_empty() {
            return scene.text(0.0, middle + LABEL * 0.36, Align::Left, name);
        }
        scene.text(0.0, middle - 4.0, Align::Left, name);
        let detail = Line::new(shorten(&term.detail, TICK, Weight::Regular, room), TICK, QUIET);
        scene.text(0.0, middle + TICK + 2.0, Align::Left, detail);
    }

    /// From the least to the greatest that the terms add up to on the way, 0 among them.
    fn running(&self) -> Span {
        let mut so_far = 0.0;
        let (low, high) = self.terms.iter().fold((0f64, 0f64), |(low, high), term| {
            so_far += term.value;
            (low.min(so_far), high.max(so_far))
        });
        Span { low: low as f32, high: high as f32 }
    }
}

/// The colours of values, weights and products, each on one scale for all terms.
fn scales(planes: &[&Planes]) -> Result<[(Colormap, Span); 3]> {
    let values = || planes.iter().flat_map(|(_, values, _)| values.iter().copied());
    let of_values = match values().any(|value| value < 0.0) {
        true => (Colormap::Diverging, Range::Symmetric.span(values())?),
        false => (Colormap::Magma, Span { low: 0.0, high: values().fold(0.0, f32::max) }),
    };
    let weights = planes.iter().flat_map(|(_, _, weights)| weights.iter().copied()).collect();
    let products =
        planes.iter().flat_map(|(_, values, weights)| values.iter().zip(weights).map(|(v, w)| v * w)).collect();
    Ok([of_values, (Colormap::Diverging, symmetric(weights)), (Colormap::Diverging, symmetric(products))])
}

/// As far below zero as above it. Of very many numbers a few may lie beyond the ends, if they lie far beyond them.
fn symmetric(values: Vec<f32>) -> Span {
    let mut sizes: Vec<f32> = values.into_iter().map(f32::abs).filter(|size| *size > 0.0).collect();
    let mut end = sizes.iter().copied().fold(0.0, f32::max);
    if sizes.len() > MANY {
        let place = ((sizes.len() - 1) as f64 * (1.0 - BEYOND)) as usize;
        end = *sizes.select_nth_unstable_by(place, f32::total_cmp).1;
    }
    Span { low: -end, high: end }
}

/// A plane of numbers in a square of a side.
fn paint(values: &[f32], [height, width]: [usize; 2], side: f32, colormap: Colormap, span: Span) -> Result<Raster> {
    let fit = side / height.max(width).max(1) as f32;
    let scaled = |length: usize| ((length as f32 * fit).round() as usize).max(1);
    let at = |x: usize, y: usize| colormap.at(span.position(values.get(y * width + x).copied().unwrap_or_default()));
    let plane = Raster::from_fn(width, height, at);
    // squares are all of one size only if they are enlarged by a whole number
    if fit >= 3.0 { Ok(plane.enlarge(fit as usize)) } else { plane.resize(scaled(width), scaled(height)) }
}

impl Term {
    /// What is multiplied, if it is planes to be seen.
    fn tiles(&self) -> Option<&Planes> {
        self.planes.as_ref().filter(|([height, width], ..)| height * width > 1)
    }
}

/// A number in few digits.
fn short(value: f32) -> String {
    let digits = if value.abs() >= 100.0 { 1 } else { 3 };
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.1e}") } else { format!("{value:.digits$}") }
        .replace('-', "−")
}

/// How many digits behind the point tell something about numbers of which this is the largest.
fn digits(largest: f64) -> usize {
    if largest > 0.0 && largest < 1.0 { 4 + ((-largest.log10()) as usize).min(8) } else { 4 }
}

/// A number with its sign.
fn signed(value: f64, digits: usize) -> String {
    format!("{value:+.digits$}").replace('-', "−")
}
