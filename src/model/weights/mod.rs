//! Named parameters, read from files that may be damaged or hostile, made at random, or fetched.

#[cfg(feature = "hub")]
mod download;
mod floats;
mod hub;
mod pickle;
mod pth;
mod published;
mod random;
mod safetensors;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::OnceLock;

use candle_core::{DType, Tensor};

use super::Graph;
use crate::error::{Error, Kind, Result, missing_file};
use crate::hash::Fnv;

/// What helps with nearly every file that cannot be read.
const SAVE_AGAIN: &str =
    "in PyTorch, load it if you trust it and save its parameters: torch.save(model.state_dict(), \"weights.pth\")";

/// Is told how many bytes have come of how many; an error stops the download. It is called about twenty times a
/// second, also while nothing comes.
pub type Step<'a> = &'a mut dyn FnMut(u64, u64) -> Result<()>;

/// How many faults one error lists.
const FAULTS: usize = 8;

/// What wrappers around a network put before every name: `nn.DataParallel` and `torch.compile`.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// The parameters of a network by name, all float32.
#[derive(Debug)]
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    tracked: bool,
    hash: OnceLock<String>,
}

impl Weights {
    /// Parameters that are already tensors; they become float32.
    ///
    /// Those on candle's tape stay on it and get gradients. A [`Var`](candle_core::Var) of contiguous float32 values
    /// is kept as it is: gradients are found under the variable itself, and what it is set to later counts. One of
    /// another type or layout is copied now, so setting it later changes nothing here.
    pub fn new(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<Self> {
        // both steps return a tensor that needs no change as it is, its place on the tape included
        let float = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_dtype(DType::F32)?.contiguous()?));
        Ok(Self::from_floats(tensors.into_iter().map(float).collect::<Result<_>>()?))
    }

    fn from_floats(tensors: BTreeMap<String, Tensor>) -> Self {
        let tracked = tensors.values().any(Tensor::track_op);
        Self { tensors, tracked, hash: OnceLock::new() }
    }

    /// These and more, which share memory with them.
    pub(super) fn with(&self, more: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        Self::from_floats(self.tensors.clone().into_iter().chain(more).collect())
    }

    /// Reads a file, safetensors or PyTorch's, told by its content; see [`Weights::from_bytes`].
    pub fn from_file(path: &Path) -> Result<Self> {
        let unreadable = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => missing_file(path),
            ErrorKind::PermissionDenied => {
                Error::new(Kind::File, format!("`{}` may not be read: permission denied", path.display()))
            }
            _ => Error::new(Kind::File, format!("`{}` cannot be read: {error}", path.display())),
        };
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(Error::new(Kind::File, format!("`{}` is a folder, not a weights file", path.display())));
        }
        let bytes = fs::read(path).map_err(unreadable)?;
        Self::from_bytes(&bytes).map_err(|error| error.context(format!("`{}`", path.display())))
    }

    /// Reads a safetensors file, or what `torch.save` wrote of a state dict, told by the content.
    ///
    /// Nothing in the file is executed, and nothing is allocated beyond what its tensors take as float32, whatever
    /// it claims. Every float type becomes float32; integers that stand alone (`num_batches_tracked`) are left out.
    /// What `nn.DataParallel` and `torch.compile` put before all names is taken off.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let tensors = if pth::recognises(bytes) {
            pth::read(bytes)?
        } else if bytes.get(8) == Some(&b'{') {
            safetensors::read(bytes)?
        } else {
            return Err(strange(bytes));
        };
        Self::new(without_wrappers(tensors, &WRAPPERS))
    }

    /// Reads a safetensors file, with the names as they are; see [`Weights::from_bytes`].
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self> {
        Self::new(safetensors::read(bytes)?)
    }

    /// The parameters with the names they have inside the module that one of these prefixes names, if all of them are
    /// inside it.
    pub(in crate::model) fn inside(self, prefixes: &[&str]) -> Result<Self> {
        Self::new(without_wrappers(self.tensors.into_iter().collect(), prefixes))
    }

    /// Checks that these are exactly the parameters `graph` reads: every missing, extra or misshapen one is
    /// named, with both shapes, and every one that holds NaN; of many faults the first are.
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
        if faults.len() > FAULTS {
            let more = faults.split_off(FAULTS).len();
            faults.push(format!("and {more} more"));
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

    /// Whether any is on candle's tape, as in training.
    pub fn are_tracked(&self) -> bool {
        self.tracked
    }

    /// How many numbers all parameters hold.
    pub fn count(&self) -> usize {
        self.tensors.values().map(Tensor::elem_count).sum()
    }

    /// Sixteen hexadecimal digits that stand for names, shapes and values (64-bit FNV-1a over words): the same
    /// on every machine and in every version. It tells weights apart; it doesn't withstand forgery. Of variables it
    /// stays what it was when first asked for.
    pub fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let mut hash = Fnv::default();
            for (name, tensor) in &self.tensors {
                hash.bytes(name.as_bytes());
                tensor.dims().iter().for_each(|size| hash.word(*size as u64));
                let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).unwrap_or_default();
                values.iter().for_each(|value| hash.word(value.to_bits().into()));
            }
            format!("{:016x}", hash.value())
        })
    }
}

/// The tensors with the names they have inside a wrapper, if all of them are inside it.
fn without_wrappers(mut tensors: Vec<(String, Tensor)>, wrappers: &[&str]) -> Vec<(String, Tensor)> {
    while let Some(wrapper) = wrappers
        .iter()
        .find(|wrapper| !tensors.is_empty() && tensors.iter().all(|(name, _)| name.starts_with(**wrapper)))
    {
        tensors.iter_mut().for_each(|(name, _)| drop(name.drain(..wrapper.len())));
    }
    tensors
}

/// The error of a parameter that is no float.
fn not_floats(name: &str, stored: &str) -> Error {
    Error::new(Kind::File, format!("parameter `{name}` has type {stored}, but weights are floats"))
}

/// The error of a file that begins like none that can be read.
fn strange(bytes: &[u8]) -> Error {
    if bytes.is_empty() {
        return Error::new(Kind::File, "the file is empty");
    }
    let error = |message: &str| Error::new(Kind::File, message).with_hint(SAVE_AGAIN);
    if bytes.get(257..262) == Some(b"ustar") {
        return error("the file is a tar archive, as PyTorch wrote before version 0.2; that format is not read");
    }
    if bytes.first() == Some(&0x80) {
        return error("the file is a pickle, but not of torch.save");
    }
    Error::new(Kind::File, "the file holds neither safetensors nor what torch.save writes")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ::safetensors::Dtype;
    use ::safetensors::tensor::TensorView;
    use candle_core::Device;
    use candle_core::Var;

    use super::*;
    use crate::model::{Builder, Conv2d, Op};
    use crate::tensor::Conv2dParams;

    const EMBEDDED: &[u8] = include_bytes!("../../../assets/squeezenet1_1.safetensors");

    fn file(tensors: &[(&str, Dtype, &[usize], &[u8])]) -> Vec<u8> {
        let views =
            tensors.iter().map(|(n, dtype, shape, data)| (*n, TensorView::new(*dtype, shape.to_vec(), data).unwrap()));
        ::safetensors::serialize(views, None).unwrap()
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
    fn of_many_faults_the_first_are_named() {
        let error =
            Weights::new([]).unwrap().check(&crate::model::zoo::squeezenet::squeezenet1_1().unwrap()).unwrap_err();
        assert_eq!(error.message().matches("is missing").count(), FAULTS);
        assert!(error.message().ends_with("; and 44 more"), "{error}");
    }

    #[test]
    fn wrappers_around_all_names_are_taken_off() {
        let names = |names: &[&str]| {
            let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            let tensors = names.iter().map(|name| ((*name).to_owned(), tensor.clone())).collect();
            without_wrappers(tensors, &WRAPPERS).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["module.a", "module.b"]), ["a", "b"]);
        assert_eq!(names(&["_orig_mod.module.a", "_orig_mod.module.b"]), ["a", "b"]);
        assert_eq!(names(&["module.a", "b"]), ["module.a", "b"]);
        assert!(names(&[]).is_empty());
    }

    #[test]
    fn whole_numbers_that_stand_alone_are_left_out() {
        let bytes =
            file(&[("bn.num_batches_tracked", Dtype::I64, &[], &[0; 8]), ("bn.weight", Dtype::F32, &[1], &[0; 4])]);
        let weights = Weights::from_bytes(&bytes).unwrap();
        assert_eq!(weights.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["bn.weight"]);
    }

    #[test]
    fn a_strange_file_is_told_by_its_content() {
        let message = |bytes: &[u8]| Weights::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(message(b""), "the file is empty");
        assert!(message(b"\x89PNG\r\n\x1a\n....").contains("neither safetensors nor what torch.save writes"));
        assert!(message(b"\x80\x02}.").contains("not of torch.save"));
        assert!(Weights::from_bytes(EMBEDDED).is_ok());
        let missing = Weights::from_file(Path::new("no/such.safetensors")).unwrap_err();
        assert_eq!(missing.message(), "`no/such.safetensors` does not exist");
        assert!(Weights::from_file(Path::new(".")).unwrap_err().message().contains("is a folder"));
    }

    #[test]
    fn a_variable_keeps_its_place_on_the_tape() {
        let var = Var::new(&[1f32, 2.0], &Device::Cpu).unwrap();
        let weights = |tensor: &Tensor| Weights::new([("w".to_owned(), tensor.clone())]).unwrap();
        let kept = weights(&var);
        assert!(kept.are_tracked());
        assert_eq!(kept.get("w").unwrap().id(), var.id());
        var.set(&Tensor::new(&[3f32, 4.0], &Device::Cpu).unwrap()).unwrap();
        assert_eq!(kept.get("w").unwrap().to_vec1::<f32>().unwrap(), [3.0, 4.0]);
        assert!(!weights(&var.as_detached_tensor()).are_tracked());

        // of another type and layout it is copied, on the tape
        let double = Var::new(&[[1f64, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let copied = weights(&double.t().unwrap());
        assert!(copied.are_tracked());
        let score = copied.get("w").unwrap().sqr().unwrap().sum_all().unwrap();
        let gradient = score.backward().unwrap().remove(&double).unwrap();
        assert_eq!(gradient.to_vec2::<f64>().unwrap(), [[2.0, 4.0], [6.0, 8.0]]);
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
