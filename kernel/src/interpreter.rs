//! What an interpreter has to offer to become a kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::{Io, MimeBundle};

/// A language that can be spoken to from a notebook.
///
/// Only [`info`](Self::info) and [`execute`](Self::execute) are required. The value lives on one thread, the one that
/// built it, so it need not be `Send`; every method is called there, one at a time. A method that panics is reported
/// to the user as an error of the cell, and the interpreter is asked again for the next one.
///
/// Positions are counted in Unicode code points, as everywhere in the protocol; [`byte_offset`] and [`char_offset`]
/// convert.
pub trait Interpreter {
    /// Who this is. Asked once, right after the interpreter is built.
    fn info(&self) -> KernelInfo;

    /// Runs a cell. What it shows on the way goes through `io`; its value, if it has one to show, is returned.
    ///
    /// `io` can be cloned and kept by callbacks and other threads: it belongs to this cell for ever.
    ///
    /// # Errors
    /// Whatever the cell did wrong, as the user should read it.
    fn execute(&mut self, code: &str, io: &Io) -> ExecuteResult;

    /// What stops [`execute`](Self::execute) from another thread when the user presses the stop button. Asked once,
    /// right after the interpreter is built. By default nothing does.
    fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle::none()
    }

    /// What could stand at `cursor` in `code`.
    fn complete(&mut self, code: &str, cursor: usize) -> Completions {
        let _ = code;
        Completions::none(cursor)
    }

    /// The documentation of what stands at `cursor` in `code`; `text/markdown` is drawn by most front ends.
    fn inspect(&mut self, code: &str, cursor: usize, detail: Detail) -> Option<MimeBundle> {
        let _ = (code, cursor, detail);
        None
    }

    /// Whether `code` could be run as it stands. A terminal front end asks at every Enter.
    fn is_complete(&mut self, code: &str) -> Completeness {
        let _ = code;
        Completeness::Unknown
    }
}

/// How a cell ended: with a value to show, with none, or with an error.
pub type ExecuteResult = Result<Option<MimeBundle>, ExecuteError>;

/// What went wrong in a cell.
///
/// ```
/// let error = percept_kernel::ExecuteError::new("NameError", "no `x` here");
/// assert_eq!(error.traceback, ["NameError: no `x` here"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ename}: {evalue}")]
pub struct ExecuteError {
    /// The kind of error, one word.
    pub ename: String,
    /// The message.
    pub evalue: String,
    /// What is shown, line by line; ANSI colours are allowed.
    pub traceback: Vec<String>,
}

impl ExecuteError {
    /// An error whose traceback is just `ename: evalue`.
    pub fn new(ename: impl Into<String>, evalue: impl Into<String>) -> Self {
        let (ename, evalue) = (ename.into(), evalue.into());
        let traceback = vec![format!("{ename}: {evalue}")];
        Self { ename, evalue, traceback }
    }

    /// The same error, shown as `lines`.
    #[must_use]
    pub fn with_traceback<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.traceback = lines.into_iter().map(Into::into).collect();
        self
    }
}

/// Who the kernel is and which language it speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelInfo {
    /// The name of the implementation.
    pub implementation: String,
    /// Its version.
    pub implementation_version: String,
    /// What a console prints when it opens.
    pub banner: String,
    /// The language.
    pub language: LanguageInfo,
    /// Entries of the front end's Help menu: text and URL.
    pub help_links: Vec<(String, String)>,
}

/// The language, as editors, highlighters and exporters need to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LanguageInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The MIME type of its source files, such as `text/x-rust`.
    pub mimetype: String,
    /// The extension of its source files, with the dot.
    pub file_extension: String,
    /// The CodeMirror mode that colours it, if one does: its name, or an object such as
    /// `{"name": "sums", "mime": "text/x-rust"}`, of which front ends use the first member that they know.
    pub codemirror_mode: Option<Value>,
    /// The Pygments lexer that colours it, if one does.
    pub pygments_lexer: Option<String>,
}

/// How a running cell is stopped. It is used from another thread, and only while a cell runs.
#[derive(Clone)]
pub struct InterruptHandle(Means);

#[derive(Clone)]
enum Means {
    None,
    Flag(Arc<AtomicBool>),
    Call(Arc<dyn Fn() + Send + Sync>),
}

impl InterruptHandle {
    /// Cells cannot be stopped.
    pub fn none() -> Self {
        Self(Means::None)
    }

    /// Sets a flag that the interpreter looks at while it works. The kernel clears it before each cell; an
    /// interpreter that cleared it by itself at the start of a cell would lose an early interrupt.
    pub fn flag(flag: Arc<AtomicBool>) -> Self {
        Self(Means::Flag(flag))
    }

    /// Calls `stop`. It may come before the interpreter has begun with the cell, so whatever `stop` sets must be
    /// cleared at the end of a cell, not at its start.
    pub fn call(stop: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Means::Call(Arc::new(stop)))
    }

    pub(crate) fn interrupt(&self) {
        match &self.0 {
            Means::None => {}
            Means::Flag(flag) => flag.store(true, Ordering::SeqCst),
            Means::Call(stop) => stop(),
        }
    }

    pub(crate) fn clear(&self) {
        if let Means::Flag(flag) = &self.0 {
            flag.store(false, Ordering::SeqCst);
        }
    }
}

impl std::fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Means::None => "InterruptHandle::none",
            Means::Flag(_) => "InterruptHandle::flag",
            Means::Call(_) => "InterruptHandle::call",
        })
    }
}

/// What could be inserted, and which part of the code it replaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// The candidates, best first.
    pub matches: Vec<Completion>,
    /// Where the replaced part starts, in code points.
    pub start: usize,
    /// Where it ends, in code points; usually the cursor.
    pub end: usize,
}

impl Completions {
    /// No candidates at `cursor`.
    pub fn none(cursor: usize) -> Self {
        Self { matches: Vec::new(), start: cursor, end: cursor }
    }
}

/// One candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    /// The text that would stand there.
    pub text: String,
    /// What it is, for the icon beside it: `function`, `keyword`, `instance`, `path`…
    pub kind: Option<String>,
    /// Its parameters as text, such as `(image, octaves=4)`.
    pub signature: Option<String>,
}

impl Completion {
    /// A candidate of unknown kind.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), kind: None, signature: None }
    }

    /// The same, of this kind.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// The same, with this signature.
    #[must_use]
    pub fn signature(mut self, signature: impl Into<String>) -> Self {
        self.signature = Some(signature.into());
        self
    }
}

/// How much [`Interpreter::inspect`] should say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// The documentation (`name?`, Shift-Tab).
    #[default]
    Docs,
    /// The source as well (`name??`).
    Source,
}

/// Whether code can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It can.
    Complete,
    /// More is to come; the next line should start with `indent`.
    Incomplete {
        /// White space for the next line.
        indent: String,
    },
    /// It is wrong whatever follows.
    Invalid,
    /// The interpreter cannot tell.
    Unknown,
}

/// The byte offset of code point `cursor` of `code`; its length if the cursor is beyond the end.
///
/// ```
/// assert_eq!(percept_kernel::byte_offset("äb", 1), 2);
/// ```
pub fn byte_offset(code: &str, cursor: usize) -> usize {
    code.char_indices().nth(cursor).map_or(code.len(), |(at, _)| at)
}

/// The number of code points before byte `offset` of `code`.
///
/// ```
/// assert_eq!(percept_kernel::char_offset("äb", 2), 1);
/// ```
pub fn char_offset(code: &str, offset: usize) -> usize {
    code.char_indices().take_while(|(at, _)| *at < offset).count()
}
