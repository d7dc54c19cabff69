//! Who takes names from whom, read from the source: every `use` and every path in the code, followed to the file in which
//! the name is defined.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::{code, is_word, module_path, rust_files};

/// The modules of a crate, each by its path from the root.
pub struct Modules(BTreeMap<Vec<String>, Module>);

struct Module {
    file: PathBuf,
    uses: Vec<Use>,
    /// Paths in the code itself: `crate::job::Job::new`.
    paths: Vec<Vec<String>>,
}

/// Which files take which names from which others.
pub type Imports = BTreeMap<(PathBuf, PathBuf), BTreeSet<String>>;

/// One name that a `use` brings in.
#[derive(Debug, PartialEq)]
pub struct Use {
    /// What it is called here.
    pub name: String,
    /// What it stands for, as written.
    pub path: Vec<String>,
    /// Is it handed on?
    pub public: bool,
}

impl Modules {
    /// The modules whose source lies in a folder; modules of tests are left out.
    pub fn read(folder: &Path) -> Self {
        let paths = rust_files(folder).into_iter().map(|path| path.strip_prefix(folder).unwrap().to_owned());
        let modules = paths.map(|file| {
            let code = code(&std::fs::read_to_string(folder.join(&file)).unwrap());
            let (uses, rest) = uses(&code);
            (module_path(&file), Module { file, uses, paths: inline_paths(&rest) })
        });
        let is_test = |path: &[String]| path.last().is_some_and(|name| name == "tests" || name == "testing");
        Self(modules.filter(|(path, _)| !is_test(path)).collect())
    }

    /// Pairs of files, the first of which takes names from the second, and those names. What a module hands on counts as taken from where
    /// it is defined, and handing on does not count.
    pub fn imports(&self) -> Imports {
        let mut found = Imports::new();
        for (at, module) in &self.0 {
            let uses = module.uses.iter().filter(|used| !used.public).map(|used| &used.path);
            for path in uses.chain(&module.paths) {
                if let Some(home) = self.home(at, path, 0).filter(|home| home.file != module.file) {
                    let names = found.entry((module.file.clone(), home.file.clone())).or_default();
                    names.extend(path.last().cloned());
                }
            }
        }
        found
    }

    /// The module in which the name at the end of a path is defined, where the path is written in the module `from`.
    fn home(&self, from: &[String], path: &[String], depth: usize) -> Option<&Module> {
        let (first, rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" | "percept" => Vec::new(),
            "self" => from.to_vec(),
            "super" => from.split_last()?.1.to_vec(),
            _ => return self.below(from, path, depth),
        };
        let mut rest = rest;
        while let [first, others @ ..] = rest
            && first == "super"
        {
            at.pop()?;
            rest = others;
        }
        if rest.is_empty() { self.0.get(&at) } else { self.below(&at, rest, depth).or_else(|| self.0.get(&at)) }
    }

    /// The same for a path that starts inside the module `at`; nothing if that has no such module or `use`.
    fn below(&self, at: &[String], path: &[String], depth: usize) -> Option<&Module> {
        let (first, rest) = path.split_first()?;
        let child = [at, std::slice::from_ref(first)].concat();
        if let Some(module) = self.0.get(&child) {
            return if rest.is_empty() { Some(module) } else { self.below(&child, rest, depth).or(Some(module)) };
        }
        let used = self.0.get(at)?.uses.iter().find(|used| used.name == *first)?;
        if depth > 8 || used.path == path {
            return None;
        }
        self.home(at, &[&used.path[..], rest].concat(), depth + 1)
    }
}

/// The names that the `use` items of a text bring in, and the text without those items.
pub fn uses(code: &str) -> (Vec<Use>, String) {
    let (mut found, mut rest, mut from) = (Vec::new(), String::new(), 0);
    for (at, _) in code.match_indices("use ") {
        if at < from || code[..at].ends_with(|c| is_word(c) || c == '"' || c == '`') {
            continue;
        }
        let Some(length) = code[at..].find(';') else { continue };
        let before = code[..at].trim_end();
        let public = before.ends_with("pub") || (before.ends_with(')') && before.contains("pub("));
        let tree: String = code[at + "use ".len()..at + length].split_whitespace().collect::<Vec<_>>().join(" ");
        for (name, path) in leaves(&tree) {
            found.push(Use { name, path, public });
        }
        rest.push_str(&code[from..at]);
        from = at + length;
    }
    rest.push_str(&code[from..]);
    (found, rest)
}

/// The names of a tree such as `crate::{error::{self, Error as Fault}, job}`, each with its whole path.
fn leaves(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim())));
        let mut path: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = alias.map_or_else(|| path.last().cloned().unwrap_or_default(), str::to_owned);
        return vec![(name, path)];
    };
    let inner = tree[open + 1..].trim_end().strip_suffix('}').unwrap_or(&tree[open + 1..]);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let whole = |part: &&str| leaves(&format!("{}{}", &tree[..open], part.trim()));
    parts.iter().filter(|part| !part.trim().is_empty()).flat_map(whole).collect()
}

/// The paths of at least two names in a text.
pub fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut from = 0;
    for (at, _) in code.match_indices("::") {
        if at < from {
            continue;
        }
        let start =
            code[..at].rfind(|c| !is_word(c)).map_or(0, |at| at + code[at..].chars().next().map_or(1, char::len_utf8));
        let mut path = vec![code[start..at].to_owned()];
        let mut rest = &code[at..];
        while let Some(after) = rest.strip_prefix("::") {
            let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
            if end == 0 {
                break;
            }
            path.push(after[..end].to_owned());
            rest = &after[end..];
        }
        from = code.len() - rest.len();
        if path.len() > 1 && !path[0].is_empty() {
            found.push(path);
        }
    }
    found
}

/// Groups of two or more that reach each other in a directed graph, each in alphabetical order.
pub fn circles<T: Ord + Clone>(edges: &BTreeSet<(T, T)>) -> Vec<Vec<T>> {
    let reached = |start: &T| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(at) = left.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| *from == at) {
                if seen.insert(to.clone()) {
                    left.push(to.clone());
                }
            }
        }
        seen
    };
    let nodes: BTreeSet<T> = edges.iter().map(|(from, _)| from.clone()).collect();
    let reach: BTreeMap<T, BTreeSet<T>> = nodes.into_iter().map(|node| (node.clone(), reached(&node))).collect();
    let mut found = BTreeSet::new();
    for (node, reaches) in &reach {
        let circle: Vec<T> =
            reaches.iter().filter(|other| reach.get(*other).is_some_and(|back| back.contains(node))).cloned().collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}
