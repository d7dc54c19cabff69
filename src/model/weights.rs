//! Named parameters, read from safetensors files that may be damaged or hostile.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::Graph;
use crate::error::{Error, Kind, Result};

/// The parameters of a network by name, all float32.
#[derive(Debug)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    hash: OnceLock<String>,
}

impl Weights {
    /// Parameters that are already tensors; they become float32.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<Self> {
        let float = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_dtype(DType::F32)?.contiguous()?));
        Ok(Self { tensors: tensors.into_iter().map(float).collect::<Result<_>>()?, hash: OnceLock::new() })
    }

    /// Reads a safetensors file: float32 values are copied once, other float types are widened or narrowed.
    ///
    /// Nothing is allocated beyond the size of the file, whatever its header says.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| Error::new(Kind::File, format!("not a sound safetensors file: {error}")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let values = floats(view.dtype(), view.data()).ok_or_else(|| {
                let message = format!("parameter `{name}` has type {:?}, but weights are floats", view.dtype());
                Error::new(Kind::File, message)
            })?;
            tensors.insert(name.to_owned(), Tensor::from_vec(values, view.shape(), &Device::Cpu)?);
        }
        Ok(Self { tensors, hash: OnceLock::new() })
    }

    /// Checks that these are exactly the parameters `graph` reads: every missing, extra or misshapen one is
    /// named, with both shapes, and every one that holds NaN.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        let expected: BTreeMap<String, Vec<usize>> =
            graph.parameters().into_iter().map(|parameter| (parameter.name, parameter.shape)).collect();
        let mut faults = Vec::new();
        for (name, shape) in &expected {
            match self.tensors.get(name) {
                None => faults.push(format!("`{name}` {shape:?} is missing")),
                Some(found) if found.dims() != shape => {
                    faults.push(format!("`{name}` has shape {:?} where the network needs {shape:?}", found.dims()));
                }
                Some(found) => {
                    if let Err(error) = crate::tensor::check_finite(found, &format!("`{name}`")) {
                        faults.push(error.message().to_owned());
                    }
                }
            }
        }
        let extra = self.tensors.iter().filter(|(name, _)| !expected.contains_key(*name));
        faults.extend(extra.map(|(name, found)| format!("the network has no `{name}` {:?}", found.dims())));
        if faults.is_empty() {
            return Ok(());
        }
        Err(Error::new(Kind::File, format!("the weights do not fit the network: {}", faults.join("; "))))
    }

    /// One parameter.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.tensors.get(name).ok_or_else(|| Error::new(Kind::Internal, format!("there is no parameter `{name}`")))
    }

    /// All parameters in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// How many numbers all parameters hold.
    pub fn count(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// Sixteen hexadecimal digits that stand for names, shapes and values (64-bit FNV-1a over words): the same
    /// on every machine and in every version. It tells weights apart; it doesn't withstand forgery.
    pub fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let mut state = 0xcbf2_9ce4_8422_2325_u64;
            let mut add = |word: u64| state = (state ^ word).wrapping_mul(0x0100_0000_01b3);
            for (name, tensor) in &self.tensors {
                name.bytes().for_each(|byte| add(byte.into()));
                tensor.dims().iter().for_each(|size| add(*size as u64));
                let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).unwrap_or_default();
                values.iter().for_each(|value| add(value.to_bits().into()));
            }
            format!("{state:016x}")
        })
    }
}

/// Little-endian floats as float32; none for a type that isn't a float.
fn floats(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    fn each<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        data.as_chunks::<N>().0.iter().map(|bytes| read(*bytes)).collect()
    }
    Some(match dtype {
        Dtype::F32 => each(data, f32::from_le_bytes),
        Dtype::F64 => each(data, |bytes| f64::from_le_bytes(bytes) as f32),
        // bfloat16 is the upper half of a float32
        Dtype::BF16 => each(data, |[low, high]| f32::from_le_bytes([0, 0, low, high])),
        Dtype::F16 => each(data, |bytes| half_to_f32(u16::from_le_bytes(bytes))),
        _ => return None,
    })
}

/// IEEE 754 half precision: one sign bit, five of exponent, ten of mantissa.
fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => mantissa * 2f32.powi(-24),
        0x1f if mantissa == 0.0 => f32::INFINITY,
        0x1f => f32::NAN,
        _ => (1024.0 + mantissa) * 2f32.powi(exponent - 25),
    }
}
