//! docs/manual.md is what `percept manual` prints. `PERCEPT_BLESS=1 cargo test --test manual` rewrites it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;

#[test]
fn the_manual_in_docs_is_the_programs_own() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manual.md");
    if let Err(difference) = common::compare_with_file(&path, &percept::session::manual()) {
        panic!("{difference}");
    }
}
