//! The reference manual, written from the registry.

use std::fmt::Write;

use super::commands;
use super::help::page;
use super::sections::by_section;
use crate::lang::{stdlib, value_types};

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
    text.push_str(&commands::table());
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
