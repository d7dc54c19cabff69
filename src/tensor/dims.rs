//! Which dimensions of a tensor an operation works along.

use super::TensorValue;
use crate::error::{Error, Kind, Result};
use crate::lang::{Dynamic, FromValue, Options, Reject};

/// What a reduction works along.
#[derive(Options)]
pub(super) struct Reduction {
    /// The dimension to reduce, or a list of them; -1 is the last. Without it, all.
    #[default]
    pub dim: Option<Dims>,
    /// Whether reduced dimensions stay, with size 1.
    #[default(false)]
    pub keepdim: bool,
}

impl Reduction {
    /// The dimensions to reduce, in ascending order.
    ///
    /// # Errors
    /// The tensor has no such dimension, or one is given twice.
    pub fn dims(&self, tensor: &TensorValue, function: &str) -> Result<Vec<usize>> {
        let Some(Dims(dims)) = &self.dim else { return Ok((0..tensor.inner().rank()).collect()) };
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

    /// The same, for what needs at least one number.
    ///
    /// # Errors
    /// Also if there is nothing along one of the dimensions.
    pub fn dims_with_numbers(&self, tensor: &TensorValue, function: &str) -> Result<Vec<usize>> {
        let dims = self.dims(tensor, function)?;
        if dims.iter().any(|dim| tensor.inner().dims()[*dim] == 0) {
            let message = format!("{function}: a tensor of shape {:?} has no numbers to reduce", tensor.inner().dims());
            return Err(Error::new(Kind::Tensor, message).at_argument("tensor"));
        }
        Ok(dims)
    }
}

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
