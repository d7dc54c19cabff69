//! Why a kernel could not run or a kernelspec could not be installed.

use std::io;
use std::path::{Path, PathBuf};

/// Why [`run`](crate::run) or a function of [`spec`](crate::spec) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: "read", "write", …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection file is not one.
    #[error("{} is not a Jupyter connection file: {reason}", path.display())]
    ConnectionFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A socket could not be opened; often another process has taken its port.
    #[error("cannot open the {channel} channel at {address}: {source}")]
    Bind {
        /// The protocol's name of the channel.
        channel: &'static str,
        /// Its address.
        address: String,
        /// Why not.
        source: jupyter_zmq_client::RuntimeError,
    },
    /// The operating system refused a thread or an event loop.
    #[error("cannot start the kernel: {0}")]
    Start(io::Error),
    /// The thread of the interpreter ended before the kernel was shut down.
    #[error("the interpreter could not be built or has gone")]
    InterpreterGone,
    /// `--sys-prefix` outside of any environment.
    #[error(
        "no environment is active (neither VIRTUAL_ENV nor CONDA_PREFIX is set); activate one, or install for the user or under a prefix"
    )]
    NoEnvironment,
    /// There is no place for the user's own data.
    #[error("the folder for the user's data is unknown: set JUPYTER_DATA_DIR")]
    NoUserFolder,
    /// A kernel name that Jupyter would not accept.
    #[error("`{0}` is not a kernel name: use letters, digits, `.`, `_` and `-`")]
    KernelName(String),
    /// A kernelspec that does not start this program stands there.
    #[error("{} belongs to another program ({owner}); it was left as it is", path.display())]
    Foreign {
        /// Its kernel.json.
        path: PathBuf,
        /// The program it starts.
        owner: String,
    },
    /// No kernelspec of that name is there.
    #[error("no kernel is installed at {}", .0.display())]
    NotInstalled(PathBuf),
}

impl Error {
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
