//! What several test programs share: a sink that remembers, and running code in a fresh session.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::RefCell;
use std::rc::Rc;

use percept::error::{Error, Result};
use percept::job::Report;
use percept::session::{Outcome, Output, Preview, Session, Sink};

/// What is done at a step.
type Action = Box<dyn Fn(&Report)>;

/// Remembers what a session shows.
#[derive(Default)]
pub struct Recorder {
    /// Everything that was printed.
    pub printed: RefCell<String>,
    /// Everything that was shown with `show`.
    pub shown: RefCell<Vec<Output>>,
    /// Every step of every long job.
    pub reports: RefCell<Vec<Report>>,
    /// Called at every step.
    pub at_step: RefCell<Option<Action>>,
}

impl Sink for Recorder {
    fn print(&self, text: &str) {
        self.printed.borrow_mut().push_str(text);
    }

    fn input(&self, _: &str) -> Result<String> {
        Ok("an answer".to_owned())
    }

    fn progress(&self, report: &Report, _: Option<Preview<'_>>) {
        self.reports.borrow_mut().push(report.clone());
        if let Some(act) = self.at_step.borrow().as_ref() {
            act(report);
        }
    }

    fn display(&self, output: &Output) -> Result<()> {
        self.shown.borrow_mut().push(output.clone());
        Ok(())
    }
}

/// A fresh session and what it shows.
pub fn session() -> (Session, Rc<Recorder>) {
    let recorder = Rc::new(Recorder::default());
    (Session::new(Rc::clone(&recorder) as Rc<dyn Sink>), recorder)
}

/// An error as its reader sees it.
pub fn report(error: &Error) -> String {
    error.report().map_or_else(|| format!("error: {error}"), str::to_owned)
}

/// The text of a cell's value; the cell must succeed.
pub fn value(outcome: &Outcome) -> String {
    if let Some(error) = &outcome.error {
        panic!("{}", report(error));
    }
    outcome.output.as_ref().map(|output| output.text.clone()).unwrap_or_default()
}

/// Are expected files to be rewritten? `PERCEPT_BLESS=1 cargo test` does it.
pub fn bless() -> bool {
    std::env::var_os("PERCEPT_BLESS").is_some_and(|value| value == "1")
}

/// Compares a text with a file of the repository, or rewrites the file when [`bless`] says so.
pub fn compare_with_file(path: &std::path::Path, text: &str) -> std::result::Result<(), String> {
    if bless() {
        std::fs::write(path, text).unwrap();
        return Ok(());
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == text {
        return Ok(());
    }
    let different = expected.lines().zip(text.lines()).position(|(expected, found)| expected != found);
    let line = different.unwrap_or_else(|| expected.lines().count().min(text.lines().count()));
    Err(format!(
        "{} is out of date from line {}:\n  expected: {}\n  found:    {}\nif the new text is right, run the test with \
         PERCEPT_BLESS=1",
        path.display(),
        line + 1,
        expected.lines().nth(line).unwrap_or("(end)"),
        text.lines().nth(line).unwrap_or("(end)"),
    ))
}
