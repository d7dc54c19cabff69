//! What a running cell can do besides compute: print, show, ask.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::MimeBundle;
use crate::iopub::{Added, Channel, Outbox, Outgoing, Stream, Text};
use crate::message::{Request, message};
use crate::stdin::{InputError, Stdin};

/// The way from a cell to the person who runs it.
///
/// An `Io` is a cheap handle on one cell: clones may be kept in callbacks and sent to other threads, and whatever they
/// show, even later, appears under that cell. Everything arrives in the order in which it was shown. A method waits
/// only when megabytes of output are still on their way; [`input`](Self::input) waits for the answer.
#[derive(Clone)]
pub struct Io(Arc<Inner>);

struct Inner {
    request: Arc<Request>,
    outbox: Arc<Outbox>,
    stdin: Arc<Stdin>,
    text: Arc<Text>,
    /// Held from taking the pending text to having sent what must follow it: one order for all threads.
    order: Mutex<()>,
    payload: Mutex<Vec<Value>>,
    execution_count: usize,
    silent: bool,
}

impl Io {
    /// Prints to the cell's output. Prints in quick succession reach the front end as one.
    pub fn stdout(&self, text: &str) {
        self.print(Stream::Stdout, text);
    }

    /// Prints to the cell's output as an error or warning.
    pub fn stderr(&self, text: &str) {
        self.print(Stream::Stderr, text);
    }

    /// Shows something.
    pub fn display(&self, bundle: MimeBundle) {
        self.show("display_data", None, bundle);
    }

    /// Shows something that [`update_display`](Self::update_display) can replace under the same `id`. Ids are the
    /// interpreter's own and live as long as the notebook, so make them unique.
    pub fn display_with_id(&self, id: &str, bundle: MimeBundle) {
        self.show("display_data", Some(id), bundle);
    }

    /// Replaces what was shown under `id`, wherever it stands, in this cell or an earlier one.
    pub fn update_display(&self, id: &str, bundle: MimeBundle) {
        self.show("update_display_data", Some(id), bundle);
    }

    /// Clears the cell's output: at once, or, with `wait`, when the next output comes, which does not flicker.
    pub fn clear_output(&self, wait: bool) {
        self.publish("clear_output", json!({ "wait": wait }), 0);
    }

    /// Asks the user for a line of text.
    ///
    /// # Errors
    /// If the front end cannot ask, if the cell is interrupted meanwhile, or if the kernel shuts down.
    pub fn input(&self, prompt: &str) -> Result<String, InputError> {
        self.ask(prompt, false)
    }

    /// Asks for a line of text that must not be seen.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub fn password(&self, prompt: &str) -> Result<String, InputError> {
        self.ask(prompt, true)
    }

    /// Opens the front end's pager with `bundle` when the cell has ended without an error: for help.
    pub fn page(&self, bundle: MimeBundle) {
        self.payload(json!({ "source": "page", "data": bundle.data, "start": 0 }));
    }

    /// Puts `text` into a new cell below, or, with `replace`, into this one, when the cell has ended without an error.
    pub fn set_next_input(&self, text: &str, replace: bool) {
        self.payload(json!({ "source": "set_next_input", "text": text, "replace": replace }));
    }

    /// Asks the front end to leave, as a console does at `exit`, when the cell has ended without an error.
    pub fn ask_exit(&self) {
        self.payload(json!({ "source": "ask_exit", "keepkernel": false }));
    }

    /// The number of the cell, as in `In [3]`.
    pub fn execution_count(&self) -> usize {
        self.0.execution_count
    }

    /// Whether the front end asked for no output at all. What is shown is dropped; it need not be made.
    pub fn is_silent(&self) -> bool {
        self.0.silent
    }

    /// Whether [`input`](Self::input) can be answered.
    pub fn can_ask(&self) -> bool {
        self.0.request.flag("allow_stdin", false)
    }
}

impl Io {
    pub(crate) fn new(
        request: Arc<Request>,
        outbox: Arc<Outbox>,
        stdin: Arc<Stdin>,
        execution_count: usize,
        silent: bool,
    ) -> Self {
        let text = Arc::new(Text::new(request.clone()));
        let (order, payload) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { request, outbox, stdin, text, order, payload, execution_count, silent }))
    }

    /// The same cell, for work of which nothing must be seen.
    pub(crate) fn silenced(&self) -> Self {
        let Inner { request, outbox, stdin, execution_count, .. } = &*self.0;
        Self::new(request.clone(), outbox.clone(), stdin.clone(), *execution_count, true)
    }

    /// Publishes a message of this cell after everything printed so far.
    pub(crate) fn publish(&self, kind: &str, content: Value, weight: usize) {
        if !self.0.silent {
            self.send_after_text(|request| (Outgoing::Publish(request.broadcast(kind, content)), weight));
        }
    }

    /// Sends what is printed so far on its way.
    pub(crate) fn flush(&self) {
        let _order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner);
        self.send_text();
    }

    /// What the front end is to do when the cell has ended.
    pub(crate) fn take_payload(&self) -> Vec<Value> {
        std::mem::take(&mut *self.0.payload.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn print(&self, stream: Stream, text: &str) {
        if self.0.silent || text.is_empty() {
            return;
        }
        let _order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces(text) {
            match self.0.text.add(stream, piece) {
                Added::Full => self.send_text(),
                Added::First(generation) => {
                    self.0.outbox.push_now(Outgoing::TextPending(self.0.text.clone(), generation));
                }
                Added::More => {}
            }
        }
    }

    fn show(&self, kind: &str, id: Option<&str>, bundle: MimeBundle) {
        let weight = bundle.weight();
        self.publish(kind, bundle.into_display(id), weight);
    }

    fn ask(&self, prompt: &str, password: bool) -> Result<String, InputError> {
        if !self.can_ask() {
            return Err(InputError::NotAllowed);
        }
        let content = json!({ "prompt": prompt, "password": password });
        let question = message("input_request", content, Some(&self.0.request.parent));
        self.0.stdin.ask(&question.header.msg_id.clone(), &self.0.request.parent.header.msg_id, || {
            self.send_after_text(|_| (Outgoing::Answer(Channel::Stdin, question), 0));
        })
    }

    fn payload(&self, payload: Value) {
        self.0.payload.lock().unwrap_or_else(PoisonError::into_inner).push(payload);
    }

    fn send_after_text(&self, make: impl FnOnce(&Request) -> (Outgoing, usize)) {
        let _order = self.0.order.lock().unwrap_or_else(PoisonError::into_inner);
        self.send_text();
        let (outgoing, weight) = make(&self.0.request);
        self.0.outbox.push(outgoing, weight);
    }

    /// The caller holds `order`.
    fn send_text(&self) {
        for (message, weight) in self.0.text.take() {
            self.0.outbox.push(Outgoing::Publish(message), weight);
        }
    }
}

/// `text` in parts that make messages of a decent size.
fn pieces(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let most = text.len().min(Text::FULL);
        let end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(most);
        let (piece, rest) = text.split_at(end);
        text = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Io of cell {}", self.0.execution_count)
    }
}
