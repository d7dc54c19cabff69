//! NumPy's file format, .npy, both ways.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use npyz::WriterBuilder;

use super::TensorValue;
use crate::error::{Error, Kind, Result, missing_file};
use crate::job::Job;
use crate::lang::function;

/// The largest file that is read.
const LARGEST: u64 = 4 << 30;

/// Reads a tensor from a NumPy file (.npy), of floats or integers of any size.
///
/// ```rhai
/// let path = "example.npy";
/// save(tensor([1, 2, 3]), path);
/// load_tensor(path)
/// ```
#[function]
fn load_tensor(
    job: &Job,
    /// The file.
    #[complete(|context| context.files(&["npy"]))]
    path: String,
) -> Result<TensorValue> {
    read(&job.path(path)).map_err(|error| error.at_argument("path"))
}

/// Reads a .npy file.
///
/// # Errors
/// The file is missing, is not a .npy file, is truncated, or holds something else than numbers.
pub fn read(path: &Path) -> Result<TensorValue> {
    let fault = |why: String| Error::new(Kind::File, format!("`{}` {why}", path.display()));
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => missing_file(path),
        _ => fault(format!("cannot be read: {error}")),
    };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(fault("is a folder, not a NumPy file".into()));
    }
    let size = metadata.len();
    let npy = npyz::NpyFile::new(BufReader::new(file)).map_err(|_| fault("is not a NumPy file (.npy)".into()))?;
    let shape: Vec<usize> = npy.shape().iter().filter_map(|size| usize::try_from(*size).ok()).collect();
    let count = npy.shape().iter().try_fold(1u64, |product, size| product.checked_mul(*size));
    // a header may promise anything; the file cannot hold more numbers than bytes
    if size > LARGEST || count.is_none_or(|count| count > size) {
        return Err(fault(format!("is damaged: its header promises {shape:?} numbers, the file has {size} bytes")));
    }
    let fortran = npy.order() == npyz::Order::Fortran;
    let dtype = npy.dtype().descr();
    let values = numbers(npy).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            fault(format!("is truncated: its header promises {shape:?} numbers, the file ends before"))
        }
        _ => fault(format!("cannot be read: {error} (it holds {dtype})")),
    })?;
    if fortran && shape.len() > 1 {
        let reversed: Vec<usize> = shape.iter().rev().copied().collect();
        let tensor = TensorValue::from_values(values, &reversed)?;
        let axes: Vec<usize> = (0..shape.len()).rev().collect();
        return Ok(tensor.inner().permute(axes)?.contiguous()?.into());
    }
    TensorValue::from_values(values, &shape)
}

/// The numbers of a file, whichever type they have.
fn numbers<R: std::io::Read>(npy: npyz::NpyFile<R>) -> std::io::Result<Vec<f32>> {
    macro_rules! try_types {
        ($npy:ident, $($type:ty),*) => {{
            let mut npy = $npy;
            $(
                npy = match npy.try_data::<$type>() {
                    Ok(data) => return data.map(|value| value.map(|value| value as f32)).collect(),
                    Err(other) => other,
                };
            )*
            drop(npy);
            Err(std::io::Error::other("its type is not a number type that is read"))
        }};
    }
    try_types!(npy, f32, f64, i64, i32, u8, i8, i16, u16, u32, u64)
}

/// Writes a tensor to a NumPy file (.npy) of 32-bit floats.
///
/// ```rhai
/// save(tensor([1, 2, 3]), "example.npy")
/// ```
#[function]
fn save(
    job: &Job,
    /// The tensor.
    tensor: TensorValue,
    /// The file; its name ends in .npy.
    #[complete(|context| context.files(&["npy"]))]
    path: String,
) -> Result<()> {
    write(&tensor, &job.path(path)).map_err(|error| error.at_argument("path"))
}

/// Writes a .npy file: to a temporary name first, so that no half file is ever seen.
///
/// # Errors
/// The name does not end in .npy, or the file cannot be written.
pub fn write(tensor: &TensorValue, path: &Path) -> Result<()> {
    if path.extension().is_none_or(|extension| extension != "npy") {
        let message = format!("a tensor is saved as .npy, not as {}", path.display());
        return Err(Error::new(Kind::File, message));
    }
    let shape: Vec<u64> = tensor.inner().dims().iter().map(|size| *size as u64).collect();
    let values = tensor.values()?;
    let fault = |error: std::io::Error| Error::new(Kind::File, format!("cannot write {}: {error}", path.display()));
    let mut bytes = Vec::new();
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd().map_err(fault)?;
    writer.extend(values).and_then(|()| writer.finish()).map_err(fault)?;
    crate::files::write_file(path, &bytes)
}
