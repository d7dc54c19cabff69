//! What a pickle holds, and the few functions and classes that one may name.

use crate::error::{Error, Kind, Result};
use crate::model::weights::SAVE_AGAIN;
use crate::model::weights::floats::Format;

/// The place of an object in its pickle. Objects refer to each other by it: a pickle may share them and even build
/// cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::model::weights) struct Id(pub(super) u32);

/// What a pickle holds.
#[derive(Debug)]
pub(in crate::model::weights) enum Object<'a> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A function or a class.
    Global(Global),
    /// What a file stores beside its pickle, by the description in it.
    Stored(Id),
    /// `_rebuild_tensor_v2` and its arguments.
    Tensor(Id),
    /// Something plain that no weights need: a float, bytes, a very large integer.
    Other,
}

/// The functions and classes that state dicts name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model::weights) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// `torch.FloatStorage` and its like.
    Storage(Element),
}

/// What a storage holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model::weights) enum Element {
    /// Numbers that can be weights.
    Float(Format),
    /// Numbers that cannot, with their type's name and size in bytes.
    Other(&'static str, usize),
}

impl Element {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::Float(format) => format.size(),
            Self::Other(_, size) => size,
        }
    }
}

/// The functions and classes that state dicts need; all others are refused.
pub(super) fn global(module: &str, name: &str) -> Result<Global> {
    use Element::{Float, Other};
    Ok(match (module, name) {
        ("collections", "OrderedDict") => Global::OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
        ("torch", "DoubleStorage") => Global::Storage(Float(Format::F64)),
        ("torch", "FloatStorage") => Global::Storage(Float(Format::F32)),
        ("torch", "HalfStorage") => Global::Storage(Float(Format::F16)),
        ("torch", "BFloat16Storage") => Global::Storage(Float(Format::Bf16)),
        ("torch", "LongStorage") => Global::Storage(Other("int64", 8)),
        ("torch", "IntStorage") => Global::Storage(Other("int32", 4)),
        ("torch", "ShortStorage") => Global::Storage(Other("int16", 2)),
        ("torch", "CharStorage") => Global::Storage(Other("int8", 1)),
        ("torch", "ByteStorage") => Global::Storage(Other("uint8", 1)),
        ("torch", "BoolStorage") => Global::Storage(Other("bool", 1)),
        ("torch", "ComplexFloatStorage") => Global::Storage(Other("complex64", 8)),
        ("torch", "ComplexDoubleStorage") => Global::Storage(Other("complex128", 16)),
        _ => {
            let shown: String = format!("{module}.{name}").chars().take(120).collect();
            let message = format!("its pickle asks for `{shown}`, which no state dict needs; nothing was executed");
            return Err(Error::new(Kind::File, message).with_hint(SAVE_AGAIN));
        }
    })
}
