//! Every example in the documentation of the language runs, and every function has one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{report, session, value};
use percept::lang::{functions as registered, stdlib};

/// The ```` ```rhai ```` blocks of a text.
fn examples(doc: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in doc.lines() {
        match (&mut open, line.trim()) {
            (None, "```rhai") => open = Some(Vec::new()),
            (None, _) => {}
            (Some(lines), "```") => {
                found.push(lines.join("\n"));
                open = None;
            }
            (Some(lines), _) => lines.push(line),
        }
    }
    assert!(open.is_none(), "an example has no end:\n{doc}");
    found
}

/// The functions of a module: each with its signature and the comment above it.
fn functions(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in source.lines() {
        if let Some(doc) = line.strip_prefix("///") {
            comment.push(doc.strip_prefix(' ').unwrap_or(doc));
        } else if let Some(function) = line.strip_prefix("fn ") {
            found.push((function.trim_end_matches(['{', ' ']).to_owned(), comment.join("\n")));
            comment.clear();
        } else if !line.trim().is_empty() {
            comment.clear();
        }
    }
    found
}

/// Runs an example in a session of its own, and draws what it shows.
fn run(function: &str, example: &str) -> Option<String> {
    let (mut session, recorder) = session();
    let outcome = session.eval_named(function, example);
    if let Some(error) = &outcome.error {
        return Some(format!("the example of {function} fails:\n{}", report(error)));
    }
    let shown = recorder.shown.borrow();
    let faults = shown.iter().chain(&outcome.output).filter_map(|output| output.png().err());
    let faults: Vec<String> =
        faults.map(|fault| format!("the example of {function} cannot be drawn: {fault}")).collect();
    (!faults.is_empty()).then(|| faults.join("\n"))
}

#[test]
fn every_function_is_documented() {
    let mut faults = Vec::new();
    for function in registered().flat_map(|(_, overloads)| overloads.iter()) {
        let name = format!("{} ({})", function.name, function.module);
        if function.summary().is_empty() {
            faults.push(format!("{name} has no documentation"));
        }
        if examples(function.doc).is_empty() {
            faults.push(format!("{name} has no example"));
        }
        for parameter in function.parameters().filter(|parameter| parameter.doc.trim().is_empty()) {
            faults.push(format!("{name}: the parameter `{}` has no documentation", parameter.name));
        }
    }
    for (module, source) in stdlib() {
        if !source.starts_with("//! ") {
            faults.push(format!("the module {module} does not say what it is"));
        }
        for (function, doc) in functions(source) {
            if examples(&doc).is_empty() {
                faults.push(format!("{module}::{function} has no example"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// One test, since examples write files and the working directory is the whole process's.
#[test]
fn every_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let mut texts: Vec<(String, String)> = Vec::new();
    for function in registered().flat_map(|(_, overloads)| overloads.iter()) {
        let name = format!("{} ({})", function.name, function.module);
        texts.extend(examples(function.doc).into_iter().map(|example| (name.clone(), example)));
    }
    for (module, source) in stdlib() {
        for (function, doc) in functions(source) {
            texts.extend(examples(&doc).into_iter().map(|example| (format!("{module}::{function}"), example)));
        }
    }
    assert!(texts.len() > 50, "only {} examples were found", texts.len());
    let faults: Vec<String> = texts.iter().filter_map(|(function, example)| run(function, example)).collect();
    assert!(faults.is_empty(), "{} of {} examples:\n{}", faults.len(), texts.len(), faults.join("\n\n"));
}

/// As a reader does it: pasted line by line at the prompt, and as a file.
#[test]
fn the_first_block_of_the_readme_runs_as_it_stands() {
    let block = examples(include_str!("../README.md")).remove(0);
    let figures = block.matches("show(").count();
    assert!(figures >= 3, "{block}");

    let (mut session, recorder) = session();
    for line in block.lines() {
        value(&session.eval(line));
    }
    assert_eq!(recorder.shown.borrow().len(), figures);
    assert!(recorder.shown.borrow().iter().all(|output| output.figure.is_some()));

    let folder = tempfile::tempdir().unwrap();
    let (script, pictures) = (folder.path().join("readme.rhai"), folder.path().join("out"));
    std::fs::write(&script, &block).unwrap();
    assert_eq!(percept::console::run_file(&script, Some(&pictures), None, &[]).unwrap(), 0);
    assert_eq!(std::fs::read_dir(pictures).unwrap().count(), figures);
}

#[test]
fn every_method_names_its_source() {
    let methods = ["vis/attribution", "vis/synthesis"];
    let functions = registered().flat_map(|(_, overloads)| overloads.iter());
    let missing: Vec<&str> = functions
        .filter(|function| methods.contains(&function.section().as_str()) && !function.property)
        .filter(|function| function.source.is_none_or(str::is_empty))
        .map(|function| function.name)
        .collect();
    assert!(missing.is_empty(), "methods without the paper or reference they follow: {missing:?}");
}

#[test]
fn every_default_converts_as_an_argument_does() {
    for function in registered().flat_map(|(_, overloads)| overloads.iter()) {
        for parameter in function.parameters() {
            assert!((parameter.default_converts)(), "{}: the default of `{}`", function.name, parameter.name);
        }
    }
}
