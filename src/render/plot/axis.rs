//! An axis: which numbers it spans, and where each lies.

use std::sync::Arc;

use super::ticks::{self, Tick};
use crate::plot::{self, Data, Plot};

/// How much of a span is left free beyond what is drawn, at each end.
const PADDING: f64 = 0.04;

/// The numbers from one end of a plot to the other.
#[derive(Clone, Debug)]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub log: bool,
    /// The names of the places 0, 1, 2, …
    pub names: Option<Arc<[String]>>,
    /// Are only whole numbers written?
    whole: bool,
    /// What is written at it.
    pub ticks: Vec<Tick>,
}

/// The least and greatest number along a direction, and whether the axis should not go beyond them.
struct Extent {
    low: f64,
    high: f64,
    /// Ends without padding: where bars stand, and where they begin.
    tight: [bool; 2],
}

impl Axis {
    /// The horizontal axis of a plot.
    pub fn x(plot: &Plot) -> Self {
        let mut extent = Extent::new();
        let mut whole = false;
        for series in &plot.series {
            match &series.data {
                Data::Line { x, .. } => {
                    x.iter().for_each(|x| extent.include(*x));
                    whole |= x.iter().enumerate().all(|(index, x)| *x == index as f64);
                }
                Data::Points { x, .. } => x.iter().for_each(|x| extent.include(*x)),
                Data::Bars { heights, .. } => {
                    extent.include(-0.5);
                    extent.include(heights.len() as f64 - 0.5);
                    whole = true;
                }
                Data::Histogram { edges, .. } => edges.iter().for_each(|edge| extent.include(*edge)),
                Data::VerticalLine(at) => extent.include(*at),
                Data::VerticalBand(low, high) => {
                    extent.include(*low);
                    extent.include(*high);
                }
                Data::HorizontalLine(_) | Data::HorizontalBand(..) | Data::Matrix(_) => {}
            }
        }
        if let Some(names) = &plot.x.names {
            extent.include(-0.5);
            extent.include(names.len() as f64 - 0.5);
        }
        if plot.x.names.is_some() || plot.series.iter().all(|series| matches!(series.data, Data::Bars { .. })) {
            extent.tight = [true; 2];
        }
        Self::over(extent, &plot.x, whole)
    }

    /// The vertical axis of a plot.
    pub fn y(plot: &Plot) -> Self {
        let mut extent = Extent::new();
        let mut whole = false;
        for series in &plot.series {
            match &series.data {
                Data::Line { y, error, .. } => extent.with_errors(y, error.as_deref(), plot.y.log),
                Data::Points { y, .. } => y.iter().for_each(|y| extent.include(*y)),
                Data::Bars { heights, error } => {
                    extent.with_errors(heights, error.as_deref(), plot.y.log);
                    extent.start_at_zero(plot.y.log);
                }
                Data::Histogram { counts, .. } => {
                    counts.iter().filter(|count| !plot.y.log || **count > 0.0).for_each(|y| extent.include(*y));
                    extent.start_at_zero(plot.y.log);
                    whole = counts.iter().all(|count| count.fract() == 0.0);
                }
                Data::HorizontalLine(at) => extent.include(*at),
                Data::HorizontalBand(low, high) => {
                    extent.include(*low);
                    extent.include(*high);
                }
                Data::VerticalLine(_) | Data::VerticalBand(..) | Data::Matrix(_) => {}
            }
        }
        let positive = 0.0 <= extent.low && extent.low < extent.high;
        let mut axis = Self::over(extent, &plot.y, whole);
        // room below what is never negative would suggest that it could be
        if positive && plot.y.range.is_none() && axis.low < 0.0 {
            axis.low = 0.0;
        }
        axis
    }

    fn over(extent: Extent, axis: &plot::Axis, whole: bool) -> Self {
        let (low, high) = axis.range.unwrap_or_else(|| extent.padded(axis.log));
        Self { low, high, log: axis.log, names: axis.names.clone(), whole, ticks: Vec::new() }
    }

    /// The same axis with about `count` numbers, or with all its names.
    pub fn with_ticks(mut self, count: usize) -> Self {
        self.ticks = match &self.names {
            Some(names) => {
                let all = names.iter().enumerate().map(|(index, name)| Tick { at: index as f64, text: name.clone() });
                all.filter(|tick| (self.low..=self.high).contains(&tick.at)).collect()
            }
            None if self.log => ticks::logarithmic(self.low, self.high, count),
            None => ticks::linear(self.low, self.high, count, self.whole),
        };
        self
    }

    /// Unwritten ticks between the written ones.
    pub fn minor(&self) -> Vec<f64> {
        if self.log { ticks::minor(self.low, self.high) } else { Vec::new() }
    }

    /// Where a number lies: 0 at the low end, 1 at the high end; what is not positive lies far below a logarithmic axis.
    pub fn position(&self, value: f64) -> f64 {
        let (low, high, value) = if self.log {
            (self.low.ln(), self.high.ln(), if value <= 0.0 { f64::MIN_POSITIVE.ln() } else { value.ln() })
        } else {
            (self.low, self.high, value)
        };
        // halved first, since the difference of two large numbers is larger than either
        (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
    }
}

impl Extent {
    fn new() -> Self {
        Self { low: f64::INFINITY, high: f64::NEG_INFINITY, tight: [false; 2] }
    }

    fn include(&mut self, value: f64) {
        if value.is_finite() {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }

    fn with_errors(&mut self, values: &[f64], error: Option<&[f64]>, log: bool) {
        for (index, value) in values.iter().enumerate() {
            let error = error.and_then(|error| error.get(index)).copied().unwrap_or_default();
            self.include(*value);
            self.include(value + error);
            if !log || value - error > 0.0 {
                self.include(value - error);
            }
        }
    }

    /// Bars begin at zero, with nothing free behind it.
    fn start_at_zero(&mut self, log: bool) {
        if !log {
            self.include(0.0);
            self.tight = [self.low >= 0.0, self.high <= 0.0];
        }
    }

    /// The ends of the axis.
    fn padded(&self, log: bool) -> (f64, f64) {
        let (low, high) = match (self.low <= self.high, log) {
            (true, _) => (self.low, self.high),
            (false, true) => (1.0, 10.0),
            (false, false) => (0.0, 1.0),
        };
        if log {
            let (low, high) = (low.log10(), high.log10());
            let room = if high > low { (high - low) * PADDING } else { 0.5 };
            return (10f64.powf(low - room).max(1e-300), 10f64.powf(high + room));
        }
        // a single number stands in the middle of an axis around it
        let length = high - low;
        let least = low.abs().max(high.abs()) * 1e-12;
        let single = length <= least;
        let room = match single {
            true if low == 0.0 => 1.0,
            true => low.abs() * 0.1,
            false => length * PADDING,
        };
        let [below, above] = if single { [false, false] } else { self.tight };
        (if below { low } else { low - room }, if above { high } else { high + room })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(y: &[f64]) -> Plot {
        let x = (0..y.len()).map(|index| index as f64).collect();
        Plot::new(Data::Line { x, y: y.into(), error: None }).unwrap()
    }

    #[test]
    fn what_is_drawn_lies_inside() {
        for y in [&[1.0, 5.0][..], &[3.0], &[0.0], &[-2.0, f64::NAN, -1.0], &[1e300, -1e300], &[1e-300, 2e-300]] {
            let axis = Axis::y(&line(y));
            assert!(axis.low < axis.high, "{y:?}");
            for value in y.iter().filter(|value| !value.is_nan()) {
                assert!((0.0..=1.0).contains(&axis.position(*value)), "{value} in {} … {}", axis.low, axis.high);
            }
        }
    }

    #[test]
    fn what_is_never_negative_has_no_room_below_zero() {
        assert_eq!(Axis::y(&line(&[0.01, 10.0])).low, 0.0);
        assert!(Axis::y(&line(&[-0.01, 10.0])).low < -0.01);
        assert!(Axis::y(&line(&[5.0, 10.0])).low > 0.0);
    }

    #[test]
    fn bars_begin_at_zero() {
        let bars = Plot::new(Data::Bars { heights: [3.0, 5.0].into(), error: None }).unwrap();
        assert_eq!(Axis::y(&bars).low, 0.0);
        assert_eq!((Axis::x(&bars).low, Axis::x(&bars).high), (-0.5, 1.5));
    }

    #[test]
    fn equal_ratios_take_equal_room() {
        let mut plot = line(&[1.0, 10.0, 100.0]);
        plot.y.log = true;
        let axis = Axis::y(&plot);
        assert!((axis.position(10.0) - 0.5).abs() < 1e-12);
    }
}
