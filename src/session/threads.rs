//! The threads that compute, of which the one that evaluates is one: another one would have to be woken for each loop.

use crate::error::{Error, Kind, Result};

/// How many threads compute: as many as there are physical cores, whose arithmetic units a second thread would only share;
/// `PERCEPT_THREADS` overrides.
///
/// # Errors
/// The variable holds no number from 1 to 1024.
pub fn threads() -> Result<usize> {
    let Ok(text) = std::env::var("PERCEPT_THREADS") else { return Ok(num_cpus::get_physical()) };
    match text.trim().parse() {
        Ok(threads @ 1..=1024) => Ok(threads),
        _ => {
            let message = format!("PERCEPT_THREADS is `{text}`; it must be a number of threads, 1 to 1024");
            Err(Error::new(Kind::Argument, message))
        }
    }
}

/// Computes with so many threads from now on. The calling one counts; it must be the one whose session evaluates, before
/// anything is computed.
///
/// # Errors
/// The threads cannot be started, or there are some already.
pub fn use_threads(threads: usize) -> Result<()> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .build_global()
        .map_err(|error| Error::new(Kind::Internal, format!("cannot start {threads} threads: {error}")))
}
