//! Straight lines and bands, to be added to other plots.

use super::{Data, Legend, Plot};
use crate::error::Result;
use crate::lang::function;

/// A dashed line across a plot, to be added to one.
///
/// ```rhai
/// plot([0.2, 0.5, 0.7, 0.9]) + hline(0.25, label="chance")
/// ```
#[function]
pub fn hline(
    /// Its height.
    at: f64,
    #[options] legend: &Legend,
) -> Result<Plot> {
    Plot::new(Data::HorizontalLine(at))?.named(legend)
}

/// A dashed line up a plot, to be added to one.
///
/// ```rhai
/// plot([0.2, 0.5, 0.7, 0.9]) + vline(2, label="best")
/// ```
#[function]
pub fn vline(
    /// Where it stands.
    at: f64,
    #[options] legend: &Legend,
) -> Result<Plot> {
    Plot::new(Data::VerticalLine(at))?.named(legend)
}

/// A band across a plot, to be added to one.
///
/// ```rhai
/// hband(0.4, 0.6, label="unsure") + plot([0.2, 0.5, 0.7, 0.9])
/// ```
#[function]
pub fn hband(
    /// Its lower end.
    low: f64,
    /// Its upper end.
    high: f64,
    #[options] legend: &Legend,
) -> Result<Plot> {
    Plot::new(Data::HorizontalBand(low, high))?.named(legend)
}

/// A band up a plot, to be added to one.
///
/// ```rhai
/// vband(1, 2, label="warm-up") + plot([0.2, 0.5, 0.7, 0.9])
/// ```
#[function]
pub fn vband(
    /// Its left end.
    low: f64,
    /// Its right end.
    high: f64,
    #[options] legend: &Legend,
) -> Result<Plot> {
    Plot::new(Data::VerticalBand(low, high))?.named(legend)
}
