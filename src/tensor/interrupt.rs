//! How long work learns that the user wants it to stop.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A question that long work asks often: has the user asked to stop?
///
/// It is cheap to clone and goes into backward closures, so a gradient stops as promptly as a forward run.
#[derive(Clone, Default)]
pub struct Interrupt(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Interrupt {
    /// Work that nobody stops.
    pub const fn never() -> Self {
        Self(None)
    }

    /// Stops when `stop` answers true. It is asked from several threads, about every ten milliseconds.
    pub fn new(stop: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(stop)))
    }

    /// [`Error::interrupted`] if the user asked to stop.
    pub fn check(&self) -> Result<()> {
        match &self.0 {
            Some(stop) if stop() => Err(Error::interrupted()),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Interrupt(..)" } else { "Interrupt(never)" })
    }
}
