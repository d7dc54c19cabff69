//! What can be drawn and what cannot.

use super::{Data, Plot, Series, Values};
use crate::error::{Error, Kind, Result};

/// Numbers beyond this are not drawn: differences between them would overflow.
const LARGEST: f64 = 1e300;
/// The most bars, rows or columns of one plot.
const MOST_PLACES: usize = 100_000;

impl Series {
    /// Refuses what cannot be drawn, at the argument at fault.
    pub(super) fn check(&self) -> Result<()> {
        match &self.data {
            Data::Line { x, y, error } => {
                some("y", y)?;
                same_length("x", x, "y", y)?;
                finite("x", x)?;
                bounded("y", y)?;
                error.as_ref().map_or(Ok(()), |error| reach(error, "y", y))?;
                if y.iter().all(|value| value.is_nan()) {
                    return Err(Error::new(Kind::Argument, "all numbers are NaN").at_argument("y"));
                }
            }
            Data::Points { x, y, colors, sizes, names, .. } => {
                some("y", y)?;
                same_length("x", x, "y", y)?;
                finite("x", x)?;
                finite("y", y)?;
                if let Some(colors) = colors {
                    same_length("colors", colors, "y", y)?;
                    finite("colors", colors)?;
                    colored("colors", colors)?;
                }
                if let Some(sizes) = sizes {
                    if sizes.len() != 1 {
                        same_length("sizes", sizes, "y", y)?;
                    }
                    if let Some(bad) = sizes.iter().find(|size| !(1.0..=200.0).contains(*size)) {
                        let message = format!("a point has a diameter from 1 to 200 pixels, not {bad}");
                        return Err(Error::new(Kind::Argument, message).at_argument("sizes"));
                    }
                }
                if let Some(names) = names {
                    count("labels", names.len(), "point", y.len())?;
                }
            }
            Data::Bars { heights, error } => {
                some("values", heights)?;
                finite("values", heights)?;
                few("values", heights.len(), "bars")?;
                error.as_ref().map_or(Ok(()), |error| reach(error, "values", heights))?;
            }
            Data::Histogram { edges, counts } => {
                some("values", counts)?;
                finite("bins", edges)?;
                finite("values", counts)?;
                if edges.len() != counts.len() + 1 || edges.windows(2).any(|pair| pair[0] >= pair[1]) {
                    let message = "the edges of bins must rise from each to the next";
                    return Err(Error::new(Kind::Argument, message).at_argument("bins"));
                }
            }
            Data::HorizontalLine(at) | Data::VerticalLine(at) => finite("at", &[*at].into())?,
            Data::HorizontalBand(low, high) | Data::VerticalBand(low, high) => {
                finite("low", &[*low].into())?;
                finite("high", &[*high].into())?;
                if low >= high {
                    let message = format!("a band reaches from a lower to a higher number, not from {low} to {high}");
                    return Err(Error::new(Kind::Argument, message).at_argument("high"));
                }
            }
            Data::Matrix(matrix) => {
                some("values", &matrix.values)?;
                bounded("values", &matrix.values)?;
                colored("values", &matrix.values)?;
                few("values", matrix.rows, "rows")?;
                few("values", matrix.columns, "columns")?;
                if matrix.rows.checked_mul(matrix.columns) != Some(matrix.values.len()) {
                    let message = format!(
                        "{} numbers do not make {} rows of {}",
                        matrix.values.len(),
                        matrix.rows,
                        matrix.columns
                    );
                    return Err(Error::new(Kind::Argument, message).at_argument("values"));
                }
                if matrix.values.iter().all(|value| value.is_nan()) {
                    return Err(Error::new(Kind::Argument, "all numbers are NaN").at_argument("values"));
                }
                if let Some(names) = &matrix.row_names {
                    count("row_labels", names.len(), "row", matrix.rows)?;
                }
                if let Some(names) = &matrix.column_names {
                    count("column_labels", names.len(), "column", matrix.columns)?;
                }
            }
        }
        Ok(())
    }

    /// The numbers along x, as far as a logarithm must exist for them, and those along y.
    fn numbers(&self) -> [Vec<f64>; 2] {
        match &self.data {
            Data::Line { x, y, .. } | Data::Points { x, y, .. } => [x.to_vec(), y.to_vec()],
            Data::Bars { heights, .. } => [vec![], heights.to_vec()],
            // an empty bin is no bar
            Data::Histogram { edges, .. } => [edges.to_vec(), vec![]],
            Data::HorizontalLine(at) => [vec![], vec![*at]],
            Data::VerticalLine(at) => [vec![*at], vec![]],
            Data::HorizontalBand(low, high) => [vec![], vec![*low, *high]],
            Data::VerticalBand(low, high) => [vec![*low, *high], vec![]],
            Data::Matrix(_) => [vec![], vec![]],
        }
    }
}

impl Plot {
    /// The plot, if its axes suit its numbers.
    pub(super) fn checked(self) -> Result<Self> {
        for (which, axis) in [("x", &self.x), ("y", &self.y)] {
            if !axis.log {
                continue;
            }
            if axis.names.is_some() {
                let message = format!("`{which}` has names, of which there is no logarithm");
                return Err(Error::new(Kind::Argument, message).at_argument("log"));
            }
            let values: Vec<f64> = self
                .series
                .iter()
                .flat_map(|series| {
                    let [x, y] = series.numbers();
                    if which == "x" { x } else { y }
                })
                .chain(axis.range.into_iter().flat_map(|(low, high)| [low, high]))
                .collect();
            let bad = values.iter().filter(|value| **value <= 0.0).count();
            if bad > 0 {
                let least = values.iter().copied().fold(f64::INFINITY, f64::min);
                let message = format!(
                    "a logarithmic axis has no place for numbers that are not positive: {bad} of {} along {which}, the \
                     least is {least}",
                    values.len()
                );
                return Err(Error::new(Kind::Argument, message).at_argument("log"));
            }
        }
        Ok(self)
    }
}

fn some(argument: &str, values: &Values) -> Result<()> {
    if values.is_empty() {
        return Err(Error::new(Kind::Argument, format!("`{argument}` has no numbers")).at_argument(argument));
    }
    Ok(())
}

fn same_length(argument: &str, values: &Values, other: &str, others: &Values) -> Result<()> {
    if values.len() != others.len() {
        let message = format!(
            "`{argument}` has {}, `{other}` has {}: each point needs one of both",
            numbers(values.len()),
            numbers(others.len())
        );
        return Err(Error::new(Kind::Argument, message).at_argument(argument));
    }
    Ok(())
}

fn numbers(count: usize) -> String {
    format!("{count} number{}", if count == 1 { "" } else { "s" })
}

/// Refuses names that are not as many as what they name.
pub(super) fn count(argument: &str, found: usize, what: &str, wanted: usize) -> Result<()> {
    if found != wanted {
        let plural = if wanted == 1 { "" } else { "s" };
        let names = if found == 1 { "name" } else { "names" };
        let message = format!("`{argument}` has {found} {names} for {wanted} {what}{plural}");
        return Err(Error::new(Kind::Argument, message).at_argument(argument));
    }
    Ok(())
}

fn few(argument: &str, found: usize, what: &str) -> Result<()> {
    if found > MOST_PLACES {
        let message = format!("{found} {what} are too many to draw");
        let error = Error::new(Kind::Argument, message).at_argument(argument);
        return Err(error.with_hint(format!("draw at most {MOST_PLACES}, or a line or a histogram")));
    }
    Ok(())
}

/// Refuses infinite numbers; NaN passes.
fn bounded(argument: &str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| value.is_infinite() || value.abs() > LARGEST) {
        Some(index) => {
            let message = format!("`{argument}` holds {} at [{index}], which has no place in a plot", values[index]);
            Err(Error::new(Kind::Argument, message).at_argument(argument))
        }
        None => Ok(()),
    }
}

/// Refuses numbers that are too large for a scale of colours.
fn colored(argument: &str, values: &[f64]) -> Result<()> {
    match values.iter().position(|value| value.abs() > f64::from(f32::MAX)) {
        Some(index) => {
            let message =
                format!("`{argument}` holds {} at [{index}], which is too large to be a colour", values[index]);
            Err(Error::new(Kind::Argument, message).at_argument(argument))
        }
        None => Ok(()),
    }
}

fn finite(argument: &str, values: &Values) -> Result<()> {
    bounded(argument, values)?;
    match values.iter().position(|value| value.is_nan()) {
        Some(index) => {
            let message = format!("`{argument}` holds NaN at [{index}], which has no place in a plot");
            Err(Error::new(Kind::Argument, message).at_argument(argument))
        }
        None => Ok(()),
    }
}

/// Errors reach a positive way, or are NaN where the value is.
fn reach(error: &Values, other: &str, values: &Values) -> Result<()> {
    same_length("error", error, other, values)?;
    bounded("error", error)?;
    let bad =
        error.iter().zip(values.iter()).position(|(error, value)| *error < 0.0 || error.is_nan() && !value.is_nan());
    match bad {
        Some(index) => {
            let message = format!("`error` must not be negative or NaN, but is {} at [{index}]", error[index]);
            Err(Error::new(Kind::Argument, message).at_argument("error"))
        }
        None => Ok(()),
    }
}
