//! The tensor of the language: a cheap handle on a candle tensor.

use std::fmt;

use candle_core::{DType, Device, Tensor};

use super::display;
use crate::error::{Error, Kind, Result};
use crate::lang::value_type;

/// A tensor of 32-bit floats on the CPU. Copying it copies no data.
#[derive(Clone, Debug)]
pub struct TensorValue {
    tensor: Tensor,
    /// Is it the result of a comparison? Then it picks, as an index, the places where it is not 0.
    is_mask: bool,
}

value_type!(
    TensorValue,
    "tensor",
    "a tensor",
    "Numbers in any number of dimensions; operations on it can be differentiated."
);

impl TensorValue {
    /// A tensor of numbers in row-major order.
    ///
    /// # Errors
    /// The number of values is not the product of the shape.
    pub fn from_values(values: Vec<f32>, shape: &[usize]) -> Result<Self> {
        let expected: usize = shape.iter().product();
        if values.len() != expected {
            let message = format!("{} numbers do not make a tensor of shape {shape:?}", values.len());
            return Err(Error::new(Kind::Tensor, message).with_hint(format!("it has {expected}")));
        }
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.into())
    }

    /// The candle tensor.
    pub fn inner(&self) -> &Tensor {
        &self.tensor
    }

    /// A tensor of 0 and 1 that says where something holds.
    pub(super) fn mask(tensor: Tensor) -> Self {
        Self { is_mask: true, ..tensor.into() }
    }

    /// Does the tensor say where something holds?
    pub(super) fn is_mask(&self) -> bool {
        self.is_mask
    }

    /// Another tensor made of the same numbers: a mask if this one is.
    pub(super) fn with(&self, tensor: Tensor) -> Self {
        Self { is_mask: self.is_mask, ..tensor.into() }
    }

    /// The numbers in row-major order.
    ///
    /// # Errors
    /// The tensor cannot be read.
    pub fn values(&self) -> Result<Vec<f32>> {
        Ok(self.tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// The only number of a tensor that has one.
    ///
    /// # Errors
    /// It has more, or none.
    pub fn number(&self) -> Result<f64> {
        match self.values()?.as_slice() {
            [number] => Ok(f64::from(*number)),
            values => {
                let message = format!("a tensor of shape {:?} is not a number", self.tensor.dims());
                Err(Error::new(Kind::Tensor, message)
                    .with_hint(format!("it has {}: reduce it, for example with .mean()", values.len())))
            }
        }
    }
}

impl From<Tensor> for TensorValue {
    fn from(tensor: Tensor) -> Self {
        // the language has one number type for tensors; conversion only fails for unsupported types
        Self { tensor: tensor.to_dtype(DType::F32).unwrap_or(tensor), is_mask: false }
    }
}

impl fmt::Display for TensorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values().map_err(|_| fmt::Error)?;
        f.write_str(&display::text(&values, self.tensor.dims(), self.is_mask))
    }
}
