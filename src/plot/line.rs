//! Lines.

use super::{Data, Legend, Numbers, NumbersOrNames, OneOrMore, Plot, Scales, Titles, Values};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// Plots numbers against 0, 1, 2, … as a line, or a list of several as several lines.
///
/// NaN leaves a gap in the line. `label` puts a line into the legend; `+` draws two plots into the same axes;
/// `.save("loss.svg")` writes a plot to a file.
///
/// ```rhai
/// let loss = [2.3, 1.1, 0.62, 0.41, 0.33];
/// plot(loss, label="training", title="Loss", x_label="epoch", log="y") + plot([2.4, 1.3, 0.9, 0.8, 0.8], label="test")
/// ```
#[function]
pub fn plot(
    /// The heights: a list of numbers, a tensor of one dimension, or a list of these, one for each line.
    y: OneOrMore,
    /// How far a band around the line reaches above and below each number, such as its standard error.
    #[default]
    error: Option<Numbers>,
    #[options] legend: &Legend,
    #[options] titles: &Titles,
    #[options] scales: &Scales,
) -> Result<Plot> {
    let OneOrMore(lines) = y;
    let lines = lines.into_iter().map(|y| ((0..y.len()).map(|index| index as f64).collect(), y)).collect();
    draw(lines, error)?.named(legend)?.titled(titles).scaled(scales)
}

/// Plots `y` against `x` as a line, or a list of several `y` as several lines.
///
/// ```rhai
/// let x = tensor([1, 10, 100, 1000]);
/// plot(x, [x * 2, x * x], label=["2x", "x²"], log="xy", x_label="x")
/// ```
#[function(name = "plot")]
pub fn plot_xy(
    /// Where the points are: a list of numbers, a tensor of one dimension, or a list of names.
    x: NumbersOrNames,
    /// Their heights: a list of numbers, a tensor of one dimension, or a list of these, one for each line.
    y: OneOrMore,
    /// How far a band around the line reaches above and below each number, such as its standard error.
    #[default]
    error: Option<Numbers>,
    #[options] legend: &Legend,
    #[options] titles: &Titles,
    #[options] scales: &Scales,
) -> Result<Plot> {
    let OneOrMore(lines) = y;
    let (x, names) = match x {
        NumbersOrNames::Numbers(x) => (x, None),
        NumbersOrNames::Names(names) => ((0..names.len()).map(|index| index as f64).collect(), Some(names)),
    };
    let mut plot = draw(lines.into_iter().map(|y| (Values::clone(&x), y)).collect(), error)?;
    plot.x.names = names;
    plot.named(legend)?.titled(titles).scaled(scales)
}

fn draw(lines: Vec<(Values, Values)>, error: Option<Numbers>) -> Result<Plot> {
    if error.is_some() && lines.len() != 1 {
        let message = format!("`error` is that of one line, but there are {}", lines.len());
        let hint = "add plots of one line each: plot(a, error=e) + plot(b, error=f)";
        return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("error"));
    }
    let error = error.map(|Numbers(error)| error);
    let mut plot = Plot::default();
    for (x, y) in lines {
        plot.series.extend(Plot::new(Data::Line { x, y, error: error.clone() })?.series);
    }
    if plot.series.is_empty() {
        return Err(Error::new(Kind::Argument, "`y` has no numbers").at_argument("y"));
    }
    Ok(plot)
}
