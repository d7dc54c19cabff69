//! The program `percept`, run as people run it: with arguments, scripts and signals, and at a terminal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod process;
mod prompt;
