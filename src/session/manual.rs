//! The reference manual, written from the registry.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::commands::{COMMANDS, Command};
use super::help::page;
use crate::lang::{Function, functions, stdlib, value_types};

const HEAD: &str = "\
# Percept: reference manual

This page is written by `percept manual` from what the program itself knows; do not edit it.

The language is Rhai with keyword arguments: `dream(img, octaves=4)`. The same call with a map at the end is
`dream(img, #{octaves: 4})`. Any function can be written as a method of its first argument: `img.dream(octaves=4)`.
Arguments without a default are given in order, the others by name; a model or a layer may also stand first:
`m.classify(img)`, `layer(\"fire7\").dream(img)`. Functions of a script take their arguments by name too, and a last
parameter `options` gets, as a map, those that have no parameter of their own. Where a number is expected an integer will do.
Rhai's own rules for numbers hold: `1/2` is 0 and `1.0/2` is 0.5, `-2 ** 2` is 4.
The value of the last line of a cell or script is shown; `_` holds the last value shown.

";

/// What each folder of words is called in the manual.
fn heading(section: &str) -> String {
    match section {
        "session" => "Showing and help".into(),
        "lang" => "Tables".into(),
        "tensor" => "Tensors".into(),
        "image" => "Images".into(),
        "plot" => "Plots".into(),
        "model" => "Models and layers".into(),
        "vis" => "Classification".into(),
        "vis/attribution" => "Attribution".into(),
        "vis/representation" => "Weights and activations".into(),
        "vis/synthesis" => "Feature visualization".into(),
        other => other.into(),
    }
}

/// The whole manual, in Markdown.
pub fn manual() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("## Kinds of values\n\n| value | what it is |\n| --- | --- |\n");
    let mut kinds: Vec<_> = value_types().collect();
    kinds.sort_by_key(|kind| kind.name);
    for kind in kinds {
        let _ = writeln!(text, "| {} | {} |", kind.name, kind.doc);
    }
    text.push_str("\n## Commands\n\nA line of its own, at the prompt or in a notebook.\n\n");
    text.push_str(&commands());
    for (section, words) in by_section() {
        let _ = write!(text, "\n## {section}\n");
        for word in words {
            let _ = write!(text, "\n### {}\n\n{}", word.name, page(word));
        }
    }
    text.push_str("\n## Modules\n");
    for (name, source) in stdlib() {
        let _ = write!(text, "\n### {name}\n\n{}", module(name, source));
    }
    text
}

/// All functions, by what they are about.
fn by_section() -> Vec<(String, Vec<&'static Function>)> {
    let mut sections: BTreeMap<String, Vec<&Function>> = BTreeMap::new();
    for (_, overloads) in functions() {
        for function in overloads {
            sections.entry(function.section()).or_default().push(function);
        }
    }
    sections.into_iter().map(|(section, words)| (heading(&section), words)).collect()
}

/// The commands as a table.
fn commands() -> String {
    let mut text = String::from("| command | what it does |\n| --- | --- |\n");
    for Command { name, argument, summary, .. } in COMMANDS {
        let space = if argument.is_empty() { "" } else { " " };
        let _ = writeln!(text, "| `:{name}{space}{argument}` | {summary} |");
    }
    text.push_str("| `name?` | explains a function, or what can be done with a value |\n");
    text
}

/// What there is: the commands, and the words of the language by what they are about.
pub(super) fn overview() -> String {
    let mut text = commands();
    text.push_str("\nThe words of the language; `name?` explains one.\n\n| about | words |\n| --- | --- |\n");
    for (section, words) in by_section() {
        let mut names: Vec<&str> = words.iter().map(|word| word.name).collect();
        names.dedup();
        let _ = writeln!(text, "| {section} | {} |", names.join(", "));
    }
    text
}

/// The functions of a module, from its comments.
fn module(name: &str, source: &str) -> String {
    let mut text = String::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in source.lines() {
        if let Some(head) = line.strip_prefix("//!") {
            let _ = writeln!(text, "{}", head.trim());
        } else if let Some(doc) = line.strip_prefix("///") {
            comment.push(doc.strip_prefix(' ').unwrap_or(doc));
        } else if let Some(function) = line.strip_prefix("fn ") {
            let signature = function.trim_end_matches(['{', ' ']);
            let _ = write!(text, "\n```rhai\n{name}::{signature}\n```\n\n{}\n", comment.join("\n"));
            comment.clear();
        } else if !line.trim().is_empty() {
            comment.clear();
        }
    }
    text
}
