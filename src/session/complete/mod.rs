//! Completion, the signature of the call being typed, and deciding whether a text is whole.

mod cursor;
mod signature;
#[cfg(test)]
mod tests;
mod text;

use self::cursor::{Cursor, Known};
pub use self::signature::{Signature, signature_at};
use super::COMMANDS;
use crate::lang::{
    CompletionContext, Dynamic, Inside, Interpreter, Scan, Token, byte_at, functions, overloads, signature, type_name,
};

/// One thing that could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The text to insert.
    pub text: String,
    /// How a list shows it.
    pub label: String,
    /// What it is: "function", "keyword", "tensor".
    pub kind: String,
    /// A signature or short description.
    pub detail: String,
}

impl Candidate {
    fn new(text: impl Into<String>, kind: &str, detail: impl Into<String>) -> Self {
        let text = text.into();
        Self { label: text.clone(), text, kind: kind.into(), detail: detail.into() }
    }
}

/// Candidates, and the byte from which they would replace the text up to the cursor.
#[derive(Default)]
struct Found {
    start: usize,
    candidates: Vec<Candidate>,
}

/// What could stand at the cursor, and the characters it would replace.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// The first character to replace.
    pub start: usize,
    /// The character behind the last one to replace.
    pub end: usize,
    /// Values, keyword arguments, then names in alphabetical order.
    pub candidates: Vec<Candidate>,
}

/// Is a text a whole program?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completeness {
    /// It can be run.
    Complete,
    /// More has to come; the next line is indented by this many spaces.
    Incomplete(usize),
    /// No continuation could make it right.
    Invalid,
}

/// How far a block is indented.
const STEP: usize = 4;

const KEYWORDS: [&str; 16] = [
    "let", "const", "if", "else", "for", "in", "while", "loop", "break", "continue", "return", "fn", "import", "try",
    "switch", "throw",
];

/// What could stand at the cursor.
pub fn complete(interpreter: &Interpreter, code: &str, cursor: usize) -> Completion {
    let split = code.char_indices().nth(cursor).map_or(code.len(), |(byte, _)| byte);
    let (before, after) = code.split_at(split);
    let found = found(interpreter, before, after);
    let start = before[..found.start].chars().count();
    Completion { start, end: before.chars().count(), candidates: found.candidates }
}

fn found(interpreter: &Interpreter, before: &str, after: &str) -> Found {
    if let Some(line) = before.trim_start().strip_prefix(':') {
        return command(interpreter, before.len() - line.len(), line, after);
    }
    if let Some(topic) = before.trim_start().strip_prefix('?') {
        let start = before.len() - topic.len();
        let inner = word(interpreter, topic);
        return Found { start: start + inner.start, ..inner };
    }
    let scan = interpreter.scan(before);
    match scan.inside {
        Some(Inside::Comment(_)) => Found::default(),
        Some(Inside::Text(place)) => {
            text::complete(interpreter, &scan, before, byte_at(before, place), after).unwrap_or_default()
        }
        None => word(interpreter, before),
    }
}

/// A command, or what follows it.
fn command(interpreter: &Interpreter, start: usize, line: &str, after: &str) -> Found {
    let Some((name, rest)) = line.split_once(char::is_whitespace) else {
        let commands = COMMANDS.iter().filter(|command| command.name.starts_with(line));
        let candidate = |command: &super::Command| {
            let space = if command.argument.is_empty() { "" } else { " " };
            let label = format!("{} {}", command.name, command.argument).trim_end().to_owned();
            Candidate { label, ..Candidate::new(format!("{}{space}", command.name), "command", command.summary) }
        };
        return Found { start, candidates: commands.map(candidate).collect() };
    };
    let start = start + line.len() - rest.len();
    match COMMANDS.iter().find(|command| command.name == name).map_or("", |command| command.argument) {
        "FILE" => {
            let files =
                CompletionContext { typed: rest, others: &[], folder: &interpreter.working_folder() }.files(&["rhai"]);
            let files = text::going_on(files, rest).into_iter().map(|file| Candidate::new(file, "file", ""));
            Found { start, candidates: files.collect() }
        }
        "CODE" | "[NAME]" => {
            let inner = found(interpreter, rest, after);
            Found { start: start + inner.start, ..inner }
        }
        _ => Found::default(),
    }
}

/// The word that ends at the cursor; it may be empty.
fn word(interpreter: &Interpreter, before: &str) -> Found {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let prefix = before.rsplit(|c| !is_word(c)).next().unwrap_or_default();
    // nothing completes a number
    if prefix.starts_with(char::is_numeric) {
        return Found::default();
    }
    let start = before.len() - prefix.len();
    let head = &before[..start];
    let scan = interpreter.scan(head);
    let cursor = Cursor::new(interpreter, &scan, head);
    let mut candidates = match cursor.last() {
        Some(Token::Period | Token::Elvis) => methods(interpreter, &cursor),
        Some(Token::DoubleColon) => members(interpreter, head),
        // a new name
        Some(Token::Let | Token::Const | Token::Fn | Token::For) => Vec::new(),
        _ => {
            let mut found = Vec::new();
            if prefix.is_empty() {
                found.extend(text::quoted(&cursor));
            }
            found.extend(keyword_arguments(&cursor));
            found.extend(if prefix.is_empty() { things(interpreter, &cursor) } else { names(interpreter, &cursor) });
            found
        }
    };
    candidates.retain(|candidate| candidate.text.starts_with(prefix) && candidate.text != prefix);
    candidates.dedup_by(|a, b| a.text == b.text);
    Found { start, candidates }
}

/// What can follow a dot: functions that take what stands in front of it, and entries of a map.
fn methods(interpreter: &Interpreter, cursor: &Cursor<'_>) -> Vec<Candidate> {
    let value = cursor.receiver();
    let mut found: Vec<Candidate> = Vec::new();
    if let Known::Value(map) = &value
        && let Some(map) = map.read_lock::<rhai::Map>()
    {
        found.extend(map.iter().map(|(name, value)| Candidate::new(name.as_str(), type_name(value), "")));
    }
    for (name, function) in cursor.methods(&value) {
        let kind = if function.property { "property" } else { "function" };
        found.push(Candidate::new(name, kind, signature(function)));
    }
    if let Some(kind) = value.kind() {
        let natives = interpreter.natives().iter().filter(|native| native.first == Some(kind));
        found.extend(natives.map(|native| Candidate::new(&native.name, "function", &native.signature)));
    }
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found
}

/// The functions of the module whose name stands in front of the `::`.
fn members(interpreter: &Interpreter, head: &str) -> Vec<Candidate> {
    let module = head.trim_end().trim_end_matches(':').trim_end();
    let module = module.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    let functions = interpreter.functions().into_iter();
    let member = |name: &str| Some(name.strip_prefix(module)?.strip_prefix("::")?.to_owned());
    functions
        .filter_map(|function| Some(Candidate::new(member(&function.name)?, "function", function.signature)))
        .collect()
}

/// The keyword arguments of the innermost call that is open at the cursor.
fn keyword_arguments(cursor: &Cursor<'_>) -> Vec<Candidate> {
    // a name can only start an argument
    let Some(place) = cursor.argument().filter(|_| matches!(cursor.last(), Some(Token::LeftParen | Token::Comma)))
    else {
        return Vec::new();
    };
    let mut found: Vec<Candidate> = Vec::new();
    for function in cursor.overloads(place.site) {
        for parameter in function.keywords() {
            let text = format!("{}=", parameter.name);
            if place.site.keyword(parameter.name).is_none() && !found.iter().any(|candidate| candidate.text == text) {
                let label = match parameter.default {
                    Some("optional") | None => text.clone(),
                    Some(default) => format!("{text}{default}"),
                };
                let detail = parameter.doc.lines().next().unwrap_or_default();
                found.push(Candidate { label, ..Candidate::new(text, "keyword argument", detail) });
            }
        }
    }
    found
}

/// The variables, without those that the argument at the cursor cannot be; at the beginning of an expression also what
/// there is to be done.
fn things(interpreter: &Interpreter, cursor: &Cursor<'_>) -> Vec<Candidate> {
    let place = cursor.argument();
    let parameters = place.as_ref().map(|place| cursor.parameters(place)).unwrap_or_default();
    if let Some(place) = &place
        && parameters.is_empty()
        && !overloads(&place.site.name).is_empty()
    {
        return Vec::new();
    }
    let fits = |value: &Dynamic| parameters.is_empty() || parameters.iter().any(|parameter| (parameter.accepts)(value));
    let mut found = variables(interpreter, cursor, fits);
    if place.is_none() {
        found.extend(function_candidates(interpreter));
    }
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found
}

/// Variables, functions and keywords.
fn names(interpreter: &Interpreter, cursor: &Cursor<'_>) -> Vec<Candidate> {
    let mut found = variables(interpreter, cursor, |_| true);
    found.extend(function_candidates(interpreter));
    // the others are methods
    let free = interpreter
        .natives()
        .iter()
        .filter(|native| matches!(native.first, None | Some("integer" | "number" | "string")));
    found.extend(free.map(|native| Candidate::new(&native.name, "function", &native.signature)));
    found.extend(KEYWORDS.map(|keyword| Candidate::new(keyword, "keyword", "")));
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found
}

/// The variables of the session whose values fit, and those that the text binds.
fn variables(interpreter: &Interpreter, cursor: &Cursor<'_>, fits: impl Fn(&Dynamic) -> bool) -> Vec<Candidate> {
    // `_` is too short to need completing
    let variables = interpreter.variables().into_iter().filter(|(name, value)| name != "_" && fits(value));
    let known = variables.map(|(name, value)| Candidate::new(name, type_name(&value), ""));
    known.chain(cursor.bound().into_iter().map(|name| Candidate::new(name, "variable", ""))).collect()
}

/// The functions of the language, of cells and of modules.
fn function_candidates(interpreter: &Interpreter) -> Vec<Candidate> {
    let scripts = interpreter.functions().into_iter();
    let scripts = scripts.map(|function| Candidate::new(function.name, "function", function.signature));
    let words = functions().map(|(name, overloads)| {
        Candidate::new(name, "function", overloads.first().map(|function| signature(function)).unwrap_or_default())
    });
    scripts.chain(words).collect()
}

/// Decides from tokens first: `/* open` compiles, and is not whole.
pub fn is_complete(interpreter: &Interpreter, code: &str) -> Completeness {
    let scan = interpreter.scan(code);
    if let Some(Inside::Text(place)) = scan.inside
        && ends_with_its_line(&scan, &code[byte_at(code, place)..])
    {
        return Completeness::Invalid;
    }
    if scan.unclosed > 0 || scan.dangling {
        return Completeness::Incomplete(indentation(interpreter, code));
    }
    match interpreter.check(code) {
        Ok(()) => Completeness::Complete,
        Err(error) if ends_too_early(error.message()) => Completeness::Incomplete(4),
        // `for x in list`: its block may stand on the next line
        Err(error) if wants_block(error.message()) && !stays_wrong(interpreter, code) => Completeness::Incomplete(0),
        Err(_) => Completeness::Invalid,
    }
}

/// Is an open string one that cannot go on behind the end of its line?
fn ends_with_its_line(scan: &Scan, string: &str) -> bool {
    // behind `${…}` it is the rest of a string of any number of lines
    let resumed = matches!(scan.tokens.last().map(|lexeme| &lexeme.token), Some(Token::RightBrace));
    !resumed && string.starts_with(['"', '\'']) && !string.ends_with('\\')
}

/// Did the parser look for the block of a statement?
fn wants_block(message: &str) -> bool {
    message.starts_with("expecting '{'") || message.starts_with("expecting body statement block")
}

/// Does the fault stay when a block follows?
fn stays_wrong(interpreter: &Interpreter, code: &str) -> bool {
    interpreter.check(&format!("{code} {{}}")).is_err_and(|error| wants_block(error.message()))
}

/// Did the parser want more where the text ends?
fn ends_too_early(message: &str) -> bool {
    message.contains("incomplete") || message.contains("unexpected end")
}

/// How far a line is indented that begins behind this text: four columns more than the line of the innermost open
/// bracket.
pub fn indentation(interpreter: &Interpreter, before: &str) -> usize {
    let scan = interpreter.scan(before);
    let spaces = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let last = before.lines().last().map_or(0, spaces);
    match (scan.inside, scan.brackets.last()) {
        // spaces would be part of the string
        (Some(_), _) => 0,
        (None, Some((line, _))) => before.lines().nth(line - 1).map_or(0, spaces) + STEP,
        // what goes on after its first line is indented once
        (None, None) if scan.dangling && last == 0 => STEP,
        (None, None) => last,
    }
}
