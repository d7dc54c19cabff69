//! Plots: lines, points, bars, histograms and matrices of numbers, as data. How they look is up to `render`.

mod bar;
mod check;
mod heatmap;
mod histogram;
mod line;
mod numbers;
mod options;
mod rules;
mod scatter;

use std::fmt;
use std::sync::Arc;

pub use bar::bar;
pub use heatmap::{Colors, Rows, heatmap};
pub use histogram::{Bins, Sample, histogram};
pub use line::{plot, plot_xy};
pub use numbers::{Names, Numbers, NumbersOrNames, OneOrMore};
pub use options::{Legend, Limits, Log, Scales, Titles};
pub use rules::{hband, hline, vband, vline};
pub use scatter::{Sizes, scatter};

use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, Extension, Provenance, value_type};
use rhai::{EvalAltResult, Position};

/// Numbers of a series; a copy shares them.
pub type Values = Arc<[f64]>;

/// Series of numbers in one pair of axes, with what is written around them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// What is drawn, from back to front.
    pub series: Vec<Series>,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What stands above it.
    pub title: Option<Arc<str>>,
    /// What stands below it.
    pub caption: Option<Arc<str>>,
    provenance: Provenance,
}

value_type!(
    Plot,
    "plot",
    "a plot",
    "Lines, points, bars, a histogram or a heat map. `+` draws several into one pair of axes.",
    provenance
);

/// An axis of a plot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What it measures, with its unit.
    pub title: Option<Arc<str>>,
    /// Whether equal ratios, rather than equal differences, take equal room.
    pub log: bool,
    /// The numbers at its ends; chosen by what is drawn if not given.
    pub range: Option<(f64, f64)>,
    /// The names of the places 0, 1, 2, …, if it has names rather than numbers.
    pub names: Option<Arc<[String]>>,
}

/// One of the things a plot draws.
#[derive(Clone, Debug)]
pub struct Series {
    /// What the legend calls it; without a name it is not in the legend.
    pub label: Option<Arc<str>>,
    /// What is drawn.
    pub data: Data,
}

/// What a series draws.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Data {
    /// Points joined by a line, with a gap where `y` is NaN.
    Line {
        /// Where each point is.
        x: Values,
        /// Its height.
        y: Values,
        /// How far the band around the line reaches above and below each point.
        error: Option<Values>,
    },
    /// Points by themselves.
    Points {
        /// Where each point is.
        x: Values,
        /// Its height.
        y: Values,
        /// A number for each point, shown as its colour.
        colors: Option<Values>,
        /// What these numbers are.
        color_label: Option<Arc<str>>,
        /// The diameter of each point, in pixels.
        sizes: Option<Values>,
        /// A name for each point, written beside it where there is room.
        names: Option<Arc<[String]>>,
    },
    /// A bar from zero at each of the places 0, 1, 2, …
    Bars {
        /// The height of each bar.
        heights: Values,
        /// How far the mark of its error reaches above and below its end.
        error: Option<Values>,
    },
    /// How many numbers lie between each edge and the next.
    Histogram {
        /// The edges, in rising order: one more than there are counts.
        edges: Values,
        /// The counts.
        counts: Values,
    },
    /// A line across the plot at a height.
    HorizontalLine(f64),
    /// A line up the plot at a place.
    VerticalLine(f64),
    /// A band across the plot between two heights.
    HorizontalBand(f64, f64),
    /// A band up the plot between two places.
    VerticalBand(f64, f64),
    /// A matrix of numbers as colours.
    Matrix(Matrix),
}

/// A matrix of numbers, shown as colours.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The numbers, row by row from the top; NaN is left blank.
    pub values: Values,
    /// How many rows there are.
    pub rows: usize,
    /// How many columns there are.
    pub columns: usize,
    /// The names of the rows.
    pub row_names: Option<Arc<[String]>>,
    /// The names of the columns.
    pub column_names: Option<Arc<[String]>>,
    /// The name of the colour map; chosen by the numbers' signs if not given.
    pub colormap: Option<Arc<str>>,
    /// The numbers that get the ends of the colours.
    pub range: Option<(f64, f64)>,
    /// What the numbers are.
    pub label: Option<Arc<str>>,
    /// Whether each number is written into its cell, if there is room.
    pub numbers: bool,
}

impl Plot {
    /// A plot of one series.
    ///
    /// # Errors
    /// The series has no numbers, or numbers that cannot be drawn.
    pub fn new(data: Data) -> Result<Self> {
        let series = Series { label: None, data };
        series.check()?;
        Ok(Self { series: vec![series], ..Self::default() })
    }

    /// The same plot with this name for its series in the legend; a plot of several series gets the name for the first.
    #[must_use]
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        if let Some(first) = self.series.first_mut() {
            first.label = Some(label.into());
        }
        self
    }

    /// The same plot with a title.
    #[must_use]
    pub fn title(self, title: impl Into<Arc<str>>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// The same plot with a caption.
    #[must_use]
    pub fn caption(self, caption: impl Into<Arc<str>>) -> Self {
        Self { caption: Some(caption.into()), ..self }
    }

    /// The same plot with titles for its axes.
    #[must_use]
    pub fn axis_titles(mut self, x: impl Into<Arc<str>>, y: impl Into<Arc<str>>) -> Self {
        self.x.title = Some(x.into());
        self.y.title = Some(y.into());
        self
    }

    /// Both plots in one pair of axes, the other one in front. What is written around it is this one's, or the other's
    /// where this one has nothing.
    ///
    /// # Errors
    /// One of them is a heat map, or their axes have different names.
    pub fn over(self, other: Self) -> Result<Self> {
        if [&self, &other].iter().any(|plot| plot.matrix().is_some()) {
            let error = Error::new(Kind::Argument, "a heat map cannot be drawn into one plot with something else");
            return Err(error.with_hint("show them side by side: [first, second]"));
        }
        let joined = Self {
            series: self.series.into_iter().chain(other.series).collect(),
            x: self.x.joined(other.x, "x")?,
            y: self.y.joined(other.y, "y")?,
            title: self.title.or(other.title),
            caption: self.caption.or(other.caption),
            provenance: match (self.provenance, other.provenance) {
                (Some(first), Some(second)) => Some(format!("{first} + {second}").into()),
                (first, second) => first.or(second),
            },
        };
        joined.checked()
    }

    /// The matrix, if the plot is a heat map.
    pub fn matrix(&self) -> Option<&Matrix> {
        self.series.iter().find_map(|series| match &series.data {
            Data::Matrix(matrix) => Some(matrix),
            _ => None,
        })
    }

    /// What a reader could not see by looking: what was left out.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for series in &self.series {
            let missing = |values: &Values| values.iter().filter(|value| value.is_nan()).count();
            let (count, what) = match &series.data {
                Data::Line { y, .. } => {
                    let name = series.label.as_deref().unwrap_or("The line");
                    (missing(y), format!("{name} has gaps where its values are NaN"))
                }
                Data::Matrix(matrix) => (missing(&matrix.values), "Grey cells are NaN".to_owned()),
                _ => continue,
            };
            if count > 0 {
                notes.push(format!("{what} ({count})."));
            }
        }
        notes
    }

    /// What it is called in a sentence and in a file's name: its title, or what its axes measure.
    pub fn name(&self) -> String {
        if let Some(title) = &self.title {
            return title.to_string();
        }
        let first = self.series.first().map(|series| &series.data);
        let kind = first.map_or("plot", Data::name);
        let labels = self.series.iter().find_map(|series| series.label.as_ref());
        let measured = match first {
            // what a histogram counts stands along x
            Some(Data::Histogram { .. }) => self.x.title.as_ref().or(labels),
            Some(Data::Matrix(matrix)) => matrix.label.as_ref(),
            _ => self.y.title.as_ref().or(labels).or(self.x.title.as_ref()),
        };
        measured.map_or_else(|| kind.to_owned(), |what| format!("{kind} of {what}"))
    }
}

impl Data {
    /// What a series of this kind is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Line { .. } => "line",
            Self::Points { .. } => "scatter",
            Self::Bars { .. } => "bars",
            Self::Histogram { .. } => "histogram",
            Self::HorizontalLine(_) | Self::VerticalLine(_) => "rule",
            Self::HorizontalBand(..) | Self::VerticalBand(..) => "band",
            Self::Matrix(_) => "heat map",
        }
    }
}

impl Axis {
    fn joined(self, other: Self, which: &str) -> Result<Self> {
        let names = match (self.names, other.names) {
            (Some(first), Some(second)) if first != second => {
                let message = format!("the plots have different names along {which}, so they share no axis");
                return Err(Error::new(Kind::Argument, message).with_hint("show them side by side: [first, second]"));
            }
            (first, second) => first.or(second),
        };
        Ok(Self {
            title: self.title.or(other.title),
            log: self.log || other.log,
            range: self.range.or(other.range),
            names,
        })
    }
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<&str> = self.series.iter().map(|series| series.data.name()).collect();
        kinds.dedup();
        write!(f, "plot: {}", kinds.join(", "))?;
        let labels: Vec<&str> = self.series.iter().filter_map(|series| series.label.as_deref()).collect();
        if !labels.is_empty() {
            write!(f, " ({})", labels.join(", "))?;
        }
        self.title.as_ref().map_or(Ok(()), |title| write!(f, ": {title}"))
    }
}

inventory::submit! {
    Extension(|engine| {
        engine.register_fn("+", |first: Plot, second: Plot| {
            let raise = |error| Box::new(EvalAltResult::ErrorRuntime(Dynamic::from::<Error>(error), Position::NONE));
            first.over(second).map_err(raise)
        });
    })
}
