//! Who may import whom: lower never upper, and nobody in circles. ARCHITECTURE.md draws it; this reads the source.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod imports;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use self::imports::{Imports, Modules, Use, circles, inline_paths, uses};

/// Each folder or file of `src/`, and what it may name.
const LAYERS: [(&str, &[&str]); 19] = [
    ("error", &[]),
    ("hash", &[]),
    ("files", &["error"]),
    ("job", &["error"]),
    ("lang", &["error", "job"]),
    ("tensor", &["error", "files", "job", "lang"]),
    ("image", &["error", "files", "hash", "job", "lang", "tensor"]),
    ("points", &["error"]),
    ("plot", &["error", "job", "lang", "tensor", "image"]),
    ("model", &["error", "files", "hash", "job", "lang", "tensor", "image"]),
    ("data", &["error", "files", "hash", "job", "lang", "tensor", "image", "model"]),
    ("train", &["error", "job", "model", "tensor"]),
    ("vis", &["error", "job", "lang", "tensor", "image", "plot", "points", "model", "data", "train"]),
    ("render", &["error", "job", "lang", "tensor", "image", "plot"]),
    (
        "session",
        &[
            "error", "files", "job", "lang", "tensor", "image", "plot", "points", "model", "data", "train", "vis",
            "render",
        ],
    ),
    ("console", &["error", "files", "job", "lang", "render", "session"]),
    ("repl", &["error", "job", "session", "console"]),
    ("jupyter", &["error", "job", "lang", "session"]),
    ("evcxr", &["error", "job", "lang", "tensor", "image", "plot", "model", "data", "vis", "render", "session"]),
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

/// Files that take names from each other in a circle, and why they may.
const CIRCLES: [(&[&str], &str); 0] = [];

/// Which files and folders of a folder take names from which others of it. Its `mod.rs` is the folder itself: what all
/// share stands there, and it knows its parts.
fn imports_within(folder: &Path, imports: &Imports) -> BTreeSet<(PathBuf, PathBuf)> {
    let entry = |file: &Path| {
        let entry = file.strip_prefix(folder).ok()?.iter().next().filter(|entry| *entry != "mod.rs")?;
        Some(folder.join(entry))
    };
    let pairs = imports.keys().filter_map(|(from, to)| Some((entry(from)?, entry(to)?)));
    pairs.filter(|(from, to)| from != to).collect()
}

#[test]
fn nobody_imports_in_circles() {
    let imports = Modules::read(&src()).imports();
    assert!(imports.len() > 300, "only {} imports were found", imports.len());
    let folders: BTreeSet<&Path> = imports.keys().flat_map(|(from, _)| from.ancestors().skip(1)).collect();
    let mut allowed: BTreeSet<Vec<PathBuf>> =
        CIRCLES.iter().map(|(files, _)| files.iter().map(PathBuf::from).collect()).collect();
    let mut faults = Vec::new();
    for folder in folders {
        for circle in circles(&imports_within(folder, &imports)) {
            if allowed.remove(&circle) {
                continue;
            }
            let inside = |path: &Path| circle.iter().find(|entry| path.starts_with(entry));
            let names: Vec<String> = circle.iter().map(|path| path.display().to_string()).collect();
            faults.push(format!("a circle: {}", names.join(", ")));
            for ((from, to), names) in &imports {
                if let (Some(a), Some(b)) = (inside(from), inside(to))
                    && a != b
                {
                    faults.push(format!("    {} takes {names:?} from {}", from.display(), to.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(allowed.is_empty(), "circles that are allowed and no longer there: {allowed:?}");
}

/// The most lines of a source file.
const MOST_LINES: usize = 500;
/// Tables may be longer.
const TABLES: [&str; 0] = [];

#[test]
fn no_source_file_is_too_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "kernel/src", "kernels/src", "macros/src"].map(|folder| root.join(folder));
    let mut faults = Vec::new();
    for path in folders.iter().flat_map(|folder| rust_files(folder)) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if (lines > MOST_LINES) != TABLES.contains(&name.as_str()) {
            faults.push(format!("{name} has {lines} lines; {MOST_LINES} are allowed unless it is a table"));
        }
    }
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

#[test]
fn names_are_followed_to_where_they_are_defined() {
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    let used = |name: &str, text: &str, public| Use { name: name.into(), path: path(text), public };
    let (found, rest) =
        uses("pub use self::a::B;\nuse crate::{job::{self, Job as Task},\n    vis};\nlet x = vis::f();");
    let job = [used("job", "crate::job", false), used("Task", "crate::job::Job", false)];
    let [job_module, task] = job;
    assert_eq!(found, [used("B", "self::a::B", true), job_module, task, used("vis", "crate::vis", false)]);
    assert_eq!(inline_paths(&rest), [path("vis::f")]);
    assert_eq!(inline_paths("Vec::<u8>::new(crate::a::b(x), <T as A>::f)"), [path("crate::a::b")]);

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("lib.rs", "pub mod a;\npub mod b;");
    write("a/mod.rs", "mod one;\nmod two;\npub use self::one::One;\npub struct Own;");
    write("a/one.rs", "use super::two::Two;\npub struct One;");
    write("a/two.rs", "use super::{One, Own};\n#[cfg(test)]\nmod tests {\n use crate::b::B;\n}");
    write("b.rs", "fn f() { crate::a::One::new() }");
    let imports = Modules::read(folder.path()).imports();
    let names: Vec<String> = imports.keys().map(|(from, to)| format!("{} {}", from.display(), to.display())).collect();
    assert_eq!(names, ["a/one.rs a/two.rs", "a/two.rs a/mod.rs", "a/two.rs a/one.rs", "b.rs a/one.rs"]);
    let circle = circles(&imports_within(Path::new("a"), &imports));
    assert_eq!(circle, [[PathBuf::from("a/one.rs"), PathBuf::from("a/two.rs")]]);
    assert!(circles(&imports_within(Path::new(""), &imports)).is_empty());
}
