//! Completion, and deciding whether a text is whole.

use super::help::takes_first;
use crate::lang::{Interpreter, builtin, builtins, signature, type_name};

/// One thing that could stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The text to insert.
    pub text: String,
    /// What it is: "function", "keyword", "tensor".
    pub kind: String,
    /// A signature or short description.
    pub detail: String,
}

/// What could stand at the cursor, and the characters it would replace.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// The first character to replace.
    pub start: usize,
    /// The character behind the last one to replace.
    pub end: usize,
    /// In alphabetical order, keyword arguments first.
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

const KEYWORDS: [&str; 16] = [
    "let", "const", "if", "else", "for", "in", "while", "loop", "break", "continue", "return", "fn", "import", "try",
    "switch", "throw",
];

/// What could stand at the cursor.
pub fn complete(interpreter: &Interpreter, code: &str, cursor: usize) -> Completion {
    let before: Vec<char> = code.chars().take(cursor).collect();
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let start = before.iter().rposition(|c| !is_word(c)).map_or(0, |at| at + 1);
    let prefix: String = before[start..].iter().collect();
    let head: String = before[..start].iter().collect();

    let mut candidates = match head.trim_end().strip_suffix('.') {
        Some(receiver) => methods(interpreter, receiver),
        None => match head.trim_end().strip_suffix("::") {
            Some(module) => members(interpreter, module),
            None => {
                let mut found = keyword_arguments(interpreter, &head);
                found.extend(names(interpreter));
                found
            }
        },
    };
    candidates.retain(|candidate| candidate.text.starts_with(&prefix) && candidate.text != prefix);
    candidates.dedup();
    Completion { start, end: before.len(), candidates }
}

/// Functions that take what stands in front of the dot.
fn methods(interpreter: &Interpreter, receiver: &str) -> Vec<Candidate> {
    let name = receiver.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    let value = interpreter.get(name);
    let mut found = Vec::new();
    for (name, overloads) in builtins() {
        let fitting = overloads.iter().find(|builtin| match &value {
            Some(value) => takes_first(builtin, value),
            None => builtin.positional().next().is_some_and(|first| first.kind != "any value"),
        });
        if let Some(builtin) = fitting {
            let kind = if builtin.property { "property" } else { "function" };
            found.push(Candidate { text: name.into(), kind: kind.into(), detail: signature(builtin) });
        }
    }
    found
}

/// The functions of the module whose name stands in front of the `::`.
fn members(interpreter: &Interpreter, module: &str) -> Vec<Candidate> {
    let module = module.rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default();
    let functions = interpreter.functions().into_iter();
    let member = |name: &str| Some(name.strip_prefix(module)?.strip_prefix("::")?.to_owned());
    functions
        .filter_map(|function| {
            let text = member(&function.name)?;
            Some(Candidate { text, kind: "function".into(), detail: function.signature })
        })
        .collect()
}

/// The keyword arguments of the innermost call that is open at the cursor.
fn keyword_arguments(interpreter: &Interpreter, head: &str) -> Vec<Candidate> {
    let scan = interpreter.scan(head);
    let Some(call) = scan.open.last() else { return Vec::new() };
    // a name can only start an argument
    if !head.trim_end().ends_with(['(', ',']) {
        return Vec::new();
    }
    let mut found: Vec<Candidate> = Vec::new();
    for builtin in builtin(&call.name) {
        for parameter in builtin.keywords() {
            let text = format!("{}=", parameter.name);
            if call.keyword(parameter.name).is_none() && !found.iter().any(|candidate| candidate.text == text) {
                let detail = parameter.doc.lines().next().unwrap_or_default().to_owned();
                found.push(Candidate { text, kind: "keyword argument".into(), detail });
            }
        }
    }
    found
}

/// Variables, functions and keywords.
fn names(interpreter: &Interpreter) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    // `_` is too short to need completing
    for (name, value) in interpreter.variables().into_iter().filter(|(name, _)| name != "_") {
        found.push(Candidate { text: name, kind: type_name(&value).into(), detail: String::new() });
    }
    for function in interpreter.functions() {
        found.push(Candidate { text: function.name, kind: "function".into(), detail: function.signature });
    }
    for (name, overloads) in builtins() {
        let detail = overloads.first().map(|builtin| signature(builtin)).unwrap_or_default();
        found.push(Candidate { text: name.into(), kind: "function".into(), detail });
    }
    for keyword in KEYWORDS {
        found.push(Candidate { text: keyword.into(), kind: "keyword".into(), detail: String::new() });
    }
    found.sort_by(|a, b| a.text.cmp(&b.text));
    found
}

/// Decides from tokens first: `/* open` compiles, and is not whole.
pub fn is_complete(interpreter: &Interpreter, code: &str) -> Completeness {
    let scan = interpreter.scan(code);
    if scan.unclosed > 0 {
        return Completeness::Incomplete(4 * scan.unclosed);
    }
    if scan.dangling {
        return Completeness::Incomplete(4);
    }
    match interpreter.check(code) {
        Ok(()) => Completeness::Complete,
        Err(error) if ends_too_early(error.message()) => Completeness::Incomplete(4),
        // `for x in list`: its block may stand on the next line
        Err(error) if wants_block(error.message()) && !stays_wrong(interpreter, code) => Completeness::Incomplete(0),
        Err(_) => Completeness::Invalid,
    }
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
