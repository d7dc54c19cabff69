//! Files that are written whole or not at all.

use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Writes a file whole or not at all: to a temporary name in its folder, then renamed.
///
/// # Errors
/// The folder is missing or cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    use std::io::Write;
    let fault = |error: std::io::Error| {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "its folder does not exist".to_owned(),
            std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            _ if path.is_dir() => "it is a folder".to_owned(),
            _ => error.to_string(),
        };
        Error::new(Kind::File, format!("`{}` cannot be written: {why}", path.display()))
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new().prefix(".percept-").tempfile_in(folder).map_err(fault)?;
    file.write_all(bytes).map_err(fault)?;
    // temporary files are private; a saved one has the mode of the one it replaces, or the usual one
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).map_or(0o644, |metadata| metadata.permissions().mode());
        let _ = std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode));
    }
    file.persist(path).map(drop).map_err(|error| fault(error.error))
}
