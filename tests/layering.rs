//! Who may import whom: lower never upper. ARCHITECTURE.md draws it; this reads the source.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each folder or file of `src/`, and what it may name.
const LAYERS: [(&str, &[&str]); 14] = [
    ("error", &[]),
    ("job", &["error"]),
    ("lang", &["error", "job"]),
    ("tensor", &["error", "job", "lang"]),
    ("image", &["error", "job", "lang", "tensor"]),
    ("plot", &["error", "job", "lang", "tensor", "image"]),
    ("model", &["error", "job", "lang", "tensor", "image"]),
    ("vis", &["error", "job", "lang", "tensor", "image", "plot", "model"]),
    ("render", &["error", "job", "lang", "tensor", "image", "plot"]),
    ("session", &["error", "job", "lang", "tensor", "image", "plot", "model", "vis", "render"]),
    ("console", &["error", "job", "lang", "render", "session"]),
    ("repl", &["error", "job", "session", "console"]),
    ("jupyter", &["error", "job", "lang", "session"]),
    ("evcxr", &["error", "job", "lang", "tensor", "image", "plot", "model", "render", "session"]),
];

/// What only one place may name.
const ONLY_IN: [(&str, &str); 4] =
    [("rustyline", "repl"), ("percept_kernel", "jupyter"), ("indicatif", "console"), ("plotters", "render")];

/// The source without comments and without the test module at its end.
fn code(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.iter().enumerate().position(|(at, line)| {
        let mut after = lines.iter().skip(at + 1).skip_while(|line| line.trim_start().starts_with("#["));
        line.trim() == "#[cfg(test)]"
            && after.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    });
    let kept = lines.iter().take(tests.unwrap_or(lines.len()));
    kept.map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name at the start of a path, or those of a group: `error::Result` or `{error::Result, lang}`.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| text.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    let Some(group) = path.trim_start().strip_prefix('{') else { return vec![word(path)] };
    let mut names = vec![word(group)];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The modules directly under the crate's root that a file names; `depth` is how deep its module lies.
fn imports(text: &str, depth: usize) -> BTreeSet<String> {
    let code = code(text);
    let mut names = BTreeSet::new();
    for root in ["crate::", "percept::"] {
        for (at, _) in code.match_indices(root) {
            if !code[..at].ends_with(is_word) {
                names.extend(first_names(&code[at + root.len()..]));
            }
        }
    }
    let climb = "super::".repeat(depth);
    for (at, _) in code.match_indices(climb.as_str()) {
        let rest = &code[at + climb.len()..];
        if !code[..at].ends_with(|c| is_word(c) || c == ':') && !rest.starts_with("super::") {
            names.extend(first_names(rest));
        }
    }
    names
}

/// Does a text name this crate?
fn names_crate(text: &str, name: &str) -> bool {
    let code = code(text);
    code.match_indices(name)
        .any(|(at, _)| !code[..at].ends_with(is_word) && !code[at + name.len()..].starts_with(is_word))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The modules that lead to a file below `src/`: `vis/attribution/mod.rs` is `["vis", "attribution"]`.
fn module_path(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn lower_layers_never_import_upper_ones() {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for path in rust_files(&src()) {
        let file = path.strip_prefix(src()).unwrap();
        let module = module_path(file);
        let layer = module.first().unwrap().as_str();
        if ["lib", "main"].contains(&layer) {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            faults.push(format!("src/{} belongs to no layer", file.display()));
            continue;
        };
        seen.insert(layer.to_owned());
        let text = std::fs::read_to_string(&path).unwrap();
        for name in imports(&text, module.len()) {
            if name != layer && !allowed.contains(&name.as_str()) {
                faults.push(format!("src/{}: {layer} must not know {name}", file.display()));
            }
        }
        for (name, _) in ONLY_IN.iter().filter(|(_, home)| *home != layer) {
            if names_crate(&text, name) {
                faults.push(format!("src/{}: {name} appears outside its place", file.display()));
            }
        }
    }
    assert_eq!(seen.len(), LAYERS.len(), "a layer has no file: {seen:?}");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Fails if a crate of the workspace names one of these crates in its source or as a dependency.
fn assert_ignorant(folder: &str, least_files: usize, strangers: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = rust_files(&root);
    assert!(files.len() >= least_files, "only {} files", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in strangers {
            let named = names_crate(&text, &format!("{name}::"))
                || code(&text).contains(&format!("use {name};"))
                || code(&text).contains(&format!("extern crate {name}"));
            assert!(!named, "{} names the crate {name}", path.display());
        }
    }
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for line in manifest.lines().skip_while(|line| !line.contains("dependencies]")) {
        let dependency = line.split(['=', '.', ' ']).next().unwrap_or_default().trim().replace('-', "_");
        assert!(!strangers.contains(&dependency.as_str()), "{folder}/Cargo.toml depends on {dependency}");
    }
}

#[test]
fn the_kernel_crate_does_not_know_percept() {
    assert_ignorant("kernel", 6, &["percept", "percept_macros", "percept_kernels"]);
}

#[test]
fn the_kernels_know_slices_and_sizes_only() {
    assert_ignorant("kernels", 8, &["percept", "percept_macros", "percept_kernel", "candle_core", "rhai"]);
}

#[test]
fn the_check_sees_every_way_of_importing() {
    let sees = |text: &str, depth: usize| imports(text, depth).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(sees("use crate::render::Figure;", 2), "render");
    assert_eq!(sees("use crate::{error::{Error, Kind}, render::{self, Grid}, vis};", 2), "error render vis");
    assert_eq!(sees("let x = crate::vis::f() + crate::model::g();", 2), "model vis");
    assert_eq!(sees("macro_rules! m { () => { $crate::session::f() } }", 2), "session");
    assert_eq!(sees("use super::super::render::Figure;", 2), "render");
    assert_eq!(sees("use super::sibling::Figure;", 2), "");
    assert_eq!(sees("use super::super::{image, vis::Dream};", 2), "image vis");
    assert_eq!(sees("// crate::render is another matter\n/// [`crate::vis`]", 1), "");
    assert_eq!(sees("use crate::error;\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n use crate::vis;\n}", 1), "error");
    assert_eq!(sees("#[cfg(test)]\nmod testing;\nuse crate::vis;", 1), "vis");
    assert!(names_crate("use rustyline::Editor;", "rustyline"));
    assert!(!names_crate("// not rustyline\nlet my_rustyline = 1;", "rustyline"));
}
