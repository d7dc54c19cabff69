//! The functions of the language: one record each, collected from all over the crate.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rhai::Dynamic;

use super::{Completer, Context, value_types};
use crate::error::Result;

/// A function of the language. Made by `#[function]` (see `percept-macros`), never by hand.
#[derive(Debug)]
pub struct Function {
    /// What a script calls it.
    pub name: &'static str,
    /// Its documentation, in Markdown; the first line is the summary.
    pub doc: &'static str,
    /// The paper or reference implementation of the method it runs.
    pub source: Option<&'static str>,
    /// The Rust module that defines it: `percept::vis::attribution::saliency`.
    pub module: &'static str,
    /// May it be written as a property, `value.name`?
    pub property: bool,
    /// Its parameters: its own, the positional ones first, then those of each option group. Of several with one name, the
    /// first counts.
    pub groups: &'static [&'static [Parameter]],
    /// Those of the groups that it does not take.
    pub without: &'static [&'static str],
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
    /// A keyword argument that may also stand in front of the positional ones, if its type is not the first one's:
    /// `m.classify(img)` is `classify(img, model=m)`.
    pub leading: bool,
    /// Is a list of such values taken too, and the function run for each of them?
    pub each: bool,
    /// The least number that is accepted.
    pub low: Option<f64>,
    /// The greatest number that is accepted.
    pub high: Option<f64>,
    /// Has a value the right type for it?
    pub accepts: fn(&Dynamic) -> bool,
    /// Can its default be converted, as an argument is?
    pub default_converts: fn() -> bool,
}

/// The arguments of one call, bound to the parameters of one function.
#[derive(Debug)]
pub struct Arguments<'a> {
    pub(super) function: &'a Function,
    /// One slot for each parameter.
    pub(super) values: Vec<Option<Dynamic>>,
}

inventory::collect!(Function);

impl Function {
    /// All parameters: those given by position first.
    pub fn parameters(&self) -> impl Iterator<Item = &'static Parameter> {
        self.groups.iter().enumerate().flat_map(move |(place, group)| {
            let before = self.groups.iter().take(place).copied();
            group.iter().filter(move |parameter| {
                let is_taken = place == 0 || !self.without.contains(&parameter.name);
                is_taken && !before.clone().flatten().any(|other| other.name == parameter.name)
            })
        })
    }

    /// The parameters that are given by position.
    pub fn positional(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters().filter(|parameter| parameter.default.is_none())
    }

    /// The parameters that are given by keyword.
    pub fn keywords(&self) -> impl Iterator<Item = &'static Parameter> {
        self.parameters().filter(|parameter| parameter.default.is_some())
    }

    /// The keyword parameter that a value in front of the positional arguments is for, if it is one: a model, a layer, but
    /// never a text or a number.
    pub fn leading(&self, first: &Dynamic) -> Option<&'static Parameter> {
        let is_handle = value_types().any(|kind| (kind.id)() == first.type_id());
        if !is_handle || self.positional().next().is_some_and(|parameter| (parameter.accepts)(first)) {
            return None;
        }
        self.keywords().find(|parameter| parameter.leading && (parameter.accepts)(first))
    }

    /// Can a value be the first argument?
    pub fn takes_first(&self, value: &Dynamic) -> bool {
        let fits = |first: &Parameter| (first.accepts)(value) || first.each && value.is_array();
        self.positional().next().is_some_and(fits) || self.leading(value).is_some()
    }

    /// The first line of the documentation.
    pub fn summary(&self) -> &'static str {
        self.doc.lines().next().unwrap_or_default()
    }

    /// The folder that defines it, which groups the manual: "vis/attribution".
    pub fn section(&self) -> String {
        let path: Vec<&str> = self.module.split("::").skip(1).filter(|part| *part != "functions").collect();
        match path.as_slice() {
            [folder, group, _, ..] if *folder == "vis" => format!("{folder}/{group}"),
            [folder, ..] => (*folder).to_owned(),
            [] => String::new(),
        }
    }
}

static FUNCTIONS: LazyLock<BTreeMap<&'static str, Vec<&'static Function>>> = LazyLock::new(|| {
    let mut functions: BTreeMap<_, Vec<&'static Function>> = BTreeMap::new();
    for function in inventory::iter::<Function>() {
        functions.entry(function.name).or_default().push(function);
    }
    for overloads in functions.values_mut() {
        // collection order depends on the linker: make it the source's
        overloads.sort_by_key(|function| (function.module, function.parameters().count(), function.doc));
    }
    functions
});

/// All functions by name, in alphabetical order; a name can have several.
pub fn functions() -> impl Iterator<Item = (&'static str, &'static [&'static Function])> {
    FUNCTIONS.iter().map(|(name, overloads)| (*name, overloads.as_slice()))
}

/// The functions of a name; empty if there is none.
pub fn overloads(name: &str) -> &'static [&'static Function] {
    FUNCTIONS.get(name).map_or(&[], Vec::as_slice)
}

/// The names of all functions.
pub fn names<'a>() -> impl Iterator<Item = &'a str> {
    FUNCTIONS.keys().copied()
}

/// `dream(image, octaves=4, …) → image`.
pub fn signature(function: &Function) -> String {
    let parameters: Vec<String> = function
        .parameters()
        .map(|parameter| match parameter.default {
            None => parameter.name.to_owned(),
            Some("optional") => format!("{}=…", parameter.name),
            Some(default) => format!("{}={default}", parameter.name),
        })
        .collect();
    let arrow = if function.returns == "nothing" { String::new() } else { format!(" → {}", function.returns) };
    format!("{}({}){arrow}", function.name, parameters.join(", "))
}
