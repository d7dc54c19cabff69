//! Runs tests/suite/: one `.rhai` file for each area of the language.
//!
//! A file is a program that checks itself with `check(condition, what)`, `close(a, b)` and `fails(function, part of
//! the message)`. A line that starts with `//----` ends a cell: the rest runs in the same session. `args` holds a
//! folder to write in and the folder tests/golden.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};

use common::{report, session, value};

/// What the files check themselves with.
const PRELUDE: &str = r#"
/// Ends the program with an error unless a condition holds.
fn check(ok, what) {
    if !ok { throw what; }
}

/// Are two numbers, or all numbers of two tensors, equal to about 5 digits?
fn close(a, b) {
    let a = tensor(a);
    let b = tensor(b);
    a.shape == b.shape && abs(a - b).max() <= 0.00001 + 0.00001 * abs(b).max()
}

/// Checks that a function fails with an error that contains a text.
fn fails(body, text) {
    let message = ();
    // an error of Rhai itself is caught as a map
    try { body.call(); } catch (error) { message = if type_of(error) == "map" { error.message } else { `${error}` }; }
    if message == () { throw `nothing failed; expected: ${text}`; }
    if !message.contains(text) { throw `expected: ${text}; the error was: ${message}`; }
}
"#;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite")
}

/// The cells of a file, each on the lines that it has in the file.
fn cells(text: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("//----") {
            cells.push("\n".repeat(number));
        }
        let cell = cells.last_mut().unwrap();
        cell.push_str(line);
        cell.push('\n');
    }
    cells
}

fn run(name: &str) {
    let writable = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(folder().join(format!("{name}.rhai"))).unwrap();
    let (mut session, _recorder) = session();
    session.set_folder(folder());
    session.set_arguments(&[writable.path(), &golden].map(|path| path.to_str().unwrap().to_owned()));
    value(&session.eval_named("prelude", PRELUDE));
    for cell in cells(&text) {
        let outcome = session.eval_named(&format!("tests/suite/{name}.rhai"), &cell);
        if let Some(error) = &outcome.error {
            panic!("\n{}", report(error));
        }
    }
}

macro_rules! suite {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        const FILES: &[&str] = &[$(stringify!($name)),*];
    };
}

suite! {
    activations
    cases
    classify
    compose
    dream
    filters
    gradients
    images
    keyword_arguments
    layers
    linear_algebra
    memory
    modules
    npy
    occlusion
    onnx
    own_class_image
    own_grad_cam
    own_inversion
    own_pca
    own_texture
    planes
    plots
    reductions
    saliency
    seeds
    showing
    slicing
    tensors
    weights
}

#[test]
fn every_file_is_run() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rhai"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, FILES);
}

#[test]
fn a_failing_check_fails_the_file() {
    let (mut session, _recorder) = session();
    value(&session.eval_named("prelude", PRELUDE));
    for bad in
        ["check(1 == 2, \"no\")", "check(close(1, 1.1), \"no\")", "fails(|| 1, \"x\")", "fails(|| nope(), \"x\")"]
    {
        assert!(session.eval(bad).error.is_some(), "{bad}");
    }
    for good in ["check(close([1.0, 2.0], [1, 2]), \"\")", "fails(|| nope(), \"not found: nope\")"] {
        value(&session.eval(good));
    }
}

#[test]
fn a_file_beside_the_script_shadows_an_embedded_module() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sheets.rhai"), "fn depths() { 41 }").unwrap();
    let (mut session, _recorder) = session();
    session.set_folder(folder.path().to_owned());
    assert_eq!(value(&session.eval("import \"sheets\" as sheets; sheets::depths() + 1")), "42");
    // also in the cells that follow
    assert_eq!(value(&session.eval("sheets::depths()")), "41");
    let gone = session.eval("sheets::before_after(1, 2)");
    assert!(gone.error.is_some(), "the embedded module is still there");
}

#[test]
fn a_changed_module_is_read_again_when_it_is_imported_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.rhai");
    std::fs::write(&file, "fn answer() { 1 }").unwrap();
    let (mut session, _recorder) = session();
    session.set_folder(folder.path().to_owned());
    assert_eq!(value(&session.eval("import \"mine\" as mine; mine::answer()")), "1");
    std::fs::write(&file, "fn answer() { 2 }").unwrap();
    assert_eq!(value(&session.eval("mine::answer()")), "1");
    assert_eq!(value(&session.eval("import \"mine\" as mine; mine::answer()")), "2");
    assert_eq!(value(&session.eval("mine::answer()")), "2");
}
