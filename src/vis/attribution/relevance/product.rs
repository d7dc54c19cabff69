//! The rule of products, as in squeeze-and-excitation: half to each factor.

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::model::Operation;

/// Both factors make a product what it is, so each gets half (Achtibat et al., AttnLRP, 2024, arXiv:2402.05602).
pub(super) fn product(at: &Operation<'_>, above: &Tensor) -> Result<Vec<Tensor>> {
    let half = (above * 0.5)?;
    let share = |x: &Tensor| {
        if x.shape() == half.shape() {
            return Ok(half.clone());
        }
        match x.dims() {
            [_, _, 1, 1] => Ok(half.sum_keepdim((2, 3))?),
            dims => Err(Error::new(Kind::Internal, format!("a product of {dims:?} and {:?}", half.dims()))),
        }
    };
    at.inputs.iter().map(share).collect()
}
