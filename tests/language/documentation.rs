//! Every function is documented, every example in the documentation runs, and docs/manual.md is what `percept manual`
//! prints.

use std::collections::BTreeMap;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use percept::lang::{functions as registered, stdlib};

use crate::common::{compare_with_file, report, session, value};
use crate::{failed, test};

/// One test for each example, and those of the documentation as a whole.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        test("documentation::every_function_is_documented", every_function_is_documented),
        test("documentation::every_method_names_its_source", every_method_names_its_source),
        test("documentation::every_default_converts_as_an_argument_does", every_default_converts_as_an_argument_does),
        test("documentation::the_first_block_of_the_readme", the_first_block_of_the_readme_runs_as_it_stands),
        Trial::test("documentation::manual", the_manual_in_docs_is_the_programs_own),
        test("documentation::notebooks_of_scripts", notebooks_are_made_of_their_scripts),
    ];
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (function, example) in all_examples() {
        let count = counts.entry(function.clone()).or_default();
        *count += 1;
        let name = if *count == 1 { format!("example::{function}") } else { format!("example::{function} {count}") };
        trials.push(Trial::test(name, move || run(&function, &example)));
    }
    trials
}

/// The examples of all functions, each with the function's place and name.
fn all_examples() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for function in registered().flat_map(|(_, overloads)| overloads.iter()) {
        let name = format!("{}::{}", function.section(), function.name);
        found.extend(examples(function.doc).into_iter().map(|example| (name.clone(), example)));
    }
    for (module, source) in stdlib() {
        for (function, doc) in functions(source) {
            let name = format!("{module}::{}", function.split('(').next().unwrap_or_default());
            found.extend(examples(&doc).into_iter().map(|example| (name.clone(), example)));
        }
    }
    found
}

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

/// Runs an example in a session and a folder of its own, and draws what it shows.
fn run(function: &str, example: &str) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let (mut session, recorder) = session();
    session.set_working_folder(folder.path());
    let outcome = session.eval_named(function, example);
    if let Some(error) = &outcome.error {
        return Err(failed(report(error)));
    }
    let shown = recorder.shown.borrow();
    match shown.iter().chain(&outcome.output).find_map(|output| output.png().err()) {
        Some(fault) => Err(failed(format!("what it shows cannot be drawn: {fault}"))),
        None => Ok(()),
    }
}

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
    let count = all_examples().len();
    assert!(count > 50, "only {count} examples were found");
}

/// As a reader does it: pasted line by line at the prompt, and as a file.
fn the_first_block_of_the_readme_runs_as_it_stands() {
    let block = examples(include_str!("../../README.md")).remove(0);
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
    let options = percept::console::RunOptions { folder: Some(pictures.clone()), ..Default::default() };
    assert_eq!(percept::console::run_file(&script, &options).unwrap(), 0);
    assert_eq!(std::fs::read_dir(pictures).unwrap().count(), figures);
}

fn every_method_names_its_source() {
    let methods = ["vis/attribution", "vis/fooling", "vis/synthesis"];
    let functions = registered().flat_map(|(_, overloads)| overloads.iter());
    let missing: Vec<&str> = functions
        .filter(|function| methods.contains(&function.section().as_str()) && !function.property)
        .filter(|function| function.source.is_none_or(str::is_empty))
        .map(|function| function.name)
        .collect();
    assert!(missing.is_empty(), "methods without the paper or reference they follow: {missing:?}");
}

fn every_default_converts_as_an_argument_does() {
    for function in registered().flat_map(|(_, overloads)| overloads.iter()) {
        for parameter in function.parameters() {
            assert!((parameter.default_converts)(), "{}: the default of `{}`", function.name, parameter.name);
        }
    }
}

/// `tools/notebooks` makes them; of both only the code is compared.
fn notebooks_are_made_of_their_scripts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.starts_with("//") && !line.trim().is_empty()).map(str::to_owned).collect()
    };
    let mut found = 0;
    for entry in std::fs::read_dir(root.join("notebooks")).unwrap() {
        let path = entry.unwrap().path();
        // notebooks that were executed here have left pictures
        if path.extension().is_none_or(|ending| ending != "ipynb") {
            continue;
        }
        let notebook: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let Some(script) = notebook["metadata"]["from_script"].as_str() else { continue };
        let cells = notebook["cells"].as_array().unwrap().iter().filter(|cell| cell["cell_type"] == "code");
        let lines = |cell: &serde_json::Value| -> String {
            let lines =
                cell["source"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<String>();
            lines + "\n"
        };
        let cells: String = cells.map(lines).collect();
        let script = std::fs::read_to_string(root.join(script)).unwrap();
        assert_eq!(code(&cells), code(&script), "{} is not made of its script: run tools/notebooks", path.display());
        found += 1;
    }
    assert!(found >= 5, "{found} notebooks");
}

fn the_manual_in_docs_is_the_programs_own() -> Result<(), Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/manual.md");
    compare_with_file(&path, &percept::session::manual()).map_err(failed)
}
