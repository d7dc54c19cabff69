//! What a running function of the language can reach: its job, the host, callbacks.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Deref;
use std::path::Path;
use std::rc::Rc;

use rhai::{Dynamic, NativeCallContext};

use super::scan::Scan;
use crate::error::Result;
use crate::job::{Interrupt, Job, Reporter, Seeds, Shard, Unfinished, seeds};

/// What the surroundings of the interpreter provide: a terminal, a notebook, a test.
pub trait Host: Reporter {
    /// Writes text that the script prints, without adding a line break.
    fn print(&self, text: &str);
    /// Writes a warning, apart from what the script prints, without adding a line break.
    fn eprint(&self, text: &str);
    /// Removes what the running text has shown; if `wait`, when there is something new to show.
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
    pub seeds: Seeds,
    /// Where relative paths start; empty for the process's working folder.
    pub folder: RefCell<Rc<Path>>,
    pub sources: RefCell<HashMap<String, Rc<Source>>>,
    /// Variables of the session, shared with its scope, for functions that name them.
    pub globals: RefCell<BTreeMap<String, Dynamic>>,
    /// Names of the functions that cells define.
    pub functions: RefCell<BTreeSet<String>>,
    /// What the call of a stopped job has returned all the same.
    pub unfinished: RefCell<Option<Dynamic>>,
    /// The state of works that can go on.
    pub works: Unfinished,
    /// The part of shared work that this run does.
    pub shard: Cell<Option<Shard>>,
}

impl Runtime {
    pub fn new(host: Rc<dyn Host>) -> Self {
        Self {
            interrupt: Interrupt::default(),
            host: RefCell::new(host),
            seeds: seeds(0),
            folder: RefCell::new(Rc::from(Path::new(""))),
            sources: RefCell::default(),
            globals: RefCell::default(),
            functions: RefCell::default(),
            unfinished: RefCell::default(),
            works: Unfinished::default(),
            shard: Cell::default(),
        }
    }

    pub fn host(&self) -> Rc<dyn Host> {
        Rc::clone(&self.host.borrow())
    }

    pub fn folder(&self) -> Rc<Path> {
        Rc::clone(&self.folder.borrow())
    }

    pub fn source(&self, name: &str) -> Option<Rc<Source>> {
        self.sources.borrow().get(name).map(Rc::clone)
    }
}

/// The surroundings of one call of a function: a [`Job`] that can also reach the language and its host.
pub struct Context<'a> {
    pub(super) call: &'a NativeCallContext<'a>,
    pub(super) runtime: &'a Runtime,
    job: Job<'a>,
}

impl<'a> Deref for Context<'a> {
    type Target = Job<'a>;

    fn deref(&self) -> &Job<'a> {
        &self.job
    }
}

impl<'a> Context<'a> {
    pub(super) fn new(call: &'a NativeCallContext<'a>, runtime: &'a Runtime) -> Self {
        let job = Job::new(runtime.interrupt.clone(), runtime.host(), Rc::clone(&runtime.seeds))
            .with_folder(runtime.folder())
            .with_unfinished(Rc::clone(&runtime.works))
            .with_shard(runtime.shard.get())
            .with_call(call);
        Self { call, runtime, job }
    }

    /// Shows a value.
    ///
    /// # Errors
    /// The picture cannot be made or written.
    pub fn show(&self, value: &Dynamic, title: Option<&str>) -> Result<()> {
        self.runtime.host().show(value, title)
    }

    /// Writes text where the script prints.
    pub fn print(&self, text: &str) {
        self.runtime.host().print(text);
    }

    /// Writes text as a warning.
    pub fn eprint(&self, text: &str) {
        self.runtime.host().eprint(text);
    }

    /// Removes what the running text has shown; if `wait`, when there is something new to show.
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
}
