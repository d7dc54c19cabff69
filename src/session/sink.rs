//! Where a session's output goes: each front end has one.

use super::Output;
use crate::error::Result;
use crate::lang::Report;

/// A front end's side of a session.
pub trait Sink {
    /// Writes text that a script prints, line breaks included.
    fn print(&self, text: &str);
    /// Shows how far a long job has come. Called often: the sink decides how often it draws.
    fn progress(&self, report: &Report);
    /// Shows a value that a script wants seen.
    ///
    /// # Errors
    /// The output cannot be written.
    fn display(&self, output: &Output) -> Result<()>;
}
