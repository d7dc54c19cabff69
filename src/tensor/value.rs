//! The tensor of the language: a cheap handle on a candle tensor.

use std::fmt;

use candle_core::{DType, Device, Tensor};

use crate::error::{Error, Kind, Result};
use crate::lang::value_type;

/// A tensor of 32-bit floats on the CPU. Copying it copies no data; nothing changes it.
#[derive(Clone, Debug)]
pub struct TensorValue(Tensor);

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
        Ok(Self(Tensor::from_vec(values, shape, &Device::Cpu)?))
    }

    /// The candle tensor.
    pub fn inner(&self) -> &Tensor {
        &self.0
    }

    /// The numbers in row-major order.
    ///
    /// # Errors
    /// The tensor cannot be read.
    pub fn values(&self) -> Result<Vec<f32>> {
        Ok(self.0.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// The only number of a tensor that has one.
    ///
    /// # Errors
    /// It has more, or none.
    pub fn number(&self) -> Result<f64> {
        match self.values()?.as_slice() {
            [number] => Ok(f64::from(*number)),
            values => {
                let message = format!("a tensor of shape {:?} is not a number", self.0.dims());
                Err(Error::new(Kind::Tensor, message)
                    .with_hint(format!("it has {}: reduce it, for example with .mean()", values.len())))
            }
        }
    }
}

impl From<Tensor> for TensorValue {
    fn from(tensor: Tensor) -> Self {
        // the language has one number type for tensors; conversion only fails for unsupported types
        Self(tensor.to_dtype(DType::F32).unwrap_or(tensor))
    }
}

/// How many numbers of a row, and how many rows, are shown.
const SHOWN: usize = 6;

impl fmt::Display for TensorValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values().map_err(|_| fmt::Error)?;
        if self.0.rank() == 0 {
            return write!(f, "{}", values.first().copied().unwrap_or_default());
        }
        let low = values.iter().copied().fold(f32::INFINITY, f32::min);
        let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64;
        write!(f, "tensor {:?} {}", self.0.dims(), self.0.dtype().as_str())?;
        if values.is_empty() {
            return Ok(());
        }
        write!(f, "  min {low:.4}  mean {mean:.4}  max {high:.4}")?;
        let width = self.0.dims().last().copied().unwrap_or(1);
        let rows = values.chunks(width.max(1));
        let more = rows.len() > SHOWN;
        for row in rows.take(SHOWN) {
            let cells: Vec<String> = row.iter().take(SHOWN).map(|value| format!("{value:>9.4}")).collect();
            write!(f, "\n {}{}", cells.join(" "), if row.len() > SHOWN { " …" } else { "" })?;
        }
        if more { write!(f, "\n         …") } else { Ok(()) }
    }
}
