//! The functions that scripts define and those that Rhai brings along: their names, signatures and documentation.

use rhai::Engine;

use super::Context;
use super::keywords::is_wrapper;
use super::registry;
use crate::error::{Error, Kind, did_you_mean};

/// A function that a cell or a module defines.
#[derive(Clone, Debug)]
pub struct ScriptFunction {
    /// Its name, with its module's: `sheets::compare`.
    pub name: String,
    /// Its name and parameters.
    pub signature: String,
    /// Its `///` comments, in Markdown.
    pub doc: String,
}

impl Context<'_> {
    /// The functions that cells and modules define.
    pub fn functions(&self) -> Vec<ScriptFunction> {
        script_functions(self.call.engine())
    }
}

/// A function that Rhai brings along.
#[derive(Clone, Debug)]
pub struct Native {
    /// Its name.
    pub name: String,
    /// Its name and parameters.
    pub signature: String,
    /// The type of its first parameter, which is what a method is called on, as [`type_name`](super::type_name) says it;
    /// "value" if the language has no name for it.
    pub first: Option<&'static str>,
    /// The type of what it returns.
    pub returns: Option<&'static str>,
}

pub(super) fn natives(engine: &Engine) -> Vec<Native> {
    let mut natives: Vec<Native> = engine.collect_fn_metadata(
        None,
        |info| {
            let metadata = info.metadata;
            let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_');
            if info.script.is_some() || !info.namespace.is_empty() || !is_name(&metadata.name) {
                return None;
            }
            let parameters =
                || metadata.params_info.iter().map(|part| part.split(':').next().unwrap_or_default().trim());
            let first = metadata.params_info.first();
            Some(Native {
                name: metadata.name.to_string(),
                signature: format!("{}({})", metadata.name, parameters().collect::<Vec<_>>().join(", ")),
                first: first.map(|info| info.split_once(':').and_then(|(_, rust)| our_name(rust)).unwrap_or("value")),
                returns: our_name(&metadata.return_type),
            })
        },
        true,
    );
    // these are words of Rhai, which no package has
    for name in ["print", "debug", "type_of", "call", "curry", "is_shared", "is_def_var", "is_def_fn", "eval", "Fn"] {
        natives.push(Native { name: name.into(), signature: format!("{name}(…)"), first: None, returns: None });
    }
    natives
        .retain(|native| registry::overloads(&native.name).is_empty() && native.name.starts_with(char::is_alphabetic));
    natives.sort_by(|a, b| (&a.name, &a.first).cmp(&(&b.name, &b.first)));
    natives.dedup_by(|a, b| (&a.name, &a.first) == (&b.name, &b.first));
    natives
}

/// Our name of one of Rhai's types.
fn our_name(rust: &str) -> Option<&'static str> {
    let name = rust.trim().trim_start_matches("&mut ").trim_start_matches('&');
    let name = name.strip_prefix("RhaiResultOf<").and_then(|name| name.strip_suffix('>')).unwrap_or(name).trim();
    Some(match name {
        "Array" => "list",
        "Map" => "map",
        "str" | "String" | "ImmutableString" => "string",
        "INT" | "i64" => "integer",
        "FLOAT" | "f64" => "number",
        "bool" => "boolean",
        "char" => "character",
        "FnPtr" => "function",
        _ => return None,
    })
}

/// The functions that scripts have made known to an engine, in alphabetical order.
pub(super) fn script_functions(engine: &Engine) -> Vec<ScriptFunction> {
    let collected = engine.collect_fn_metadata(
        None,
        |info| {
            let name = match info.namespace.is_empty() {
                true => info.metadata.name.to_string(),
                false => format!("{}::{}", info.namespace, info.metadata.name),
            };
            let script = info.script?;
            let doc: Vec<String> = script.comments.iter().map(|line| uncomment(line)).collect();
            let signature = format!("{name}({})", script.params.join(", "));
            (!name.contains('$') && !is_wrapper(&info.metadata.name)).then(|| ScriptFunction {
                name,
                signature,
                doc: doc.join("\n"),
            })
        },
        false,
    );
    // newer definitions come first
    let mut functions: Vec<ScriptFunction> = Vec::new();
    for function in collected {
        if !functions.iter().any(|known| known.signature == function.signature) {
            functions.push(function);
        }
    }
    functions.sort_by(|a, b| a.signature.cmp(&b.signature));
    functions
}

fn uncomment(line: &str) -> String {
    let text = line.trim_start();
    let text = text.strip_prefix("///").unwrap_or(text);
    text.strip_prefix(' ').unwrap_or(text).to_owned()
}

/// What is known about a function that was not found.
pub(super) fn unknown_function(name: &str, variables: &[String], functions: &[String]) -> Error {
    let error = Error::new(Kind::Name, format!("there is no function `{name}`"));
    if variables.iter().any(|variable| variable == name) {
        return error.with_hint(format!("`{name}` is a variable; a function in it is called with {name}.call(…)"));
    }
    let names = registry::names().chain(functions.iter().map(String::as_str));
    match did_you_mean(name, names) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
