//! What is written around a plot, and how its axes run: the same keyword arguments for every function.

use super::{Axis, Names, Plot};
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject};

/// Which axes are logarithmic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The horizontal one.
    pub x: bool,
    /// The vertical one.
    pub y: bool,
}

/// The numbers at the ends of an axis, the lower one first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits(pub f64, pub f64);

impl FromValue for Log {
    const EXPECTED: &'static str = "\"x\", \"y\" or \"xy\"";
    const TYPES: &'static [&'static str] = &["string"];
    const CHOICES: &'static [&'static str] = &["x", "y", "xy"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match String::from_value(value)?.as_str() {
            "x" => Ok(Self { x: true, y: false }),
            "y" => Ok(Self { x: false, y: true }),
            "xy" | "yx" => Ok(Self { x: true, y: true }),
            other => Err(Reject::Because(
                format!("must be {}, the axes to be logarithmic, not {other:?}", Self::EXPECTED),
                None,
            )),
        }
    }
}

impl FromValue for Limits {
    const EXPECTED: &'static str = "a list of two numbers";
    const TYPES: &'static [&'static str] = &["list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match Vec::<f64>::from_value(value)?.as_slice() {
            [low, high] if low < high && low.abs() < 1e300 && high.abs() < 1e300 => Ok(Self(*low, *high)),
            [low, high] => {
                let why = format!("must be a lower and a higher number, not {low} and {high}");
                Err(Reject::Because(why, Some("the ends of an axis are given as [low, high]".into())))
            }
            other => Err(Reject::Because(format!("must be two numbers, not {}", other.len()), None)),
        }
    }
}

/// The keyword arguments that every plot with axes takes.
#[derive(Debug, Default)]
pub(super) struct Around {
    pub label: Option<Names>,
    pub title: Option<String>,
    pub x_label: Option<String>,
    pub y_label: Option<String>,
    pub log: Option<Log>,
    pub x_range: Option<Limits>,
    pub y_range: Option<Limits>,
}

impl Around {
    /// Writes it around a plot whose series these labels name.
    pub fn put(self, mut plot: Plot) -> Result<Plot> {
        if let Some(Names(labels)) = self.label {
            if labels.len() != plot.series.len() {
                let (found, wanted) = (labels.len(), plot.series.len());
                let message =
                    format!("`label` has {found} name{} for {wanted} series", if found == 1 { "" } else { "s" });
                let error = Error::new(Kind::Argument, message).at_argument("label");
                return Err(if wanted > 1 { error.with_hint("give a list with one name for each") } else { error });
            }
            for (series, label) in plot.series.iter_mut().zip(labels) {
                series.label = Some(label.into());
            }
        }
        let log = self.log.unwrap_or_default();
        let axis = |own: Axis, title: Option<String>, log: bool, range: Option<Limits>| Axis {
            title: title.map(Into::into).or(own.title),
            log,
            range: range.map(|Limits(low, high)| (low, high)),
            names: own.names,
        };
        plot.x = axis(plot.x, self.x_label, log.x, self.x_range);
        plot.y = axis(plot.y, self.y_label, log.y, self.y_range);
        plot.title = self.title.map(Into::into);
        plot.checked()
    }
}
