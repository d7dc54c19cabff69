//! Parameters from what `torch.save` writes of a state dict, read without executing anything.
//!
//! Since version 1.6 such a file is a zip archive of a pickle, `data.pkl`, and one uncompressed entry for each
//! storage, `data/KEY`. Before, it was a row of pickles (a magic number, a version, the machine, the state dict, the
//! keys of the storages) with the storages behind them. Both are described by `torch/serialization.py`.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

use candle_core::{Device, Tensor};
use zip::read::ZipReadOptions;
use zip::{CompressionMethod, ZipArchive};

use super::floats::ByteOrder;
use super::pickle::{Element, Global, Id, Object, Pickle};
use super::{SAVE_AGAIN, not_floats};
use crate::error::{Error, Kind, Result};

/// What the old format begins with, behind the two bytes of the protocol: a number of ten bytes.
const OLD_MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// How many bytes of a zip archive's directory are read: enough for tens of thousands of entries. A directory becomes
/// several times its size in memory.
const MAX_DIRECTORY: usize = 4 << 20;

/// Tensors may share storages, so they may be larger together than the file, but only by so many bytes as they are
/// stored; halves take twice as much in memory.
const MAX_SHARED: usize = 16 << 20;

/// Where a state dict is in a training checkpoint.
const STATE_DICTS: [&str; 3] = ["state_dict", "model", "model_state_dict"];

/// Whether this is a file of `torch.save`, or at least a zip archive.
pub(super) fn recognises(bytes: &[u8]) -> bool {
    is_old(bytes) || bytes.starts_with(b"PK")
}

fn is_old(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x80) && bytes.get(2..).is_some_and(|rest| rest.starts_with(OLD_MAGIC))
}

/// The parameters in a file of `torch.save`, without whole numbers that stand alone.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    if is_old(bytes) { read_old(bytes) } else { read_zip(bytes) }
}

fn read_zip(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let mut archive = Archive::open(bytes)?;
    let pickle = archive.entry("data.pkl")?.ok_or_else(|| damaged("`data.pkl` is missing"))?;
    let pickle = Pickle::read(pickle)?;
    let order = match archive.entry("byteorder")? {
        None | Some(b"little") => ByteOrder::Little,
        Some(b"big") => ByteOrder::Big,
        Some(_) => return Err(damaged("its byte order is neither little nor big")),
    };
    let mut found: HashMap<String, &[u8]> = HashMap::new();
    tensors(&pickle, order, bytes.len(), |storage| {
        if let Some(&data) = found.get(storage.key) {
            return Ok(data);
        }
        let name = format!("data/{}", storage.key);
        let data = archive.entry(&name)?.ok_or_else(|| damaged(&format!("`{name}` is missing")))?;
        found.insert(storage.key.to_owned(), data);
        Ok(data)
    })
}

fn read_old(bytes: &[u8]) -> Result<Vec<(String, Tensor)>> {
    let mut rest = bytes;
    let mut next = || {
        let pickle = Pickle::read(rest)?;
        rest = rest.get(pickle.length..).unwrap_or_default();
        Ok::<_, Error>(pickle)
    };
    let (_magic, _version, machine, pickle, keys) = (next()?, next()?, next()?, next()?, next()?);
    let order = match machine.root() {
        Object::Dict(entries) => match machine.entry(entries, "little_endian").map(|id| machine.get(id)) {
            Some(Object::Bool(false)) => ByteOrder::Big,
            _ => ByteOrder::Little,
        },
        _ => ByteOrder::Little,
    };
    let found = old_storages(&pickle, &keys, rest, order)?;
    tensors(&pickle, order, bytes.len(), |storage| {
        found.get(storage.key).copied().ok_or_else(|| damaged(&format!("storage {} is missing", storage.key)))
    })
}

/// The storages behind the pickles of an old file, in the order of `keys`: each a count and its numbers.
fn old_storages<'a>(
    pickle: &Pickle<'a>,
    keys: &Pickle<'a>,
    mut rest: &'a [u8],
    order: ByteOrder,
) -> Result<HashMap<&'a str, &'a [u8]>> {
    let described = pickle.objects().iter().filter_map(|object| match object {
        Object::Stored(description) => Some(Storage::new(pickle, *description).map(|s| (s.key, s.element.size()))),
        _ => None,
    });
    let sizes: HashMap<&str, usize> = described.collect::<Result<_>>()?;
    let Object::List(keys_in_order) = keys.root() else { return Err(damaged("the keys of its storages are missing")) };
    let mut found = HashMap::new();
    for key in keys_in_order {
        let Object::Text(key) = keys.get(*key) else { return Err(damaged("a storage's key is not text")) };
        let size = sizes.get(key).ok_or_else(|| damaged(&format!("storage {key} belongs to nothing")))?;
        let (count, behind) = rest.split_first_chunk().ok_or_else(|| damaged("it ends too early"))?;
        let count = match order {
            ByteOrder::Little => u64::from_le_bytes(*count),
            ByteOrder::Big => u64::from_be_bytes(*count),
        };
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(*size));
        let split = length.and_then(|length| behind.split_at_checked(length));
        let (data, behind) = split.ok_or_else(|| damaged(&format!("storage {key} ends too early")))?;
        found.insert(*key, data);
        rest = behind;
    }
    Ok(found)
}

/// The float tensors of the state dict in a pickle; `fetch` finds the bytes of a storage.
fn tensors<'a>(
    pickle: &Pickle<'a>,
    order: ByteOrder,
    file_size: usize,
    mut fetch: impl FnMut(&Storage<'a>) -> Result<&'a [u8]>,
) -> Result<Vec<(String, Tensor)>> {
    let mut left = file_size.saturating_add(MAX_SHARED);
    let mut tensors: HashMap<&str, Tensor> = HashMap::new();
    for (name, arguments) in state_dict(pickle)? {
        let fault = |error: Error| error.context(format!("parameter `{name}`"));
        let view = View::new(pickle, arguments).map_err(fault)?;
        let format = match view.storage.element {
            Element::Float(format) => format,
            // such as a batch-norm's `num_batches_tracked`
            Element::Other(..) if view.shape.is_empty() => continue,
            Element::Other(stored, _) => return Err(not_floats(name, stored)),
        };
        let data = fetch(&view.storage).map_err(fault)?;
        left = view
            .bytes()
            .and_then(|bytes| left.checked_sub(bytes))
            .ok_or_else(|| damaged("the tensors are together far larger than the file"))?;
        let values = match view.gather(data).map_err(fault)? {
            Gathered::Run(data) => format.decode(data, order),
            Gathered::Copied(data) => format.decode(&data, order),
        };
        tensors.insert(name, Tensor::from_vec(values, view.shape.as_slice(), &Device::Cpu)?);
    }
    Ok(tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect())
}

/// The names of the state dict's tensors with the arguments that rebuild them.
fn state_dict<'a>(pickle: &Pickle<'a>) -> Result<Vec<(&'a str, Id)>> {
    let named = |entries: &[(Id, Id)]| -> Vec<(&'a str, Id)> {
        let tensor = |(key, value): &(Id, Id)| match (pickle.get(*key), pickle.get(*value)) {
            (Object::Text(name), Object::Tensor(arguments)) => Some((*name, *arguments)),
            _ => None,
        };
        entries.iter().filter_map(tensor).collect()
    };
    let Object::Dict(entries) = pickle.root() else {
        return Err(Error::new(Kind::File, "it holds something else than a state dict").with_hint(SAVE_AGAIN));
    };
    let nested = STATE_DICTS.iter().filter_map(|name| match pickle.get(pickle.entry(entries, name)?) {
        Object::Dict(entries) => Some(entries),
        _ => None,
    });
    // a checkpoint may have tensors of its own beside the state dict, such as the best accuracy
    let found = nested.chain(std::iter::once(entries)).map(|entries| named(entries)).find(|found| !found.is_empty());
    found.ok_or_else(|| {
        let keys = entries.iter().filter_map(|(key, _)| match pickle.get(*key) {
            Object::Text(key) => Some(format!("`{}`", key.chars().take(40).collect::<String>())),
            _ => None,
        });
        let keys: Vec<String> = keys.take(8).collect();
        let message = format!("it holds no tensors by name, only {}", keys.join(", "));
        Error::new(Kind::File, if keys.is_empty() { "it holds no tensors by name".into() } else { message })
            .with_hint(SAVE_AGAIN)
    })
}

/// A storage as a pickle describes it: ("storage", its type, its key, its device, its count).
struct Storage<'a> {
    element: Element,
    key: &'a str,
    count: usize,
}

impl<'a> Storage<'a> {
    fn new(pickle: &Pickle<'a>, description: Id) -> Result<Self> {
        let parts: Vec<_> = pickle.items(description).unwrap_or_default().iter().map(|id| pickle.get(*id)).collect();
        match parts.as_slice() {
            [
                Object::Text("storage"),
                Object::Global(Global::Storage(element)),
                Object::Text(key),
                _,
                Object::Int(count),
            ]
            | [
                Object::Text("storage"),
                Object::Global(Global::Storage(element)),
                Object::Text(key),
                _,
                Object::Int(count),
                Object::None,
            ] if *count >= 0 => Ok(Self { element: *element, key: *key, count: *count as usize }),
            _ => Err(damaged("a storage is not described as PyTorch does")),
        }
    }
}

/// A tensor as a pickle describes it: a view of a storage.
struct View<'a> {
    storage: Storage<'a>,
    /// Where it begins, in numbers.
    offset: usize,
    shape: Vec<usize>,
    /// How far apart neighbours are along each axis, in numbers.
    strides: Vec<usize>,
}

enum Gathered<'a> {
    /// The tensor's numbers as they lie in the storage.
    Run(&'a [u8]),
    /// The tensor's numbers in its order.
    Copied(Vec<u8>),
}

impl<'a> View<'a> {
    /// From the arguments of `_rebuild_tensor_v2`: storage, offset, size, stride, and what weights do not need.
    fn new(pickle: &Pickle<'a>, arguments: Id) -> Result<Self> {
        let strange = || damaged("a tensor is not described as PyTorch does");
        let [storage, offset, shape, strides, ..] = pickle.items(arguments).unwrap_or_default() else {
            return Err(strange());
        };
        let number = |id: &Id| match pickle.get(*id) {
            Object::Int(number) => usize::try_from(*number).map_err(|_| strange()),
            _ => Err(strange()),
        };
        let numbers = |id: &Id| pickle.items(*id).ok_or_else(strange)?.iter().map(number).collect::<Result<Vec<_>>>();
        let Object::Stored(description) = pickle.get(*storage) else { return Err(strange()) };
        let storage = Storage::new(pickle, *description)?;
        let view = Self { storage, offset: number(offset)?, shape: numbers(shape)?, strides: numbers(strides)? };
        if view.shape.len() != view.strides.len() {
            return Err(strange());
        }
        Ok(view)
    }

    /// How many numbers it has; none if that is beyond all bounds.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size))
    }

    /// How many bytes it takes as it is stored.
    fn bytes(&self) -> Option<usize> {
        self.count()?.checked_mul(self.storage.element.size())
    }

    /// The bytes of its numbers, from those of its storage.
    fn gather(&self, data: &'a [u8]) -> Result<Gathered<'a>> {
        let size = self.storage.element.size();
        if self.storage.count.checked_mul(size) != Some(data.len()) {
            let Storage { count, .. } = self.storage;
            return Err(damaged(&format!("its storage has {} bytes, not {count} numbers of {size}", data.len())));
        }
        let outside = || damaged(&format!("shape {:?} reaches beyond its storage", self.shape));
        let count = self.count().ok_or_else(outside)?;
        if count == 0 {
            return Ok(Gathered::Run(&[]));
        }
        let reach = |at: usize, (size, stride): (&usize, &usize)| (size - 1).checked_mul(*stride)?.checked_add(at);
        let last = self.shape.iter().zip(&self.strides).try_fold(self.offset, reach);
        if last.is_none_or(|last| last >= self.storage.count) {
            return Err(outside());
        }
        if self.is_contiguous() {
            let (start, length) = (self.offset * size, count * size);
            return data.get(start..start + length).map(Gathered::Run).ok_or_else(outside);
        }
        let mut copied = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let at: usize = self.offset + index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>();
            copied.extend_from_slice(data.get(at * size..(at + 1) * size).ok_or_else(outside)?);
            for (i, size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        Ok(Gathered::Copied(copied))
    }

    /// Whether its numbers lie one after the other; an axis of one number may have any stride.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == expected;
            expected *= size;
            fits
        })
    }
}

/// The zip archive of `torch.save`; its entries are uncompressed, so they are parts of the file.
struct Archive<'a> {
    bytes: &'a [u8],
    zip: ZipArchive<Metered<'a>>,
    /// The folder around all entries, with its slash.
    folder: String,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        let left = std::rc::Rc::new(Cell::new(MAX_DIRECTORY));
        let reader = Metered { inner: Cursor::new(bytes), left: left.clone() };
        let zip =
            ZipArchive::new(reader).map_err(|error| damaged(&format!("its zip directory cannot be read ({error})")))?;
        left.set(usize::MAX);
        if zip.has_duplicate_names() {
            return Err(damaged("two entries of the zip archive have one name"));
        }
        let names: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
        let pickles = names.iter().filter_map(|name| name.strip_suffix("data.pkl"));
        let mut folders = pickles.filter(|folder| folder.is_empty() || folder.find('/') == Some(folder.len() - 1));
        let (Some(folder), None) = (folders.next(), folders.next()) else {
            let message = "it is a zip archive, but not of torch.save: it has no `data.pkl`";
            return Err(Error::new(Kind::File, message).with_hint(SAVE_AGAIN));
        };
        if names.iter().any(|name| name.strip_prefix(folder) == Some("constants.pkl")) {
            let message = "it is a TorchScript program, not a state dict";
            return Err(Error::new(Kind::File, message).with_hint(SAVE_AGAIN));
        }
        let folder = folder.to_owned();
        Ok(Self { bytes, zip, folder })
    }

    /// The content of an entry, checked against its checksum; none if there is no such entry.
    fn entry(&mut self, name: &str) -> Result<Option<&'a [u8]>> {
        let Some(index) = self.zip.index_for_name(&format!("{}{name}", self.folder)) else { return Ok(None) };
        let fault = |why: String| damaged(&format!("entry `{name}` {why}"));
        let unsound = |error: &dyn std::fmt::Display| fault(format!("cannot be read: {error}"));
        let about = self.zip.by_index_data(index).map_err(|error| unsound(&error))?;
        if about.compression() != CompressionMethod::Stored
            || about.encrypted()
            || about.size() != about.compressed_size()
        {
            return Err(fault("is compressed or encrypted, which torch.save never does".into()).with_hint(SAVE_AGAIN));
        }
        let length = about.size();
        // torch.serialization.set_crc32_options(False) leaves all checksums zero
        let options = ZipReadOptions::new().ignore_crc32(about.crc32() == 0);
        let mut entry = self.zip.by_index_with_options(index, options).map_err(|error| unsound(&error))?;
        io::copy(&mut entry, &mut io::sink()).map_err(|error| unsound(&error))?;
        let start = entry.data_start().and_then(|start| usize::try_from(start).ok());
        let range = start.zip(usize::try_from(length).ok()).and_then(|(at, length)| Some(at..at.checked_add(length)?));
        let data = range.and_then(|range| self.bytes.get(range));
        data.map(Some).ok_or_else(|| fault("reaches beyond the end of the file".into()))
    }
}

/// A reader that gives up after so many bytes: what the zip crate makes of a directory grows with what it reads.
struct Metered<'a> {
    inner: Cursor<&'a [u8]>,
    left: std::rc::Rc<Cell<usize>>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(count).ok_or_else(|| io::Error::other("its directory is too large"))?;
        self.left.set(left);
        Ok(count)
    }
}

impl Seek for Metered<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Kind::File, format!("the file is damaged: {why}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::floats::Format;
    use super::*;

    fn view(offset: usize, shape: &[usize], strides: &[usize]) -> View<'static> {
        let storage = Storage { element: Element::Float(Format::F32), key: "0", count: 6 };
        View { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    fn gathered(view: &View<'static>) -> Result<(bool, Vec<f32>)> {
        let data: &'static [u8] = Vec::leak((0..6).flat_map(|v: i32| (v as f32).to_le_bytes()).collect());
        Ok(match view.gather(data)? {
            Gathered::Run(run) => (true, Format::F32.decode(run, ByteOrder::Little)),
            Gathered::Copied(copied) => (false, Format::F32.decode(&copied, ByteOrder::Little)),
        })
    }

    #[test]
    fn views_are_gathered_in_their_own_order() {
        assert_eq!(gathered(&view(0, &[2, 3], &[3, 1])).unwrap(), (true, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
        assert_eq!(gathered(&view(0, &[3, 2], &[1, 3])).unwrap(), (false, vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert_eq!(gathered(&view(2, &[1, 3], &[99, 1])).unwrap(), (true, vec![2.0, 3.0, 4.0]));
        assert_eq!(gathered(&view(4, &[3], &[0])).unwrap(), (false, vec![4.0; 3]));
        assert_eq!(gathered(&view(5, &[], &[])).unwrap(), (true, vec![5.0]));
        assert_eq!(gathered(&view(9, &[0, 7], &[7, 1])).unwrap(), (true, vec![]));
    }

    #[test]
    fn views_beyond_their_storage_are_refused() {
        for view in [
            view(1, &[2, 3], &[3, 1]),
            view(0, &[2, 3], &[4, 1]),
            view(6, &[], &[]),
            view(0, &[2], &[usize::MAX]),
            view(usize::MAX, &[2], &[1]),
            view(0, &[usize::MAX, 2], &[0, 0]),
        ] {
            assert!(gathered(&view).err().unwrap().message().contains("beyond its storage"));
        }
        assert!(view(0, &[1], &[1]).gather(&[0; 20]).err().unwrap().message().contains("20 bytes, not 6 numbers of 4"));
    }

    #[test]
    fn a_directory_that_is_too_large_is_refused() {
        let mut bytes = vec![0u8; MAX_DIRECTORY + 4096];
        bytes[..4].copy_from_slice(b"PK\x03\x04");
        assert!(read(&bytes).is_err());
    }
}
