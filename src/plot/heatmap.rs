//! Matrices of numbers as colours.

use super::{Data, Limits, Matrix, Plot, Titles};
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject, function};
use crate::tensor::TensorValue;

/// A tensor of two dimensions, or a list of lists.
#[derive(Clone, Debug)]
pub struct Rows {
    /// Its numbers, row by row.
    pub values: Vec<f64>,
    /// How many rows it has.
    pub rows: usize,
    /// How many columns.
    pub columns: usize,
}

impl FromValue for Rows {
    const EXPECTED: &'static str = "a tensor of two dimensions or a list of rows";
    const TYPES: &'static [&'static str] = &["tensor", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(tensor) = value.read_lock::<TensorValue>() {
            let &[rows, columns] = tensor.inner().dims() else {
                let why = format!("must have two dimensions; its shape is {:?}", tensor.inner().dims());
                return Err(Reject::Because(why, Some("reshape it, or take a part: t[0]".into())));
            };
            let values = tensor.values().map_err(|error| Reject::Because(error.to_string(), None))?;
            return Ok(Self { values: values.into_iter().map(f64::from).collect(), rows, columns });
        }
        let lists = Vec::<super::Numbers>::from_value(value)?;
        let columns = lists.first().map_or(0, |super::Numbers(row)| row.len());
        if let Some(index) = lists.iter().position(|super::Numbers(row)| row.len() != columns) {
            let found = lists.get(index).map_or(0, |super::Numbers(row)| row.len());
            let why = format!("must have rows of one length: row 0 has {columns} numbers, row {index} has {found}");
            return Err(Reject::Because(why, None));
        }
        let rows = lists.len();
        Ok(Self { values: lists.iter().flat_map(|super::Numbers(row)| row.iter().copied()).collect(), rows, columns })
    }
}

/// Plots a matrix as colours, its first row at the top, with a colour bar beside it.
///
/// If not told otherwise by `colors`, numbers of both signs are red above zero and blue below it, others go from dark to
/// bright.
///
/// ```rhai
/// heatmap([[1, 0.2], [0.2, 1]], row_labels=["conv1", "conv2"], column_labels=["conv1", "conv2"], label="similarity")
/// ```
#[function]
pub fn heatmap(
    /// The matrix: a tensor of two dimensions, or a list of rows. NaN is left blank.
    values: Rows,
    /// A name for each row.
    #[default]
    row_labels: Option<Vec<String>>,
    /// A name for each column.
    #[default]
    column_labels: Option<Vec<String>>,
    /// What the numbers are, below the colour bar.
    #[default]
    label: Option<String>,
    /// The colours; chosen by the signs of the numbers if not given.
    #[default]
    colors: Option<Colors>,
    /// The numbers that get the ends of the colours, [low, high].
    #[default]
    range: Option<Limits>,
    /// Whether each number is written into its cell, if there is room.
    #[default(false)]
    numbers: bool,
    #[options] titles: &Titles,
) -> Result<Plot> {
    if values.values.is_empty() {
        return Err(Error::new(Kind::Argument, "`values` has no numbers").at_argument("values"));
    }
    let matrix = Matrix {
        values: values.values.into(),
        rows: values.rows,
        columns: values.columns,
        row_names: row_labels.map(Into::into),
        column_names: column_labels.map(Into::into),
        colormap: colors.map(|Colors(name)| name.into()),
        range: range.map(|Limits(low, high)| (low, high)),
        label: label.map(Into::into),
        numbers,
    };
    Ok(Plot::new(Data::Matrix(matrix))?.titled(titles))
}

/// The name of a colour map.
#[derive(Clone, Debug)]
pub struct Colors(String);

impl FromValue for Colors {
    const EXPECTED: &'static str = "the name of a colour map";
    const TYPES: &'static [&'static str] = &["string"];
    const CHOICES: &'static [&'static str] = &["viridis", "magma", "inferno", "grey", "diverging"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let name = String::from_value(value)?;
        if Self::CHOICES.contains(&name.as_str()) {
            return Ok(Self(name));
        }
        let hint = crate::error::did_you_mean(&name, Self::CHOICES.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("there are {}", Self::CHOICES.join(", ")));
        Err(Reject::Because(format!("names no colour map: {name:?}"), Some(hint)))
    }
}
