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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use safetensors::tensor::TensorView;

    use super::*;
    use crate::model::{Builder, Conv2d, Op};
    use crate::tensor::Conv2dParams;

    const EMBEDDED: &[u8] = include_bytes!("../../assets/squeezenet1_1.safetensors");

    fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
        let views =
            tensors.iter().map(|(n, dtype, shape, data)| (*n, TensorView::new(*dtype, shape.to_vec(), data).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn one_convolution() -> Graph {
        let (mut builder, x) = Builder::new(1);
        let params = Conv2dParams::default();
        let (weight, bias) = ("c.weight".to_owned(), Some("c.bias".to_owned()));
        let op = Op::Conv2d(Conv2d { in_channels: 1, out_channels: 2, kernel: [1, 1], params, weight, bias });
        builder.add("c", &[], op, &[x]);
        builder.finish().unwrap()
    }

    #[test]
    fn every_float_type_is_read() {
        let f16 = [0x00u8, 0x3c, 0x00, 0xc1, 0x01, 0x00]; // 1, -2.5, the smallest subnormal
        let bf16 = [0x80u8, 0x3f, 0x20, 0xc0]; // 1, -2.5
        let f64s: Vec<u8> = [1f64, -2.5].iter().flat_map(|v| v.to_le_bytes()).collect();
        let bytes =
            file(&[("a", Dtype::F16, &[3], &f16), ("b", Dtype::BF16, &[2], &bf16), ("c", Dtype::F64, &[1, 2], &f64s)]);
        let weights = Weights::from_safetensors(&bytes).unwrap();
        assert_eq!(weights.get("a").unwrap().to_vec1::<f32>().unwrap(), [1.0, -2.5, 5.960_464_5e-8]);
        assert_eq!(weights.get("b").unwrap().to_vec1::<f32>().unwrap(), [1.0, -2.5]);
        assert_eq!(weights.get("c").unwrap().to_vec2::<f32>().unwrap(), [[1.0, -2.5]]);
        let error = Weights::from_safetensors(&file(&[("n", Dtype::I32, &[1], &[0; 4])])).unwrap_err();
        assert!(error.to_string().contains("`n`") && error.to_string().contains("I32"), "{error}");
    }

    #[test]
    fn each_fault_is_named_with_both_shapes() {
        let nan: Vec<u8> = [f32::NAN, 1.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let check = |bytes: &[u8]| Weights::from_safetensors(bytes).unwrap().check(&one_convolution()).unwrap_err();
        let error =
            check(&file(&[("c.weight", Dtype::F32, &[1, 2, 1], &[0; 8]), ("extra", Dtype::F32, &[1], &[0; 4])]));
        assert_eq!(error.kind(), Kind::File);
        assert_eq!(
            error.message(),
            "the weights do not fit the network: `c.bias` [2] is missing; `c.weight` has shape [1, 2, 1] where the \
             network needs [2, 1, 1, 1]; the network has no `extra` [1]"
        );
        let error =
            check(&file(&[("c.weight", Dtype::F32, &[2, 1, 1, 1], &nan), ("c.bias", Dtype::F32, &[2], &[0; 8])]));
        assert!(error.message().contains("1 of the 2 values of `c.weight` are NaN"), "{error}");
    }

    #[test]
    fn damaged_and_hostile_files_are_refused() {
        for length in [0, 1, 7, 8, 9, 100, 5000, EMBEDDED.len() - 1] {
            let error = Weights::from_safetensors(&EMBEDDED[..length]).unwrap_err();
            assert_eq!(error.kind(), Kind::File, "{error}");
        }
        let with_header = |header: &str| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.bytes());
            Weights::from_safetensors(&bytes).map(|weights| weights.count())
        };
        let huge = u64::MAX.to_le_bytes();
        assert!(Weights::from_safetensors(&huge).is_err());
        assert!(with_header("{").is_err());
        let overflow = format!(r#"{{"w":{{"dtype":"F32","shape":[{0},{0}],"data_offsets":[0,4]}}}}"#, u64::MAX / 2);
        assert!(with_header(&overflow).is_err());
        assert!(
            with_header(r#"{"w":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#).is_err()
        );
        assert!(with_header(r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#).is_err());
    }

    #[test]
    fn a_thousand_mutations_do_no_harm() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let small = file(&[("c.weight", Dtype::F32, &[2, 1, 1, 1], &[0; 8]), ("c.bias", Dtype::F32, &[2], &[0; 8])]);
        for _ in 0..1000 {
            let mut bytes = small.clone();
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            bytes.truncate(rng.random_range(bytes.len() / 2..=bytes.len()));
            if let Ok(weights) = Weights::from_safetensors(&bytes) {
                let _ = weights.check(&one_convolution());
            }
        }
    }

    #[test]
    fn the_hash_is_the_same_in_every_version() {
        let weights = Weights::from_safetensors(EMBEDDED).unwrap();
        assert_eq!(weights.hash(), "1ddbf1bb6ab7f4f3");
        assert_eq!(weights.count(), 1_235_496);
        let other = Weights::new(weights.iter().map(|(name, t)| (name.to_owned(), (t * 2.0).unwrap()))).unwrap();
        assert_ne!(other.hash(), weights.hash());
    }
}
