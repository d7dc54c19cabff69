//! Arguments that are a number or a tensor.

use candle_core::{Device, Tensor};

use super::TensorValue;
use crate::error::Result;
use crate::lang::{Dynamic, FromValue, IntoValue, Reject};

/// A number or a tensor.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    Number(f64),
    Tensor(TensorValue),
}

impl Operand {
    /// A number as a tensor without dimensions.
    pub(super) fn tensor(&self) -> Result<Tensor> {
        match self {
            Self::Number(number) => Ok(Tensor::new(*number as f32, &Device::Cpu)?),
            Self::Tensor(tensor) => Ok(tensor.inner().clone()),
        }
    }
}

impl FromValue for Operand {
    const EXPECTED: &'static str = "a tensor or a number";
    const TYPES: &'static [&'static str] = &["tensor", "number", "integer"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(tensor) = value.read_lock::<TensorValue>() {
            return Ok(Self::Tensor(tensor.clone()));
        }
        let number = value.as_float().or_else(|_| value.as_int().map(|number| number as f64));
        number.map(Self::Number).map_err(|_| Reject::Type)
    }
}

impl IntoValue for Operand {
    const NAME: &'static str = "tensor or number";
    fn into_value(self) -> Dynamic {
        match self {
            Self::Number(number) => Dynamic::from(number),
            Self::Tensor(tensor) => Dynamic::from(tensor),
        }
    }
}
