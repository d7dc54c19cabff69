//! Which dimensions of a tensor an operation works along.

use super::TensorValue;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Reject};

/// Dimensions as an argument, negative ones counted from the back.
pub(super) struct Dims(Vec<i64>);

impl FromValue for Dims {
    const EXPECTED: &'static str = "an integer or a list of integers";
    const TYPES: &'static [&'static str] = &["integer", "list"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_int() {
            return i64::from_value(value).map(|dim| Self(vec![dim]));
        }
        let dims = Vec::<i64>::from_value(value)?;
        if dims.is_empty() {
            return Err(Reject::Because("is empty".into(), Some("leave it out to reduce all dimensions".into())));
        }
        Ok(Self(dims))
    }
}

/// A dimension counted from the front; negative ones count from the back.
///
/// # Errors
/// The tensor has no such dimension.
pub(super) fn dimension(tensor: &TensorValue, dim: i64, function: &str) -> Result<usize> {
    dimension_at(tensor, dim, function, "dim")
}

/// The same for an argument of another name than `dim`.
pub(super) fn dimension_at(tensor: &TensorValue, dim: i64, function: &str, argument: &str) -> Result<usize> {
    let rank = tensor.inner().rank();
    let found = if dim < 0 { rank as i64 + dim } else { dim };
    usize::try_from(found).ok().filter(|dim| *dim < rank).ok_or_else(|| {
        let message =
            format!("{function}: there is no dimension {dim} in a tensor of shape {:?}", tensor.inner().dims());
        let error = Error::new(Kind::Argument, message).at_argument(argument);
        match rank {
            0 => error.with_hint("it is a single number"),
            _ => error.with_hint(format!("they go from 0 to {}, or from -{rank} to -1", rank - 1)),
        }
    })
}

/// The dimensions to reduce, in ascending order; all of them if none are given.
///
/// # Errors
/// The tensor has no such dimension, or one is given twice.
pub(super) fn dimensions(tensor: &TensorValue, dims: Option<&Dims>, function: &str) -> Result<Vec<usize>> {
    let Some(Dims(dims)) = dims else { return Ok((0..tensor.inner().rank()).collect()) };
    let mut found = dims.iter().map(|dim| dimension(tensor, *dim, function)).collect::<Result<Vec<_>>>()?;
    found.sort_unstable();
    match found.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(found),
        Some(pair) => {
            let message = format!("{function}: the dimension {} is given twice", pair[0]);
            Err(Error::new(Kind::Argument, message).at_argument("dim"))
        }
    }
}
