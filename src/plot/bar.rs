//! Bars.

use super::check::count;
use super::{Data, Legend, Numbers, OneOrMore, Plot, Scales, Titles};
use crate::error::{Error, Kind, Result};
use crate::lang::function;

/// Plots a bar for each number, or for a list of several one group of bars at each place.
///
/// ```rhai
/// bar([0.81, 0.62, 0.4], labels=["koala", "wombat", "kangaroo"], y_label="accuracy", y_range=[0, 1])
/// ```
#[function]
pub fn bar(
    /// The heights: a list of numbers, a tensor of one dimension, or a list of these, one for each colour of bars.
    values: OneOrMore,
    /// A name for each place, below it; 0, 1, 2, … if not given.
    #[default]
    labels: Option<Vec<String>>,
    /// How far the mark of an error reaches above and below the end of each bar.
    #[default]
    error: Option<Numbers>,
    #[options] legend: &Legend,
    #[options] titles: &Titles,
    #[options] scales: &Scales,
) -> Result<Plot> {
    let OneOrMore(groups) = values;
    if error.is_some() && groups.len() != 1 {
        let message = format!("`error` is that of one colour of bars, but there are {}", groups.len());
        let hint = "add plots of one colour each: bar(a, error=e) + bar(b, error=f)";
        return Err(Error::new(Kind::Argument, message).with_hint(hint).at_argument("error"));
    }
    let mut plot = Plot::default();
    let places = groups.first().map_or(0, |heights| heights.len());
    for heights in groups {
        if heights.len() != places {
            let message = format!("`values` has groups of {places} and of {} bars", heights.len());
            return Err(Error::new(Kind::Argument, message).at_argument("values"));
        }
        let error = error.clone().map(|Numbers(error)| error);
        plot.series.extend(Plot::new(Data::Bars { heights, error })?.series);
    }
    if let Some(labels) = labels {
        count("labels", labels.len(), "bar", places)?;
        plot.x.names = Some(labels.into());
    }
    if scales.log.is_some_and(|log| log.x) {
        let error = Error::new(Kind::Argument, "bars stand at 0, 1, 2, …, so their horizontal axis is not logarithmic");
        return Err(error.at_argument("log"));
    }
    plot.named(legend)?.titled(titles).scaled(scales)
}
