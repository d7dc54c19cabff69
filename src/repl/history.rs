//! Where the history is kept.

use std::path::PathBuf;

/// So many inputs are kept.
pub const LENGTH: usize = 10_000;

/// `$XDG_STATE_HOME/percept/history`, or what the system has in its place; its folder is made.
pub fn file() -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?.join("percept");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}
