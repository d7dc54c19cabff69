//! Parameters from safetensors files.

use ::safetensors::{Dtype, SafeTensors};
use candle_core::{Device, Tensor};

use super::floats::{ByteOrder, Format};
use super::not_floats;
use crate::error::{Error, Kind, Result};

/// The largest header that is read, in bytes: enough for 15,000 parameters. A header may become 25 times
/// its size in memory.
const MAX_HEADER: u64 = 2 << 20;

/// The parameters in a file, without whole numbers that stand alone.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    if let Some((length, _)) = bytes.split_first_chunk()
        && u64::from_le_bytes(*length) > MAX_HEADER
    {
        let length = u64::from_le_bytes(*length);
        return Err(unsound(format!("its header claims {length} bytes, at most {MAX_HEADER} are read")));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| unsound(error.to_string()))?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        match format(view.dtype()) {
            Some(format) => {
                let values = format.decode(view.data(), ByteOrder::Little);
                tensors.push((name.to_owned(), Tensor::from_vec(values, view.shape(), &Device::Cpu)?));
            }
            // such as a batch-norm's `num_batches_tracked`
            None if view.shape().is_empty() => {}
            None => return Err(not_floats(name, &format!("{:?}", view.dtype()))),
        }
    }
    Ok(tensors)
}

fn format(dtype: Dtype) -> Option<Format> {
    match dtype {
        Dtype::F64 => Some(Format::F64),
        Dtype::F32 => Some(Format::F32),
        Dtype::F16 => Some(Format::F16),
        Dtype::BF16 => Some(Format::Bf16),
        _ => None,
    }
}

fn unsound(why: String) -> Error {
    Error::new(Kind::File, format!("not a sound safetensors file: {why}"))
}
