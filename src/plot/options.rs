//! What is written around a plot, and how its axes run: options that several functions take, each documented once.

use std::sync::Arc;

use super::{Names, Plot};
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Options, Reject};

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

/// The names in the legend.
#[derive(Clone, Debug, Options)]
pub struct Legend {
    /// What the legend calls it; for several series a list with one name for each.
    #[default]
    pub label: Option<Names>,
}

/// What is written around a plot.
#[derive(Clone, Debug, Options)]
pub struct Titles {
    /// What stands above it.
    #[default]
    pub title: Option<String>,
    /// What the horizontal axis measures, with its unit.
    #[default]
    pub x_label: Option<String>,
    /// What the vertical axis measures, with its unit.
    #[default]
    pub y_label: Option<String>,
}

/// How the axes of a plot run.
#[derive(Clone, Debug, Options)]
pub struct Scales {
    /// The axes that are logarithmic.
    #[default]
    pub log: Option<Log>,
    /// The ends of the horizontal axis, [low, high]; what lies beyond is not drawn.
    #[default]
    pub x_range: Option<Limits>,
    /// The ends of the vertical axis, [low, high]; what lies beyond is not drawn.
    #[default]
    pub y_range: Option<Limits>,
}

impl Plot {
    /// The same plot with names for its series; without them, it stays as it is.
    ///
    /// # Errors
    /// There are more or fewer names than series.
    pub fn named(mut self, legend: &Legend) -> Result<Self> {
        let Some(Names(labels)) = &legend.label else { return Ok(self) };
        if labels.len() != self.series.len() {
            let (found, wanted) = (labels.len(), self.series.len());
            let message = format!("`label` has {found} name{} for {wanted} series", if found == 1 { "" } else { "s" });
            let error = Error::new(Kind::Argument, message).at_argument("label");
            return Err(if wanted > 1 { error.with_hint("give a list with one name for each") } else { error });
        }
        for (series, label) in self.series.iter_mut().zip(labels) {
            series.label = Some(label.as_str().into());
        }
        Ok(self)
    }

    /// The same plot with this written around it.
    #[must_use]
    pub fn titled(mut self, titles: &Titles) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Arc::from);
        self.title = text(&titles.title).or(self.title);
        self.x.title = text(&titles.x_label).or(self.x.title);
        self.y.title = text(&titles.y_label).or(self.y.title);
        self
    }

    /// The same plot with axes that run so.
    ///
    /// # Errors
    /// An axis cannot run so, for example a logarithmic one over numbers that are not positive.
    pub fn scaled(mut self, scales: &Scales) -> Result<Self> {
        let log = scales.log.unwrap_or_default();
        let ends = |limits: Option<Limits>| limits.map(|Limits(low, high)| (low, high));
        (self.x.log, self.y.log) = (log.x, log.y);
        (self.x.range, self.y.range) = (ends(scales.x_range), ends(scales.y_range));
        self.checked()
    }
}
