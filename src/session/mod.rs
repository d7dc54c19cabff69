//! A session: what every front end stands on. It evaluates, completes, inspects and presents.

mod commands;
mod complete;
mod functions;
mod help;
mod manual;
mod output;
mod present;
mod sections;
mod shown;
mod sink;
mod threads;

use std::path::{Path, PathBuf};
use std::rc::Rc;

pub use commands::{Ask, COMMANDS, Command, read as read_command};
pub use complete::{Candidate, Completeness, Completion, Signature};
pub use manual::manual;
pub use output::Output;
pub use sink::{Preview, Sink};
pub use threads::{threads, use_threads};

use crate::error::{Error, Kind, Result};
use crate::job::{Interrupt, Report, Reporter, Shard};
use crate::lang::{Dynamic, Host, Interpreter};
pub use crate::lang::{Highlight, TokenKind};
pub(crate) use crate::render::escape;

/// An interpreter with its variables and its output.
///
/// ```
/// use std::rc::Rc;
/// use percept::session::{Session, Silent};
///
/// let mut session = Session::new(Rc::new(Silent));
/// let outcome = session.eval("1 + 1");
/// assert_eq!(outcome.output.unwrap().text, "2");
/// ```
pub struct Session {
    interpreter: Interpreter,
    sink: Rc<dyn Sink>,
    cells: usize,
    /// The cells that were evaluated without an error.
    log: Vec<String>,
    /// The last one, whatever became of it.
    last: String,
}

/// What became of an evaluation.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The last value, presented; nothing if there was none or it is `()`.
    pub output: Option<Output>,
    /// What went wrong.
    pub error: Option<Error>,
    /// What is left for the front end to do.
    pub ask: Option<Ask>,
}

/// A sink that shows nothing.
#[derive(Debug)]
pub struct Silent;

impl Sink for Silent {
    fn print(&self, _: &str) {}
    fn progress(&self, _: &Report, _: Option<Preview<'_>>) {}
    fn display(&self, _: &Output) -> Result<()> {
        Ok(())
    }
}

/// Presents what scripts show, and hands it to the sink.
struct Presenter(Rc<dyn Sink>);

impl Reporter for Presenter {
    fn progress(&self, report: &Report, preview: Option<crate::job::Preview<'_>>) {
        match preview {
            Some(preview) => self.0.progress(report, Some(&|| present::present(&preview()?, None))),
            None => self.0.progress(report, None),
        }
    }
}

impl Host for Presenter {
    fn print(&self, text: &str) {
        self.0.print(text);
    }

    fn eprint(&self, text: &str) {
        self.0.eprint(text);
    }

    fn clear(&self, wait: bool) {
        self.0.clear(wait);
    }

    fn input(&self, prompt: &str) -> Result<String> {
        self.0.input(prompt)
    }

    fn show(&self, value: &Dynamic, title: Option<&str>) -> Result<()> {
        self.0.display(&present::present(value, title)?)
    }
}

impl Session {
    /// A new session that shows its output on `sink`. It stays on the thread that made it.
    pub fn new(sink: Rc<dyn Sink>) -> Self {
        let interpreter = Interpreter::new(Rc::new(Presenter(Rc::clone(&sink))));
        Self { interpreter, sink, cells: 0, log: Vec::new(), last: String::new() }
    }

    /// Evaluates a cell: the next of the session's, called `cell 1`, `cell 2`, … in reports. It may be a
    /// [command](COMMANDS).
    pub fn eval(&mut self, code: &str) -> Outcome {
        self.eval_cell(self.cells + 1, code)
    }

    /// Evaluates a cell that has a number.
    pub fn eval_cell(&mut self, number: usize, code: &str) -> Outcome {
        if let Some((command, argument)) = read_command(code) {
            return commands::run(self, command, argument);
        }
        self.cells = number;
        let name = format!("cell {number}");
        let outcome = self.eval_named(&name, code);
        code.clone_into(&mut self.last);
        if outcome.error.is_none() {
            self.log.push(code.to_owned());
        }
        outcome
    }

    /// Evaluates a text that has a name, for example its file's.
    ///
    /// A running function that is interrupted may hand back what it has made so far: then there is
    /// an output and an error of kind [`Kind::Interrupted`], whatever the script meant to do with it.
    pub fn eval_named(&mut self, name: &str, code: &str) -> Outcome {
        let result = self.interpreter.eval(name, code);
        let interrupted = self.interpreter.interrupt().is_raised();
        self.interpreter.interrupt().clear();
        let unfinished = self.interpreter.take_unfinished();
        let (value, error) = match result {
            Ok(value) if interrupted && value.is_unit() => (unfinished.unwrap_or_default(), Some(Error::interrupted())),
            Ok(value) => (value, interrupted.then(Error::interrupted)),
            Err(error) if error.kind() == Kind::Interrupted => (unfinished.unwrap_or_default(), Some(error)),
            Err(error) => (Dynamic::UNIT, Some(error)),
        };
        if value.is_unit() {
            return Outcome { error, ..Outcome::default() };
        }
        let presented = present::present(&value, None);
        self.interpreter.set("_", value);
        match presented {
            Ok(output) => Outcome { output: Some(output), error, ..Outcome::default() },
            Err(fault) => Outcome { error: Some(fault), ..Outcome::default() },
        }
    }

    /// The flag that stops a running evaluation; it may be raised from any thread.
    pub fn interrupt(&self) -> Interrupt {
        self.interpreter.interrupt()
    }

    /// Starts the session's random numbers anew.
    pub fn reseed(&self, seed: u64) {
        self.interpreter.reseed(seed);
    }

    /// Lets what follows do a part of shared work only: `store` looks at the images of this part.
    pub fn set_shard(&self, shard: Shard) {
        self.interpreter.set_shard(shard);
    }

    /// Sets the variable `args` to a list of strings.
    pub fn set_arguments(&mut self, arguments: &[String]) {
        let list = arguments.iter().map(|argument| Dynamic::from(argument.clone())).collect();
        self.interpreter.set("args", Dynamic::from_array(list));
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: Dynamic) {
        self.interpreter.set(name, value);
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<Dynamic> {
        self.interpreter.get(name)
    }

    /// The folder that `import` searches first.
    pub fn set_import_folder(&mut self, folder: PathBuf) {
        self.interpreter.set_import_folder(folder);
    }

    /// The folder at which the relative paths start that the session reads or writes: those of functions, imports and
    /// commands. It is the process's working folder unless set; a relative `folder` starts at that.
    pub fn set_working_folder(&mut self, folder: &Path) {
        self.interpreter.set_working_folder(folder);
    }

    /// The variables with the names of their types, in the order they were made.
    pub fn variables(&self) -> Vec<(String, &'static str)> {
        let variables = self.interpreter.variables();
        variables.iter().map(|(name, value)| (name.clone(), crate::lang::type_name(value))).collect()
    }

    /// What could stand at the cursor, which counts characters.
    pub fn complete(&self, code: &str, cursor: usize) -> Completion {
        complete::complete(&self.interpreter, code, cursor)
    }

    /// The documentation of what stands at the cursor, as Markdown.
    pub fn inspect(&self, code: &str, cursor: usize) -> Option<Output> {
        help::inspect(&self.interpreter, code, cursor)
    }

    /// The signature of the call that is being typed at the end of a text.
    pub fn signature_at(&self, before: &str) -> Option<Signature> {
        complete::signature_at(&self.interpreter, before)
    }

    /// How far a line is indented that begins behind this text, in columns.
    pub fn indentation(&self, before: &str) -> usize {
        complete::indentation(&self.interpreter, before)
    }

    /// What a text consists of, also if it is half-typed.
    pub fn highlights(&self, code: &str) -> Vec<Highlight> {
        self.interpreter.highlights(code)
    }

    /// Is there a function of this name?
    pub fn has_function(&self, name: &str) -> bool {
        self.interpreter.has_function(name)
    }

    /// Is this a whole program, or does more have to come?
    pub fn is_complete(&self, code: &str) -> Completeness {
        if read_command(code).is_some() {
            return Completeness::Complete;
        }
        complete::is_complete(&self.interpreter, code)
    }
}

impl Outcome {
    /// Was the evaluation stopped by the user?
    pub fn interrupted(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.kind() == Kind::Interrupted)
    }
}
