//! Weights that stand in a second file beside the network.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::proto::{ModelProto, TensorProto};
use crate::error::{Error, Kind, Result, missing_file};

/// The largest file of weights that is read, in bytes.
const LARGEST: u64 = 4 << 30;
/// Files of weights that one network may have.
const MOST_FILES: usize = 64;

/// The files that tensors of the network name, read whole. A file must lie in the network's own folder or below it, also
/// where links lead; without a folder none is read.
pub(super) fn read(model: &ModelProto<'_>, folder: Option<&Path>) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let Some(folder) = folder else { return Ok(files) };
    for external in tensors(model).filter_map(|tensor| tensor.external) {
        if files.contains_key(external.location) {
            continue;
        }
        if files.len() == MOST_FILES {
            return Err(Error::new(Kind::File, format!("its weights are in more than {MOST_FILES} files")));
        }
        let bytes = read_file(folder, external.location)
            .map_err(|error| error.context(format!("its file of weights `{}`", external.location)))?;
        files.insert(external.location.to_owned(), bytes);
    }
    Ok(files)
}

/// Puts the values of tensors that stand in these files into the tensors.
///
/// # Errors
/// A part reaches beyond its file, or all parts together take more than the files have, so that memory is no more than
/// what there is on disk.
pub(super) fn fill<'a>(model: &mut ModelProto<'a>, files: &'a BTreeMap<String, Vec<u8>>) -> Result<()> {
    let mut left = files.values().map(Vec::len).sum::<usize>();
    let graph = model.graph.iter_mut();
    for tensor in graph.flat_map(|graph| &mut graph.initializers) {
        let Some(external) = tensor.external else { continue };
        let Some(bytes) = files.get(external.location) else { continue };
        let fault =
            |what: &str| Error::new(Kind::File, format!("tensor `{}` {what} `{}`", tensor.name, external.location));
        let beyond = || fault("reaches beyond the end of");
        let start = usize::try_from(external.offset).map_err(|_| beyond())?;
        let rest = bytes.get(start..).ok_or_else(beyond)?;
        let length = external.length.map_or(Ok(rest.len()), usize::try_from).map_err(|_| beyond())?;
        let part = rest.get(..length).ok_or_else(beyond)?;
        left = left.checked_sub(length).ok_or_else(|| fault("and others share more than there is in"))?;
        tensor.raw = Some(part);
        tensor.external = None;
    }
    Ok(())
}

fn tensors<'m, 'a>(model: &'m ModelProto<'a>) -> impl Iterator<Item = &'m TensorProto<'a>> {
    model.graph.iter().flat_map(|graph| &graph.initializers)
}

fn read_file(folder: &Path, location: &str) -> Result<Vec<u8>> {
    let fault = |why: String| Error::new(Kind::File, why);
    let inside = Path::new(location).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if location.is_empty() || location.contains('\\') || !inside {
        return Err(fault("lies outside the network's folder".into()));
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let path = folder.join(location);
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => missing_file(&path),
        _ => fault(format!("cannot be read: {error}")),
    };
    let real = path.canonicalize().map_err(unreadable)?;
    if !real.starts_with(folder.canonicalize().map_err(unreadable)?) {
        return Err(fault("lies outside the network's folder".into()));
    }
    let metadata = std::fs::metadata(&real).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(fault("is not a file".into()));
    }
    if metadata.len() > LARGEST {
        return Err(fault(format!("has {} bytes; up to {LARGEST} are read", metadata.len())));
    }
    std::fs::read(&real).map_err(unreadable)
}
