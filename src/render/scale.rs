//! Which numbers a colour map spans, and how they are written.

use crate::error::{Error, Kind, Result};

/// Which values get the ends of the colour map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// The least and the greatest value.
    Auto,
    /// As far below zero as above it, to the greatest magnitude; zero is in the middle.
    Symmetric,
    /// These two, the lower one first; values beyond get the end's colour.
    Fixed(f32, f32),
}

/// The least and the greatest number of a colour bar; equal only if there is but one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The least number.
    pub low: f32,
    /// The greatest number.
    pub high: f32,
}

impl Range {
    /// The span of these values under this rule.
    pub fn span(self, values: impl Iterator<Item = f32>) -> Result<Span> {
        let (low, high) = match self {
            Self::Fixed(low, high) if low < high && low.is_finite() && high.is_finite() => (low, high),
            Self::Fixed(low, high) => {
                let message = format!("a range needs a lower and a higher number, not {low} and {high}");
                return Err(Error::new(Kind::Argument, message).at_argument("range"));
            }
            Self::Auto => values.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v))),
            Self::Symmetric => {
                let most = values.fold(0.0f32, |most, v| most.max(v.abs()));
                (-most, most)
            }
        };
        Ok(if low <= high { Span { low, high } } else { Span { low: 0.0, high: 0.0 } })
    }
}

impl Span {
    /// Where a value lies: 0 at the low end, 1 at the high end.
    pub fn position(self, value: f32) -> f32 {
        if self.high > self.low { ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0) } else { 0.5 }
    }

    /// Both ends, or the only value, in writing.
    pub fn ends(self) -> (String, String) {
        let (mut low, mut high) = (number(self.low, self.digits()), number(self.high, self.digits()));
        // 0.420 says no more than 0.42, if the other end has no need of the digit either
        while [&low, &high].iter().all(|text| *text == "0" || (text.contains('.') && text.ends_with('0'))) {
            if low == "0" && high == "0" {
                break;
            }
            for text in [&mut low, &mut high] {
                if *text != "0" {
                    text.pop();
                    *text = text.trim_end_matches('.').to_owned();
                }
            }
        }
        (low, high)
    }

    /// The span in a few characters: `0.2 … 3.1`, or `±0.42` if it is symmetric.
    pub fn short(self) -> String {
        let (low, high) = self.ends();
        if self.low == self.high {
            high
        } else if self.low == -self.high {
            format!("±{high}")
        } else {
            format!("{low} … {high}")
        }
    }

    /// Round numbers strictly inside the span, about `count` of them, in writing.
    pub fn ticks(self, count: usize) -> Vec<(f32, String)> {
        let length = f64::from(self.high) - f64::from(self.low);
        if length <= 0.0 || !length.is_finite() {
            return Vec::new();
        }
        let step = round_step(length / count.max(1) as f64);
        let digits = Digits::for_step(step, self.magnitude());
        let first = (f64::from(self.low) / step).ceil() as i64;
        let last = (f64::from(self.high) / step).floor() as i64;
        (first..=last)
            .map(|i| (i as f64 * step) as f32)
            .filter(|&v| v > self.low && v < self.high)
            .map(|v| (v, number(v, digits)))
            .collect()
    }

    fn magnitude(self) -> f64 {
        f64::from(self.low.abs().max(self.high.abs()))
    }

    /// Digits that show a hundredth of the span, as far as an f32 knows them.
    fn digits(self) -> Digits {
        let length = f64::from(self.high) - f64::from(self.low);
        let step = if length > 0.0 { (length / 100.0).max(self.magnitude() * 3e-6) } else { self.magnitude() / 100.0 };
        Digits::for_step(step, self.magnitude())
    }
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    let multiple = [1.0, 2.0, 5.0].into_iter().find(|m| m * power >= least * (1.0 - 1e-3)).unwrap_or(10.0);
    multiple * power
}

/// How a number is written.
#[derive(Clone, Copy)]
enum Digits {
    /// With so many decimals.
    Decimals(usize),
    /// As `1.23e−5`, with so many decimals.
    Scientific(usize),
}

impl Digits {
    /// Digits in which numbers of this magnitude, a `step` apart, differ.
    fn for_step(step: f64, magnitude: f64) -> Self {
        if !(step > 0.0 && magnitude > 0.0) {
            return Self::Decimals(0);
        }
        if !(1e-3..1e5).contains(&magnitude) {
            let digits = magnitude.log10().floor() - step.log10().floor();
            return Self::Scientific(digits.clamp(0.0, 8.0) as usize);
        }
        Self::Decimals((-step.log10().floor()).clamp(0.0, 9.0) as usize)
    }
}

fn number(value: f32, digits: Digits) -> String {
    let text = match digits {
        Digits::Decimals(decimals) => format!("{value:.decimals$}"),
        Digits::Scientific(_) if value == 0.0 => "0".to_owned(),
        Digits::Scientific(decimals) => format!("{value:.decimals$e}"),
    };
    // a rounded −0 is 0
    let text = match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| c == '0' || c == '.') => rest,
        _ => &text,
    };
    let zero = !text.is_empty() && text.chars().all(|c| c == '0' || c == '.');
    if zero { "0".to_owned() } else { text.replace('-', "−") }
}

/// Refuses values that are NaN or infinite, and a count that is not `width * height`.
pub fn check_plane(what: &str, width: usize, height: usize, values: &[f32]) -> Result<()> {
    if width == 0 || height == 0 || width.checked_mul(height) != Some(values.len()) {
        let message = format!("{what} of {width}×{height} cannot have {} values", values.len());
        return Err(Error::new(Kind::Tensor, message));
    }
    let bad = values.iter().filter(|v| !v.is_finite()).count();
    if bad > 0 {
        let message = format!("{bad} of {} values of {what} are NaN or infinite", values.len());
        return Err(Error::new(Kind::Tensor, message));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn span(low: f32, high: f32) -> Span {
        Span { low, high }
    }

    fn labels(span: Span) -> Vec<String> {
        span.ticks(5).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ranges() {
        let values = [0.5, -2.0, 1.0];
        let of = |range: Range| range.span(values.into_iter());
        assert_eq!(of(Range::Auto).unwrap(), span(-2.0, 1.0));
        assert_eq!(of(Range::Symmetric).unwrap(), span(-2.0, 2.0));
        assert_eq!(of(Range::Fixed(0.0, 1.0)).unwrap(), span(0.0, 1.0));
        assert!(of(Range::Fixed(1.0, 1.0)).is_err() && of(Range::Fixed(0.0, f32::NAN)).is_err());
        assert_eq!(Range::Auto.span([].into_iter()).unwrap(), span(0.0, 0.0));
    }

    #[test]
    fn positions() {
        assert_eq!(span(-1.0, 3.0).position(0.0), 0.25);
        assert_eq!(span(-1.0, 3.0).position(9.0), 1.0);
        assert_eq!(span(2.0, 2.0).position(2.0), 0.5);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(span(-0.34, 7.81)), ["0", "2", "4", "6"]);
        assert_eq!(labels(span(0.0, 1.0)), ["0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(span(-0.05, 0.05)), ["−0.04", "−0.02", "0", "0.02", "0.04"]);
        assert_eq!(labels(span(17.0, 17.003)), ["17.001", "17.002"]);
        assert!(labels(span(3.0, 3.0)).is_empty());
        assert!(labels(span(f32::MIN, f32::MAX)).len() < 12);
    }

    #[test]
    fn ends_tell_the_range() {
        let ends = |low, high| {
            let (low, high) = span(low, high).ends();
            format!("{low} {high}")
        };
        assert_eq!(ends(-0.3456, 7.8123), "−0.35 7.81");
        assert_eq!(ends(0.0, 0.4567), "0 0.457");
        assert_eq!(ends(-812.4, 90.0), "−812 90");
        assert_eq!(ends(0.0, 1.234e-5), "0 1.23e−5");
        assert_eq!(ends(17.0001, 17.0003), "17.0001 17.0003");
        assert_eq!(ends(4.0, 4.0), "4 4");
        assert_eq!(span(-0.42, 0.42).short(), "±0.42");
        assert_eq!(span(0.0, 3.25).short(), "0 … 3.25");
    }

    #[test]
    fn planes_are_checked() {
        assert!(check_plane("a map", 2, 2, &[0.0; 4]).is_ok());
        assert!(check_plane("a map", 2, 2, &[0.0; 3]).is_err());
        assert!(check_plane("a map", 0, 0, &[]).is_err());
        let error = check_plane("a map", 2, 1, &[0.0, f32::NAN]).unwrap_err();
        assert_eq!(error.message(), "1 of 2 values of a map are NaN or infinite");
    }
}
