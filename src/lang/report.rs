//! Errors as their reader sees them: the line, a caret at the fault, and what would be right.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use rhai::{Dynamic, Engine, EvalAltResult, ParseErrorType, Position, Scope};

use super::context::{Runtime, Source};
use super::functions::{script_functions, unknown_function};
use super::keywords::is_wrapper;
use super::registry;
use super::scan::Place;
use super::value::value_types;
use crate::error::{Error, Kind, did_you_mean};

/// Turns an error of the engine into one of ours, with a report.
pub(super) fn report(
    engine: &Engine,
    runtime: &Runtime,
    scope: &Scope<'_>,
    source: &str,
    error: &EvalAltResult,
) -> Error {
    let mut source = source.to_owned();
    let mut calls: Vec<(String, String, Place)> = Vec::new();
    let mut inner = error;
    // where a wrapper of keyword arguments was called, which stands for what it calls
    let mut called_at = None;
    // descend to where it happened; the calls on the way make the trace
    loop {
        match inner {
            EvalAltResult::ErrorInFunctionCall(name, _, deeper, position) if is_wrapper(name) => {
                called_at = Some(place(*position));
                inner = deeper;
            }
            EvalAltResult::ErrorInFunctionCall(name, in_source, deeper, position) => {
                calls.push((name.clone(), source.clone(), called_at.take().unwrap_or(place(*position))));
                if !in_source.is_empty() {
                    source.clone_from(in_source);
                }
                inner = deeper;
            }
            EvalAltResult::ErrorInModule(_, deeper, _) => inner = deeper,
            _ => break,
        }
    }
    let at = called_at.unwrap_or(place(inner.position()));
    let error = describe(engine, runtime, scope, inner);
    if error.report().is_some() {
        return error; // it happened in another text, which it shows
    }
    let Some(text) = runtime.source(&source) else { return error };
    let at = match (called_at, error.argument()) {
        (Some(at), Some(argument)) => keyword_place(&text, at, argument).unwrap_or(at),
        _ => at,
    };
    let error = match idiom(inner, &text.text, at) {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    let drawn = draw(&error, &source, &text, at, &calls, runtime);
    error.with_report(drawn)
}

/// Where the keyword argument at fault stands in a call of a function of the script.
fn keyword_place(source: &Source, call: Place, argument: &str) -> Option<Place> {
    let site = source.scan.calls.get(&call)?;
    match argument.strip_suffix('=') {
        Some(name) => site.keyword(name).map(|argument| argument.start),
        None => site.keyword(argument).map(|argument| argument.value),
    }
}

/// What another language's way of writing is called here, for errors that come of it.
fn idiom(error: &EvalAltResult, text: &str, at: Place) -> Option<&'static str> {
    let line = text.lines().nth(at.0.checked_sub(1)?)?.trim();
    let rest: String = text.lines().nth(at.0 - 1)?.chars().skip(at.1.saturating_sub(1)).collect();
    match error {
        EvalAltResult::ErrorVariableNotFound(name, _) if name == "None" || name == "null" => {
            Some("nothing at all is written ()")
        }
        EvalAltResult::ErrorVariableNotFound(..) if line.starts_with("import ") => {
            Some("a module is named by a string: import \"name\" as name;")
        }
        EvalAltResult::ErrorParsing(..) if line.starts_with("def ") => Some("a function is written fn name(x) { … }"),
        EvalAltResult::ErrorParsing(..) if rest == ":" => Some("a block stands in braces: { … }"),
        EvalAltResult::ErrorParsing(..) if rest.starts_with(':') => Some("a range is written 1..3"),
        EvalAltResult::ErrorParsing(..) if rest.starts_with("for ") => {
            Some("a list is made from another one with list.map(|x| …)")
        }
        EvalAltResult::ErrorParsing(ParseErrorType::MissingToken(token, _), _)
            if token == ";" && rest.starts_with([')', ']', '}']) =>
        {
            Some("nothing is open that this could close")
        }
        EvalAltResult::ErrorParsing(..) if rest.starts_with(|c: char| c.is_alphabetic() && !c.is_ascii()) => {
            Some("names are made of a to z, A to Z, digits and _")
        }
        _ => None,
    }
}

fn place(position: Position) -> Place {
    (position.line().unwrap_or(0), position.position().unwrap_or(0))
}

/// What went wrong, without where.
fn describe(engine: &Engine, runtime: &Runtime, scope: &Scope<'_>, error: &EvalAltResult) -> Error {
    let variables = || -> Vec<String> {
        let own = scope.iter_raw().map(|(name, ..)| name.to_owned());
        own.chain(runtime.globals.borrow().keys().cloned()).collect()
    };
    match error {
        EvalAltResult::ErrorRuntime(value, _) => match value.clone().try_cast::<Error>() {
            Some(error) => error,
            None => Error::new(Kind::Script, thrown(value)),
        },
        EvalAltResult::ErrorTerminated(..) => Error::interrupted(),
        EvalAltResult::ErrorVariableNotFound(name, _) => {
            let error = Error::new(Kind::Name, format!("there is no variable `{name}`"));
            let variables = variables();
            let names = variables.iter().map(String::as_str).chain(registry::names());
            match did_you_mean(name, names) {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            let name = signature.split([' ', '(']).next().unwrap_or(signature);
            function_not_found(engine, name, signature, &variables())
        }
        EvalAltResult::ErrorModuleNotFound(name, _) => Error::new(Kind::Name, format!("there is no module `{name}`"))
            .with_hint(format!("import it first: import \"{name}\" as {name};")),
        EvalAltResult::ErrorAssignmentToConstant(name, _) => {
            Error::new(Kind::Script, format!("`{name}` cannot be changed here")).with_hint(
                "it is a constant, or a function writes to a variable of the session: return the value instead",
            )
        }
        EvalAltResult::ErrorDotExpr(message, _) => unknown_property(message),
        EvalAltResult::ErrorDataRace(name, _) => {
            Error::new(Kind::Script, format!("`{name}` is read while it is being changed"))
                .with_hint("copy it to another variable first")
        }
        EvalAltResult::ErrorMismatchDataType(expected, found, _) => {
            let error = Error::new(Kind::Script, format!("{} is expected here, not {}", one(expected), one(found)));
            match (plain(expected), plain(found)) {
                ("boolean", "tensor") => error.with_hint("any(t) or all(t) makes one of a tensor of comparisons"),
                _ => error,
            }
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            Error::new(Kind::Script, "calls are nested too deep").with_hint("does a function call itself for ever?")
        }
        EvalAltResult::ErrorParsing(kind, _) => {
            let error = Error::new(Kind::Script, lower_first(&kind.to_string()));
            match kind {
                ParseErrorType::ExprTooDeep => error.with_hint("put parts of it into variables"),
                _ => error,
            }
        }
        other => {
            let mut bare = other.to_string();
            // Rhai appends the position, which the report shows
            if let Some(end) = bare.rfind(" (line ") {
                bare.truncate(end);
            }
            Error::new(Kind::Script, lower_first(&bare))
        }
    }
}

fn thrown(value: &Dynamic) -> String {
    if value.is_string() { value.clone().into_string().unwrap_or_default() } else { super::text(value) }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let second_is_lower = text.chars().nth(1).is_some_and(char::is_lowercase);
    match characters.next() {
        Some(first) if second_is_lower => first.to_lowercase().chain(characters).collect(),
        _ => text.to_owned(),
    }
}

fn function_not_found(engine: &Engine, name: &str, signature: &str, variables: &[String]) -> Error {
    let types = signature.split_once('(').map_or("", |(_, rest)| rest.strip_suffix(')').unwrap_or(rest)).trim();
    let types: Vec<&str> = types.split(", ").map(plain).collect();
    let types = types.join(", ");
    let operator = !name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    if operator {
        return Error::new(Kind::Script, format!("`{name}` does not work on ({types})"));
    }
    let known = engine.collect_fn_metadata(
        None,
        |info| {
            let name = &info.metadata.name;
            Some(if info.namespace.is_empty() { name.to_string() } else { format!("{}::{name}", info.namespace) })
        },
        true,
    );
    if known.iter().any(|known| known == name) {
        let error = Error::new(Kind::Argument, format!("`{name}` cannot be called with ({types})"));
        let signatures: Vec<String> = script_functions(engine)
            .into_iter()
            .filter(|function| function.name == name)
            .map(|function| function.signature)
            .collect();
        return if signatures.is_empty() { error } else { error.with_hint(signatures.join(" or ")) };
    }
    unknown_function(name, variables, &known)
}

/// A value of the type that Rhai calls so.
fn one(name: &str) -> String {
    match plain(name) {
        "nothing" => "nothing".into(),
        name if name.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {name}"),
        name => format!("a {name}"),
    }
}

/// Rhai's name of a type as messages say it.
fn plain(name: &str) -> &str {
    match name {
        "i64" => "integer",
        "f64" => "number",
        "bool" => "boolean",
        "char" => "character",
        "array" => "list",
        "Fn" => "function",
        "()" => "nothing",
        "&str | ImmutableString | String" => "string",
        name => value_types().find(|kind| (kind.rust)() == name).map_or(name, |kind| kind.name),
    }
}

/// Rhai says: "Unknown property 'x' - a getter is not registered for type 't'".
fn unknown_property(message: &str) -> Error {
    let mut quoted = message.split('\'').skip(1).step_by(2);
    let (Some(property), Some(owner)) = (quoted.next(), quoted.next()) else {
        return Error::new(Kind::Name, lower_first(message));
    };
    let properties =
        registry::functions().filter(|(_, all)| all.iter().any(|function| function.property)).map(|(name, _)| name);
    let error = Error::new(Kind::Name, format!("{owner} has no property `{property}`"));
    if !registry::overloads(property).is_empty() {
        return error.with_hint(format!("it is a function: .{property}(…)"));
    }
    match did_you_mean(property, properties) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Draws the line with a caret.
fn draw(
    error: &Error,
    name: &str,
    source: &Source,
    at: Place,
    calls: &[(String, String, Place)],
    runtime: &Runtime,
) -> String {
    let hint = error.hint().unwrap_or_default();
    let mut snippet = Snippet::source(source.text.as_str()).line_start(1).path(name);
    if at.0 > 0 {
        let span = span(source, at);
        snippet = snippet.annotation(AnnotationKind::Primary.span(span).label(hint));
    }
    let mut group = Level::ERROR.primary_title(error.message()).element(snippet);
    if at.0 == 0 && !hint.is_empty() {
        group = group.element(Level::HELP.message(hint));
    }
    let mut notes: Vec<String> = calls
        .iter()
        .rev()
        .take(5)
        .map(|(function, file, place)| {
            let line = runtime
                .source(file)
                .and_then(|source| source.text.lines().nth(place.0.checked_sub(1)?).map(|line| line.trim().to_owned()));
            // Rhai calls closures `anon$…`
            let function = if function.contains('$') { "a closure".to_owned() } else { format!("`{function}`") };
            format!("in {function}, called from {file}:{}: {}", place.0, line.unwrap_or_default())
        })
        .collect();
    notes.dedup_by(|later, earlier| {
        let from = |note: &str| note.split_once(", called").map(|(_, from)| from.to_owned());
        from(later) == from(earlier)
    });
    for note in &notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    Renderer::plain().render(&[group])
}

/// The bytes to underline: the argument that starts there, or the word.
fn span(source: &Source, at: Place) -> std::ops::Range<usize> {
    let start = offset(&source.text, at);
    let argument = source.scan.calls.values().flat_map(|site| &site.arguments).find(|argument| argument.value == at);
    let end = match argument {
        Some(argument) => {
            let end = offset(&source.text, argument.end);
            start + source.text.get(start..end).map_or(0, |text| text.trim_end().len())
        }
        None => {
            let rest = source.text.get(start..).unwrap_or_default();
            if let Some(text) = rest.strip_prefix('"')
                && let Some(end) = text.find(['"', '\n']).filter(|end| text[*end..].starts_with('"'))
            {
                return start..start + end + 2;
            }
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
            start + if length > 0 { length } else { rest.chars().next().map_or(0, char::len_utf8) }
        }
    };
    // one line is enough to show where
    let line_end = source.text.get(start..).and_then(|rest| rest.find('\n')).map_or(source.text.len(), |n| start + n);
    start..end.clamp(start, line_end)
}

/// The byte at a line and column.
fn offset(text: &str, at: Place) -> usize {
    let line_start: usize = text.split_inclusive('\n').take(at.0.saturating_sub(1)).map(str::len).sum();
    let line = text.get(line_start..).unwrap_or_default();
    let in_line = line.char_indices().nth(at.1.saturating_sub(1)).map_or(line.trim_end().len(), |(byte, _)| byte);
    line_start + in_line
}
