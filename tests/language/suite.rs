//! Runs tests/suite/, whose folders are those of src/: a `.rhai` file is a test as soon as it is there.
//!
//! A file is a program that checks itself with `check(condition, what)`, `close(a, b)` and `fails(function, part of
//! the message)`. A line that starts with `//----` ends a cell: the rest runs in the same session. `args` holds a
//! folder to write in, which is also the working folder, and the folder tests/golden. Folders called `beside` hold what
//! files import, not tests.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use crate::common::{report, session, value};
use crate::{failed, test};

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

/// One test for each file, and those of the suite itself.
pub fn trials() -> Vec<Trial> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite");
    let files = files(&folder);
    assert!(files.len() > 20, "only {} files", files.len());
    let named = |path: PathBuf| {
        let name = path.strip_prefix(&folder).unwrap().with_extension("").display().to_string();
        Trial::test(format!("suite::{name}"), move || run(&name, &path))
    };
    let mut trials: Vec<Trial> = files.into_iter().map(named).collect();
    trials.extend([
        test("suite::a_failing_check_fails_the_file", a_failing_check_fails_the_file),
        test(
            "suite::a_file_beside_the_script_shadows_an_embedded_module",
            a_file_beside_the_script_shadows_an_embedded_module,
        ),
        test(
            "suite::a_changed_module_is_read_again_when_it_is_imported_again",
            a_changed_module_is_read_again_when_it_is_imported_again,
        ),
    ]);
    trials
}

/// The programs in a folder and those below it, in alphabetical order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() && path.file_name().is_some_and(|name| name != "beside") {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rhai") {
            found.push(path);
        }
    }
    found
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

fn run(name: &str, path: &Path) -> Result<(), Failed> {
    let writable = tempfile::tempdir()?;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(path)?;
    let (mut session, _recorder) = session();
    session.set_working_folder(writable.path());
    session.set_import_folder(path.parent().unwrap().to_owned());
    session.set_arguments(&[writable.path(), &golden].map(|path| path.to_str().unwrap().to_owned()));
    value(&session.eval_named("prelude", PRELUDE));
    for cell in cells(&text) {
        let outcome = session.eval_named(&format!("tests/suite/{name}.rhai"), &cell);
        if let Some(error) = &outcome.error {
            return Err(failed(report(error)));
        }
    }
    Ok(())
}

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

fn a_file_beside_the_script_shadows_an_embedded_module() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sheets.rhai"), "fn depths() { 41 }").unwrap();
    let (mut session, _recorder) = session();
    session.set_import_folder(folder.path().to_owned());
    assert_eq!(value(&session.eval("import \"sheets\" as sheets; sheets::depths() + 1")), "42");
    // also in the cells that follow
    assert_eq!(value(&session.eval("sheets::depths()")), "41");
    let gone = session.eval("sheets::before_after(1, 2)");
    assert!(gone.error.is_some(), "the embedded module is still there");
}

fn a_changed_module_is_read_again_when_it_is_imported_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.rhai");
    std::fs::write(&file, "fn answer() { 1 }").unwrap();
    let (mut session, _recorder) = session();
    session.set_import_folder(folder.path().to_owned());
    assert_eq!(value(&session.eval("import \"mine\" as mine; mine::answer()")), "1");
    std::fs::write(&file, "fn answer() { 2 }").unwrap();
    assert_eq!(value(&session.eval("mine::answer()")), "1");
    assert_eq!(value(&session.eval("import \"mine\" as mine; mine::answer()")), "2");
    assert_eq!(value(&session.eval("mine::answer()")), "2");
}
