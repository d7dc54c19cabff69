//! Straight lines and bands, to be added to other plots.

use super::options::Around;
use super::{Data, Names, Plot};
use crate::error::Result;
use crate::lang::define;

/// A dashed line across a plot, to be added to one.
///
/// ```rhai
/// plot([0.2, 0.5, 0.7, 0.9]) + hline(0.25, label="chance")
/// ```
#[define]
fn hline(
    /// Its height.
    at: f64,
    /// What the legend calls it.
    #[default]
    label: Option<Names>,
) -> Result<Plot> {
    Around { label, ..Around::default() }.put(Plot::new(Data::HorizontalLine(at))?)
}

/// A dashed line up a plot, to be added to one.
///
/// ```rhai
/// plot([0.2, 0.5, 0.7, 0.9]) + vline(2, label="best")
/// ```
#[define]
fn vline(
    /// Where it stands.
    at: f64,
    /// What the legend calls it.
    #[default]
    label: Option<Names>,
) -> Result<Plot> {
    Around { label, ..Around::default() }.put(Plot::new(Data::VerticalLine(at))?)
}

/// A band across a plot, to be added to one.
///
/// ```rhai
/// hband(0.4, 0.6, label="unsure") + plot([0.2, 0.5, 0.7, 0.9])
/// ```
#[define]
fn hband(
    /// Its lower end.
    low: f64,
    /// Its upper end.
    high: f64,
    /// What the legend calls it.
    #[default]
    label: Option<Names>,
) -> Result<Plot> {
    Around { label, ..Around::default() }.put(Plot::new(Data::HorizontalBand(low, high))?)
}

/// A band up a plot, to be added to one.
///
/// ```rhai
/// vband(1, 2, label="warm-up") + plot([0.2, 0.5, 0.7, 0.9])
/// ```
#[define]
fn vband(
    /// Its left end.
    low: f64,
    /// Its right end.
    high: f64,
    /// What the legend calls it.
    #[default]
    label: Option<Names>,
) -> Result<Plot> {
    Around { label, ..Around::default() }.put(Plot::new(Data::VerticalBand(low, high))?)
}
