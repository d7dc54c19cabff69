//! Where the kernel says what no client can be told: standard error, which Jupyter shows in the server's log.

use std::fmt::Display;
use std::io::Write as _;

pub(crate) fn warn(message: impl Display) {
    // Unlike `eprintln!` this does not panic when standard error is closed.
    let _ = writeln!(std::io::stderr(), "[kernel] {message}");
}
