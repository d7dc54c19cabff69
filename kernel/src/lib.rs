//! A Jupyter kernel for any interpreter.
//!
//! Implement [`Interpreter`] and call [`run`]: the crate speaks the Jupyter messaging protocol 5.5 over ZeroMQ (in
//! pure Rust) and the [`spec`] module makes Jupyter find the kernel, without any Python.
//!
//! # A calculator
//!
//! ```no_run
#![doc = include_str!("../examples/calculator.rs")]
//! ```
//!
//! With `kernel install` handled by [`spec::KernelSpec::install`], this is a kernel for every notebook front end. What
//! a language adds to be pleasant there are the other methods of [`Interpreter`]: completion, documentation,
//! multi-line input, interruption. What a cell can do besides returning a value are the methods of [`Io`].
//!
//! # How it works
//!
//! ```text
//!  shell ──► queue of requests ──► evaluating thread: Interpreter ◄── interrupt ── control
//!                                     │  Io: print, show, ask                        │
//!                                     ▼                                              ▼
//!                                  outbox (one bounded queue) ◄────────────────── statuses
//!                                     │
//!                                     ▼
//!                          publisher: IOPub, replies, questions        heartbeat, stdin
//! ```
//!
//! - The interpreter has a thread of its own, so heartbeat and control answer during a long cell.
//! - All that a request brings about leaves through one queue and one task, in the order of the protocol: busy, the
//!   input, its outputs, the reply, idle. What is printed is collected for a moment and sent before anything else.
//! - The outbox and the queue of each subscriber are bounded: a cell that shows more than clients take waits; memory
//!   does not grow. Replies do not wait for a slow subscriber, and one that takes nothing for ten seconds while its
//!   queue is full is cut off, alone; when it wakes up, it connects again.
//! - A message whose signature is wrong, or was seen before, is dropped and logged on standard error.
//! - After an error, the cells that were already waiting are aborted (`stop_on_error`); other requests are answered.

#![deny(missing_docs)]

mod bundle;
mod control;
mod error;
mod history;
mod interpreter;
mod io;
mod iopub;
mod log;
mod message;
mod queue;
mod server;
mod shell;
pub mod spec;
mod stdin;
mod xpub;

pub use bundle::MimeBundle;
pub use error::Error;
pub use interpreter::{
    Completeness, Completion, Completions, Detail, ExecuteError, ExecuteResult, Interpreter, InterruptHandle,
    KernelInfo, LanguageInfo, byte_offset, char_offset,
};
pub use io::Io;
pub use server::run;
pub use stdin::InputError;
