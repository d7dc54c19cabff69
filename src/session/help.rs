//! Documentation from the registry: `help(f)`, inspection in notebooks, and the manual.

use std::fmt::Write;

use super::Output;
use crate::lang::{
    Dynamic, Function, Interpreter, ScriptFunction, describe, functions, overloads, signature, text, type_name,
};

/// What `help(value)` says.
pub fn help(functions: &[ScriptFunction], value: &Dynamic) -> Option<String> {
    let name = if value.is_string() {
        value.clone().into_string().ok()?
    } else if let Some(function) = value.clone().try_cast::<crate::lang::FnPtr>() {
        function.fn_name().to_owned()
    } else {
        return Some(methods_of(value));
    };
    named(functions, &name)
}

/// The documentation of a function by name: of a function, a cell or a module.
pub fn named(functions: &[ScriptFunction], name: &str) -> Option<String> {
    let overloads = overloads(name);
    if !overloads.is_empty() {
        let pages: Vec<String> = overloads.iter().map(|function| page(function)).collect();
        return Some(pages.join("\n\n---\n\n"));
    }
    let function =
        functions.iter().find(|function| function.name == name || function.name.rsplit("::").next() == Some(name))?;
    Some(format!("```rhai\n{}\n```\n\n{}\n", function.signature, function.doc))
}

/// One function's page, in Markdown.
pub fn page(function: &Function) -> String {
    let mut page = format!("```rhai\n{}\n```\n\n{}\n", signature(function), function.doc);
    if let Some(source) = function.source {
        let _ = writeln!(page, "\nSource: {source}.");
    }
    if function.parameters().next().is_some() {
        page.push_str("\n| argument | what it is |\n| --- | --- |\n");
    }
    for parameter in function.parameters() {
        let name = match parameter.default {
            None => format!("`{}`", parameter.name),
            Some("optional") => format!("`{}=`", parameter.name),
            Some(default) => format!("`{}={default}`", parameter.name),
        };
        let doc = parameter.doc.replace('\n', " ");
        let kind = match parameter.choices {
            [] => parameter.kind.to_owned(),
            choices => choices.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(", "),
        };
        let _ = writeln!(page, "| {name} | {doc} *({kind}{})* |", bounds(parameter.low, parameter.high));
    }
    page
}

fn bounds(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!(", {low} to {high}"),
        (Some(low), None) => format!(", at least {low}"),
        (None, Some(high)) => format!(", at most {high}"),
        (None, None) => String::new(),
    }
}

/// What can be done with a value: the functions that take it first.
fn methods_of(value: &Dynamic) -> String {
    let mut text = format!("{}\n\n| function | what it does |\n| --- | --- |\n", describe(value));
    for (_, overloads) in functions() {
        for function in overloads {
            if takes_first(function, value) {
                let _ = writeln!(text, "| `{}` | {} |", signature(function), function.summary());
            }
        }
    }
    text
}

/// Does a function take this value as its first argument, and not just any value?
pub fn takes_first(function: &Function, value: &Dynamic) -> bool {
    function.positional().next().is_some_and(|first| first.kind != "any value" && (first.accepts)(value))
        || function.leading(value).is_some()
}

/// The documentation of a function or variable.
pub fn about(interpreter: &Interpreter, name: &str) -> Option<String> {
    named(&interpreter.functions(), name).or_else(|| {
        let value = interpreter.get(name)?;
        Some(format!("`{name}`: {} `{}`\n\n{}", type_name(&value), text(&value), methods_of(&value)))
    })
}

/// The documentation of what stands at the cursor.
pub fn inspect(interpreter: &Interpreter, code: &str, cursor: usize) -> Option<Output> {
    let name = word_at(code, cursor).or_else(|| {
        let before: String = code.chars().take(cursor).collect();
        interpreter.scan(&before).open.last().map(|call| call.name.clone())
    })?;
    let markdown = about(interpreter, &name)?;
    Some(Output { text: plain(&markdown), markdown: Some(markdown), ..Output::default() })
}

/// The name that the cursor touches.
fn word_at(code: &str, cursor: usize) -> Option<String> {
    let characters: Vec<char> = code.chars().collect();
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let cursor = cursor.min(characters.len());
    let start = characters[..cursor].iter().rposition(|c| !is_word(c)).map_or(0, |at| at + 1);
    let end = characters[cursor..].iter().position(|c| !is_word(c)).map_or(characters.len(), |at| cursor + at);
    let word: String = characters[start..end].iter().collect();
    word.starts_with(|c: char| c.is_alphabetic() || c == '_').then_some(word)
}

/// Markdown as a terminal shows it: tables and fences become plain lines.
pub fn plain(markdown: &str) -> String {
    let mut lines = Vec::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if line.starts_with("| ---") || line.starts_with("| argument |") || line.starts_with("| function |") {
            continue;
        }
        if in_code {
            lines.push(format!("    {line}"));
        } else if let Some(row) = line.strip_prefix("| ").and_then(|row| row.strip_suffix(" |")) {
            let (name, doc) = row.split_once(" | ").unwrap_or((row, ""));
            lines.push(format!("  {:<22} {}", name.replace('`', ""), doc.replace(['`', '*'], "")));
        } else {
            lines.push(line.replace('`', ""));
        }
    }
    lines.join("\n").trim().to_owned()
}
