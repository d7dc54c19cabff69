//! What is written in the language: the suite, the reports of bad programs, the documentation with its examples.
//!
//! Tests come from files and from the documentation, so the list of them is made when the program starts. Each runs on a
//! thread of its own, in a session whose working folder nobody else uses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod documentation;
mod errors;
mod suite;

use libtest_mimic::{Arguments, Failed, Trial};

/// A test that fails by panicking.
fn test(name: &str, body: fn()) -> Trial {
    Trial::test(name, move || {
        body();
        Ok(())
    })
}

/// A failure that shows a text as it is.
fn failed(text: impl std::fmt::Display) -> Failed {
    Failed::from(format!("\n{text}\n"))
}

fn main() {
    let arguments = Arguments::from_args();
    let trials = [suite::trials(), errors::trials(), documentation::trials()];
    libtest_mimic::run(&arguments, trials.into_iter().flatten().collect()).exit();
}
