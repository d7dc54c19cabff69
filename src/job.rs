//! What a running job has: an interrupt, progress, random seeds, a working folder, and notes on what was chosen for it.
//!
//! Every method takes a [`Job`]. In the language the call's context provides it; in Rust, [`Job::detached`] does.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rhai::{Dynamic, EvalAltResult, FnPtr, NativeCallContext};

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

/// Where a job reports its progress.
pub trait Reporter {
    /// Shows how far a long job has come, and if asked for it what has been made so far; called often.
    fn progress(&self, report: &Report, preview: Option<Preview<'_>>);
}

/// A reporter that shows nothing.
struct Silent;

impl Reporter for Silent {
    fn progress(&self, _: &Report, _: Option<Preview<'_>>) {}
}

/// The random numbers of a session, from which calls without a seed draw theirs.
pub type Seeds = Rc<RefCell<ChaCha8Rng>>;

/// The random numbers that start with `seed`.
pub fn seeds(seed: u64) -> Seeds {
    Rc::new(RefCell::new(ChaCha8Rng::seed_from_u64(seed)))
}

/// The list that a method is called with, which runs for each of its values.
pub struct List {
    /// The values.
    pub values: Vec<Dynamic>,
    /// What a method keeps for those that come next.
    pub store: RefCell<Option<Box<dyn Any>>>,
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

/// The state of works that were stopped before their end, the latest first; shared by the jobs of a session.
pub type Unfinished = Rc<RefCell<VecDeque<Rc<dyn Any>>>>;

/// So many unfinished works are kept.
const MOST_UNFINISHED: usize = 4;

/// A part of work that several runs of a script share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 0.
    index: usize,
    /// Of how many.
    of: usize,
}

impl Shard {
    /// Whether it has the piece of work of this number.
    pub fn has(self, piece: usize) -> bool {
        piece % self.of == self.index
    }
}

impl FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index: index - 1, of }),
            _ => Err("must be i/n with i from 1 to n, such as 2/4".to_owned()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.of)
    }
}

/// What one call of a method has at hand besides its arguments.
pub struct Job<'a> {
    interrupt: Interrupt,
    reporter: Rc<dyn Reporter>,
    seeds: Seeds,
    /// Where relative paths start; empty for the process's working folder.
    folder: Rc<Path>,
    /// What was chosen for arguments that were left out.
    notes: RefCell<Vec<(&'static str, String)>>,
    /// The list that the method runs over, and the place in it.
    item: RefCell<Option<(Rc<List>, usize)>>,
    /// What earlier calls have left unfinished.
    unfinished: Unfinished,
    /// The part of shared work that this run does, if it does not do all.
    shard: Option<Shard>,
    /// Was a job stopped before its end?
    stopped: Cell<bool>,
    /// The call in a script that it belongs to.
    call: Option<&'a NativeCallContext<'a>>,
    /// The error of a function of the script, with its own place there.
    callback_error: RefCell<Option<Box<EvalAltResult>>>,
}

impl<'a> Job<'a> {
    /// A job that shares the session's interrupt, reporter and random numbers, in the process's working folder.
    pub fn new(interrupt: Interrupt, reporter: Rc<dyn Reporter>, seeds: Seeds) -> Self {
        Self {
            interrupt,
            reporter,
            seeds,
            folder: Rc::from(Path::new("")),
            notes: RefCell::default(),
            item: RefCell::default(),
            unfinished: Unfinished::default(),
            shard: None,
            stopped: Cell::default(),
            call: None,
            callback_error: RefCell::default(),
        }
    }

    /// A job for use from Rust: nobody interrupts it, it reports nothing, and its seeds start at 0.
    ///
    /// ```
    /// use percept::{Job, image::photo, vis::classify};
    ///
    /// let answer = classify(&Job::detached(), &photo("chelsea")?, 5, &Default::default())?;
    /// assert_eq!(answer.ranked[0].name, "Egyptian cat");
    /// # Ok::<(), percept::Error>(())
    /// ```
    pub fn detached() -> Self {
        Self::new(Interrupt::never(), Rc::new(Silent), seeds(0))
    }

    /// The same job, stopped by `interrupt`.
    #[must_use]
    pub fn with_interrupt(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// The same job, reporting to `reporter`.
    #[must_use]
    pub fn with_reporter(self, reporter: Rc<dyn Reporter>) -> Self {
        Self { reporter, ..self }
    }

    /// The same job, in another working folder.
    #[must_use]
    pub fn with_folder(self, folder: Rc<Path>) -> Self {
        Self { folder, ..self }
    }

    /// The same job, with what other jobs have left unfinished.
    #[must_use]
    pub fn with_unfinished(self, unfinished: Unfinished) -> Self {
        Self { unfinished, ..self }
    }

    /// The same job, which does its part of shared work only.
    #[must_use]
    pub fn with_shard(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    /// The part of shared work that this run does, if it does not do all.
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// The same job, of a call in a script.
    pub(crate) fn with_call(self, call: &'a NativeCallContext<'a>) -> Self {
        Self { call: Some(call), ..self }
    }

    /// Says that the method is called for one value after the other of a list.
    pub(crate) fn at_item(&self, list: &Rc<List>, place: usize) {
        *self.item.borrow_mut() = Some((list.clone(), place));
    }

    /// The list whose values the method is called for, and the place in it, if there is one.
    pub fn item(&self) -> Option<(Rc<List>, usize)> {
        self.item.borrow().clone()
    }

    /// Calls a function of the script.
    ///
    /// # Errors
    /// The function failed; the script error keeps its own place. Or the job was not started by a script.
    pub fn call(&self, function: &FnPtr, arguments: Vec<Dynamic>) -> Result<Dynamic> {
        let call = self.call.ok_or_else(|| Error::new(Kind::Internal, "only a script can call its functions"))?;
        let count = arguments.len();
        function.call_raw(call, None, arguments).map_err(|error| {
            if matches!(&*error, EvalAltResult::ErrorFunctionNotFound(sign, _) if sign.starts_with(function.fn_name()))
            {
                let plural = if count == 1 { "" } else { "s" };
                return Error::new(
                    Kind::Argument,
                    format!("the function that was given must take {count} argument{plural}"),
                );
            }
            let marker = Error::new(Kind::Script, error.to_string());
            *self.callback_error.borrow_mut() = Some(error);
            marker
        })
    }

    /// The error of the last function of the script that failed.
    pub(crate) fn take_callback_error(&self) -> Option<Box<EvalAltResult>> {
        self.callback_error.borrow_mut().take()
    }

    /// The file that a path of the user means: a relative one starts at the job's working folder.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    /// Keeps the state of a work that was stopped, so that it can go on; only a few of the latest are kept.
    pub fn keep_unfinished<T: 'static>(&self, work: T) {
        let mut kept = self.unfinished.borrow_mut();
        kept.push_front(Rc::new(work));
        kept.truncate(MOST_UNFINISHED);
    }

    /// The latest unfinished work for which `is` holds.
    pub fn unfinished<T: Clone + 'static>(&self, is: impl Fn(&T) -> bool) -> Option<T> {
        let kept = self.unfinished.borrow();
        kept.iter().filter_map(|work| work.downcast_ref::<T>()).find(|work| is(work)).cloned()
    }

    /// The flag that asks this job to stop.
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Starts reporting a job of `total` steps.
    pub fn progress(&self, label: &str, total: usize) -> Progress<'_> {
        Progress {
            job: self,
            report: RefCell::new(Report { label: label.to_owned(), done: 0, total, ended: false }),
            begun: Cell::new(false),
        }
    }

    /// The seed of this call: the one given, or the next of the session's.
    pub fn seed(&self, given: Option<u64>) -> u64 {
        // scripts hold signed integers: keep a drawn seed within what `seed=` accepts
        let seed = given.unwrap_or_else(|| self.seeds.borrow_mut().next_u64() >> 1);
        self.note("seed", seed.to_string());
        seed
    }

    /// Notes what was chosen for an argument, for the provenance of the result.
    pub fn note(&self, parameter: &'static str, chosen: String) {
        self.notes.borrow_mut().push((parameter, chosen));
    }

    /// What was chosen for arguments that were left out.
    pub(crate) fn notes(&self) -> Vec<(&'static str, String)> {
        self.notes.borrow().clone()
    }

    /// Forgets the notes of what was made before.
    pub(crate) fn forget_notes(&self) {
        self.notes.borrow_mut().clear();
    }

    /// Starts the session's seeds anew.
    pub fn reseed(&self, seed: u64) {
        *self.seeds.borrow_mut() = ChaCha8Rng::seed_from_u64(seed);
    }

    /// Was this job stopped before its end, and does it perhaps return what it has made so far?
    pub fn stopped(&self) -> bool {
        self.stopped.get()
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("interrupt", &self.interrupt).field("notes", &self.notes).finish_non_exhaustive()
    }
}

/// Reports the steps of a job, and stops it when it is interrupted. Dropping it ends the report.
pub struct Progress<'a> {
    job: &'a Job<'a>,
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

    /// No more steps are needed than were done: the report ends complete.
    pub fn end(&self) {
        let mut report = self.report.borrow_mut();
        report.total = report.done;
    }

    fn step(&self, steps: usize, preview: Option<Preview<'_>>) -> Result<()> {
        self.report.borrow_mut().done += steps;
        self.begun.set(true);
        self.job.reporter.progress(&self.report.borrow(), preview);
        self.job.interrupt.check()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let unfinished = {
            let report = self.report.borrow();
            report.done < report.total
        };
        if unfinished && self.job.interrupt.is_raised() {
            self.job.stopped.set(true);
        }
        if self.begun.get() {
            self.report.borrow_mut().ended = true;
            self.job.reporter.progress(&self.report.borrow(), None);
        }
    }
}
