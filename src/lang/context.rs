//! What a running function can reach: the interrupt, progress, random numbers, callbacks.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rhai::{Dynamic, EvalAltResult, FnPtr, NativeCallContext};

use super::scan::Scan;
use crate::error::{Error, Kind, Result};

/// A flag that stops the running evaluation. Clones share it; any thread may raise it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Work that nobody stops.
    pub fn never() -> Self {
        Self::default()
    }

    /// Asks the evaluation to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Forgets an earlier request.
    pub fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Has a stop been asked for?
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns early with an error once a stop was asked for; long loops call it often.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_raised() { Err(Error::interrupted()) } else { Ok(()) }
    }
}

/// How far a long job has come.
#[derive(Clone, Debug)]
pub struct Report {
    /// What is being done: "dream".
    pub label: String,
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
    /// Has the job ended, finished or not?
    pub ended: bool,
}

/// Makes a picture of a job under way; it takes time, so it is called only when there is a place for it.
pub type Preview<'a> = &'a dyn Fn() -> Result<Dynamic>;

/// What the surroundings of the interpreter provide: a terminal, a notebook, a test.
pub trait Host {
    /// Writes text that the script prints, without adding a line break.
    fn print(&self, text: &str);
    /// Writes a warning, apart from what the script prints, without adding a line break.
    fn eprint(&self, text: &str);
    /// Shows how far a long job has come, and if asked for it what has been made so far; called often.
    fn progress(&self, report: &Report, preview: Option<Preview<'_>>);
    /// Takes away what the running text has shown; if `wait`, when there is something new to show.
    fn clear(&self, wait: bool);
    /// Asks the person for a line of text.
    ///
    /// # Errors
    /// There is nobody to ask, or the answer was a stop.
    fn input(&self, prompt: &str) -> Result<String>;
    /// Shows a value, with a title if one is given.
    ///
    /// # Errors
    /// The picture cannot be made or written.
    fn show(&self, value: &Dynamic, title: Option<&str>) -> Result<()>;
}

/// A text that was compiled, for reports and for finding the place of an argument.
#[derive(Debug)]
pub(super) struct Source {
    pub text: String,
    pub scan: Scan,
}

/// What lives as long as the interpreter and is shared with its callbacks.
pub(super) struct Runtime {
    pub interrupt: Interrupt,
    pub host: RefCell<Rc<dyn Host>>,
    pub seeds: RefCell<ChaCha8Rng>,
    pub sources: RefCell<HashMap<String, Rc<Source>>>,
    /// Variables of the session, shared with its scope, for functions that name them.
    pub globals: RefCell<BTreeMap<String, Dynamic>>,
    /// Names of the functions that cells define.
    pub functions: RefCell<BTreeSet<String>>,
    /// Was a job stopped before its end, in the call that is running?
    pub stopped: Cell<bool>,
    /// What the call of a stopped job has returned all the same.
    pub unfinished: RefCell<Option<Dynamic>>,
}

impl Runtime {
    pub fn new(host: Rc<dyn Host>) -> Self {
        Self {
            interrupt: Interrupt::default(),
            host: RefCell::new(host),
            seeds: RefCell::new(ChaCha8Rng::seed_from_u64(0)),
            sources: RefCell::default(),
            globals: RefCell::default(),
            functions: RefCell::default(),
            stopped: Cell::default(),
            unfinished: RefCell::default(),
        }
    }

    pub fn host(&self) -> Rc<dyn Host> {
        Rc::clone(&self.host.borrow())
    }

    pub fn source(&self, name: &str) -> Option<Rc<Source>> {
        self.sources.borrow().get(name).map(Rc::clone)
    }
}

/// The surroundings of one call of a builtin.
pub struct Context<'a> {
    pub(super) call: &'a NativeCallContext<'a>,
    pub(super) runtime: &'a Runtime,
    /// The error of a callback, with its own place in the script.
    pub(super) callback_error: RefCell<Option<Box<EvalAltResult>>>,
    /// What was chosen for arguments that were left out.
    pub(super) notes: RefCell<Vec<(&'static str, String)>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(call: &'a NativeCallContext<'a>, runtime: &'a Runtime) -> Self {
        Self { call, runtime, callback_error: RefCell::default(), notes: RefCell::default() }
    }

    /// The flag that asks this call to stop.
    pub fn interrupt(&self) -> &Interrupt {
        &self.runtime.interrupt
    }

    /// Starts reporting a job of `total` steps.
    pub fn progress(&self, label: &str, total: usize) -> Progress<'a> {
        Progress {
            runtime: self.runtime,
            report: RefCell::new(Report { label: label.to_owned(), done: 0, total, ended: false }),
            begun: Cell::new(false),
        }
    }

    /// The seed of this call: the one given, or the next of the session's.
    pub fn seed(&self, given: Option<u64>) -> u64 {
        // scripts hold signed integers: keep a drawn seed within what `seed=` accepts
        let seed = given.unwrap_or_else(|| self.runtime.seeds.borrow_mut().next_u64() >> 1);
        self.note("seed", seed.to_string());
        seed
    }

    /// Notes what was chosen for an argument, for the provenance of the result.
    pub fn note(&self, parameter: &'static str, chosen: String) {
        self.notes.borrow_mut().push((parameter, chosen));
    }

    /// Starts the session's seeds anew.
    pub fn reseed(&self, seed: u64) {
        *self.runtime.seeds.borrow_mut() = ChaCha8Rng::seed_from_u64(seed);
    }

    /// Shows a value.
    ///
    /// # Errors
    /// The picture cannot be made or written.
    pub fn show(&self, value: &Dynamic, title: Option<&str>) -> Result<()> {
        self.runtime.host().show(value, title)
    }

    /// The functions that cells and modules define.
    pub fn functions(&self) -> Vec<super::ScriptFunction> {
        super::engine::script_functions(self.call.engine())
    }

    /// Writes text where the script prints.
    pub fn print(&self, text: &str) {
        self.runtime.host().print(text);
    }

    /// Writes text as a warning.
    pub fn eprint(&self, text: &str) {
        self.runtime.host().eprint(text);
    }

    /// Takes away what the running text has shown; if `wait`, when there is something new to show.
    pub fn clear(&self, wait: bool) {
        self.runtime.host().clear(wait);
    }

    /// Asks the person for a line of text.
    ///
    /// # Errors
    /// There is nobody to ask, or the answer was a stop.
    pub fn input(&self, prompt: &str) -> Result<String> {
        let answer = self.runtime.host().input(prompt);
        self.runtime.interrupt.check()?;
        answer
    }

    /// Calls a function of the script.
    ///
    /// # Errors
    /// The function failed; the script error keeps its own place.
    pub fn call(&self, function: &FnPtr, arguments: Vec<Dynamic>) -> Result<Dynamic> {
        function.call_raw(self.call, None, arguments).map_err(|error| {
            let marker = Error::new(Kind::Script, error.to_string());
            *self.callback_error.borrow_mut() = Some(error);
            marker
        })
    }
}

/// Reports the steps of a job, and stops it when it is interrupted. Dropping it ends the report.
pub struct Progress<'a> {
    runtime: &'a Runtime,
    report: RefCell<Report>,
    begun: Cell<bool>,
}

impl Progress<'_> {
    /// Counts steps as done.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] once a stop was asked for.
    pub fn advance(&self, steps: usize) -> Result<()> {
        self.step(steps, None)
    }

    /// Counts steps as done, and offers a picture of what has been made so far.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] once a stop was asked for.
    pub fn advance_showing(&self, steps: usize, preview: Preview<'_>) -> Result<()> {
        self.step(steps, Some(preview))
    }

    fn step(&self, steps: usize, preview: Option<Preview<'_>>) -> Result<()> {
        self.report.borrow_mut().done += steps;
        self.begun.set(true);
        self.runtime.host().progress(&self.report.borrow(), preview);
        self.runtime.interrupt.check()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let unfinished = {
            let report = self.report.borrow();
            report.done < report.total
        };
        if unfinished && self.runtime.interrupt.is_raised() {
            self.runtime.stopped.set(true);
        }
        if self.begun.get() {
            self.report.borrow_mut().ended = true;
            self.runtime.host().progress(&self.report.borrow(), None);
        }
    }
}
