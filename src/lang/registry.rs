//! The words of the language: one record per function, collected from all over the crate.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rhai::Dynamic;

use super::{Arguments, Completer, Context};
use crate::error::Result;

/// A function of the language. Made by `#[define]` (see `percept-macros`), never by hand.
#[derive(Debug)]
pub struct Builtin {
    /// What a script calls it.
    pub name: &'static str,
    /// Its documentation, in Markdown; the first line is the summary.
    pub doc: &'static str,
    /// The Rust module that defines it: `percept::vis::attribution::saliency`.
    pub module: &'static str,
    /// May it be written as a property, `value.name`?
    pub property: bool,
    /// Its parameters: the positional ones first.
    pub parameters: &'static [Parameter],
    /// What it returns.
    pub returns: &'static str,
    /// Runs it on checked arguments.
    pub call: fn(&Context<'_>, &Arguments<'_>) -> Result<Dynamic>,
}

/// A parameter of a function.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, which is also its keyword.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// What is expected, with its article: "an image".
    pub kind: &'static str,
    /// The names of the types that are accepted, as [`type_name`](super::type_name) says them.
    pub types: &'static [&'static str],
    /// The strings that are accepted, if only some are.
    pub choices: &'static [&'static str],
    /// Which texts could be meant.
    pub complete: Option<Completer>,
    /// The default as a script would write it; a parameter that has one is given by keyword.
    pub default: Option<&'static str>,
    /// The least number that is accepted.
    pub low: Option<f64>,
    /// The greatest number that is accepted.
    pub high: Option<f64>,
    /// Has a value the right type for it?
    pub accepts: fn(&Dynamic) -> bool,
}

inventory::collect!(Builtin);

impl Builtin {
    /// The parameters that are given by position.
    pub fn positional(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters.iter().filter(|parameter| parameter.default.is_none())
    }

    /// The parameters that are given by keyword.
    pub fn keywords(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters.iter().filter(|parameter| parameter.default.is_some())
    }

    /// The first line of the documentation.
    pub fn summary(&self) -> &'static str {
        self.doc.lines().next().unwrap_or_default()
    }

    /// The folder that defines it, which groups the manual: "vis/attribution".
    pub fn section(&self) -> String {
        let path: Vec<&str> = self.module.split("::").skip(1).collect();
        match path.as_slice() {
            [folder, group, _, ..] => format!("{folder}/{group}"),
            [folder, ..] => (*folder).to_owned(),
            [] => String::new(),
        }
    }
}

static WORDS: LazyLock<BTreeMap<&'static str, Vec<&'static Builtin>>> = LazyLock::new(|| {
    let mut words: BTreeMap<_, Vec<&'static Builtin>> = BTreeMap::new();
    for builtin in inventory::iter::<Builtin>() {
        words.entry(builtin.name).or_default().push(builtin);
    }
    for overloads in words.values_mut() {
        // collection order depends on the linker: make it the source's
        overloads.sort_by_key(|builtin| (builtin.module, builtin.parameters.len(), builtin.doc));
    }
    words
});

/// All functions by name, in alphabetical order; a name can have several.
pub fn builtins() -> impl Iterator<Item = (&'static str, &'static [&'static Builtin])> {
    WORDS.iter().map(|(name, overloads)| (*name, overloads.as_slice()))
}

/// The functions of a name; empty if there is none.
pub fn builtin(name: &str) -> &'static [&'static Builtin] {
    WORDS.get(name).map_or(&[], Vec::as_slice)
}

/// The names of all functions.
pub fn names<'a>() -> impl Iterator<Item = &'a str> {
    WORDS.keys().copied()
}

/// `dream(image, octaves=4, …) → image`.
pub fn signature(builtin: &Builtin) -> String {
    let parameters: Vec<String> = builtin
        .parameters
        .iter()
        .map(|parameter| match parameter.default {
            None => parameter.name.to_owned(),
            Some("optional") => format!("{}=…", parameter.name),
            Some(default) => format!("{}={default}", parameter.name),
        })
        .collect();
    let arrow = if builtin.returns == "nothing" { String::new() } else { format!(" → {}", builtin.returns) };
    format!("{}({}){arrow}", builtin.name, parameters.join(", "))
}
