//! Where a session's output goes: each front end has one.

use super::Output;
use crate::error::{Error, Kind, Result};
use crate::job::Report;

/// Makes a picture of a job under way.
pub type Preview<'a> = &'a dyn Fn() -> Result<Output>;

/// A front end's side of a session.
pub trait Sink {
    /// Writes text that a script prints, line breaks included.
    fn print(&self, text: &str);
    /// Writes a warning, apart from what the script prints, line breaks included.
    fn eprint(&self, text: &str) {
        self.print(text);
    }
    /// Shows how far a long job has come. Called often: the sink decides how often it draws, and whether it asks for a
    /// picture of what has been made so far.
    fn progress(&self, report: &Report, preview: Option<Preview<'_>>);
    /// Takes away what the running cell has shown; if `wait`, when there is something new to show. By default what was
    /// shown stays.
    fn clear(&self, wait: bool) {
        let _ = wait;
    }
    /// Asks the person for a line of text.
    ///
    /// # Errors
    /// There is nobody to ask, which is so by default.
    fn input(&self, prompt: &str) -> Result<String> {
        let _ = prompt;
        Err(Error::new(Kind::Argument, "there is nobody to ask for input here"))
    }
    /// How pictures are shown, after changing it if a way is given.
    ///
    /// # Errors
    /// There is no such way here.
    fn images(&self, way: Option<&str>) -> Result<String> {
        match way {
            None => Ok("pictures are shown by the front end".to_owned()),
            Some(_) => Err(Error::new(Kind::Argument, "how pictures are shown cannot be changed here")),
        }
    }
    /// Shows a value that a script wants seen.
    ///
    /// # Errors
    /// The output cannot be written.
    fn display(&self, output: &Output) -> Result<()>;
}
