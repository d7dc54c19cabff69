//! The signature of the call that is being typed.

use std::ops::Range;

use super::cursor::Cursor;
use crate::lang::{Function, Interpreter, signature};

/// A signature to be shown while a call is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `dream(image, octaves=4, …) → image`.
    pub text: String,
    /// The bytes of the parameter at the cursor.
    pub current: Option<Range<usize>>,
}

/// The signature of the innermost call that is open at the end of a text.
pub fn signature_at(interpreter: &Interpreter, before: &str) -> Option<Signature> {
    let scan = interpreter.scan(before);
    let site = scan.open.last()?;
    let cursor = Cursor::new(interpreter, &scan, before);
    let place = cursor.argument();
    let index = place.as_ref().map(|place| place.index);
    let keyword = place.as_ref().and_then(|place| place.keyword);
    let overloads = cursor.overloads(site);
    let has = |function: &&Function| match (keyword, index) {
        (Some(keyword), _) => function.keywords().any(|parameter| parameter.name == keyword),
        (None, Some(index)) => index < function.parameters().count(),
        (None, None) => true,
    };
    if let Some(function) = overloads.iter().copied().find(has).or(overloads.first().copied()) {
        let text = signature(function);
        let name = match (keyword, index) {
            (Some(keyword), _) => Some(keyword),
            (None, _) => {
                place.as_ref().and_then(|place| cursor.positional(function, place)).map(|parameter| parameter.name)
            }
        };
        let current = name.and_then(|name| parameter(&text, name));
        return Some(Signature { text, current });
    }
    let functions = interpreter.functions();
    let function = functions.iter().find(|function| function.name.rsplit("::").next() == Some(&site.name))?;
    let text = function.signature.clone();
    let name = text.split_once('(').and_then(|(_, rest)| {
        let names = rest.trim_end_matches(')').split(", ");
        Some(names.clone().nth(index?)?.to_owned())
    });
    let current = name.and_then(|name| parameter(&text, &name));
    Some(Signature { text, current })
}

/// Where a parameter stands in a signature, with its default.
fn parameter(signature: &str, name: &str) -> Option<Range<usize>> {
    let open = signature.find('(')? + 1;
    let close = signature.rfind(')')?;
    let mut start = open;
    // a default may be a list, whose commas are no ends
    let mut depth = 0;
    let mut quoted = false;
    for (at, c) in signature[open..close].char_indices().map(|(at, c)| (open + at, c)).chain([(close, ',')]) {
        match c {
            '"' => quoted = !quoted,
            '[' | '(' if !quoted => depth += 1,
            ']' | ')' if !quoted => depth -= 1,
            ',' if depth == 0 && !quoted => {
                let part = signature[start..at].trim();
                let begin = at - signature[start..at].trim_start().len();
                if part.split('=').next() == Some(name) {
                    return Some(begin..begin + part.len());
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}
