//! Completion inside a string: what it could be is known by the parameter that it is for.

use super::cursor::Cursor;
use super::{Candidate, Found};
use crate::lang::{CompletionContext, Interpreter, Parameter, Scan, Token, stdlib};

/// No more values than these are offered where no quote has been typed.
const FEW: usize = 24;

/// What could stand in the string that starts at the byte `start` and is open at the cursor.
pub fn complete(interpreter: &Interpreter, scan: &Scan, before: &str, start: usize, after: &str) -> Option<Found> {
    let quote = before[start..].chars().next().filter(|c| matches!(c, '"' | '`'))?;
    let cursor = Cursor::new(interpreter, scan, before);
    // behind `${…}` it is only the rest of a string
    if matches!(cursor.last(), Some(Token::RightBrace)) {
        return None;
    }
    let inner = start + quote.len_utf8();
    let typed = unescape(&before[inner..], quote);
    let values = if matches!(cursor.last(), Some(Token::Import)) {
        modules(interpreter, &typed)
    } else {
        let place = cursor.argument()?;
        let others = cursor.others(&place);
        let folder = interpreter.working_folder();
        let context = CompletionContext { typed: &typed, others: &others, folder: &folder };
        cursor.parameters(&place).into_iter().flat_map(|parameter| values(parameter, &context)).collect()
    };
    let closed = after.starts_with(quote);
    let candidate = |value: String| {
        let open = closed || value.ends_with('/');
        let text = format!("{}{}", escape(&value, quote), if open { String::new() } else { quote.to_string() });
        Candidate { text, label: value, kind: "text".into(), detail: String::new() }
    };
    Some(Found { start: inner, candidates: going_on(values, &typed).into_iter().map(candidate).collect() })
}

/// The values of an argument that has not been begun, in quotes; only the first quote, if there are many.
pub fn quoted(cursor: &Cursor<'_>) -> Vec<Candidate> {
    let Some(place) = cursor.argument() else { return Vec::new() };
    let others = cursor.others(&place);
    let folder = cursor.interpreter.working_folder();
    let context = CompletionContext { typed: "", others: &others, folder: &folder };
    let mut found: Vec<Candidate> = Vec::new();
    for parameter in cursor.parameters(&place) {
        let values = values(parameter, &context);
        if parameter.types == ["boolean"] {
            found.extend(["true", "false"].map(|word| Candidate::new(word, "boolean", "")));
        } else if values.len() > FEW {
            found.push(Candidate { label: "\"…\"".into(), ..Candidate::new("\"", "text", parameter.kind) });
        } else {
            let quoted = |value: String| match value.ends_with('/') {
                true => Candidate::new(format!("\"{}", escape(&value, '"')), "text", ""),
                false => Candidate::new(format!("\"{}\"", escape(&value, '"')), "text", ""),
            };
            found.extend(values.into_iter().map(quoted));
        }
    }
    found
}

/// Which texts an argument for a parameter could be.
fn values(parameter: &Parameter, context: &CompletionContext<'_>) -> Vec<String> {
    match parameter.complete {
        Some(complete) => complete(context),
        None => parameter.choices.iter().map(|choice| (*choice).to_owned()).collect(),
    }
}

/// Those that go on from what is typed, or have a word that does (`cat`: `Egyptian cat`); if there are none, regardless
/// of case; if there are none, those that contain it.
pub fn going_on(values: Vec<String>, typed: &str) -> Vec<String> {
    let lower = typed.to_lowercase();
    let pick =
        |fits: &dyn Fn(&str) -> bool| -> Vec<String> { values.iter().filter(|value| fits(value)).cloned().collect() };
    let begins = |value: &str, typed: &str| {
        value.starts_with(typed) || value.match_indices(' ').any(|(space, _)| value[space + 1..].starts_with(typed))
    };
    let mut found = pick(&|value| begins(value, typed));
    if found.is_empty() {
        found = pick(&|value| begins(&value.to_lowercase(), &lower));
    }
    if found.is_empty() {
        found = pick(&|value| value.to_lowercase().contains(&lower));
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|value| seen.insert(value.clone()));
    found
}

/// Modules that can be imported: those of the program, and files.
fn modules(interpreter: &Interpreter, typed: &str) -> Vec<String> {
    let folder = interpreter.working_folder();
    let context = CompletionContext { typed, others: &[], folder: &folder };
    let files = context.files(&["rhai"]).into_iter();
    let files = files.map(|file| file.strip_suffix(".rhai").map(str::to_owned).unwrap_or(file));
    stdlib().map(|(name, _)| name.to_owned()).chain(files).collect()
}

fn escape(text: &str, quote: char) -> String {
    match quote {
        '`' => text.replace('`', "``"),
        _ => text.replace('\\', "\\\\").replace('"', "\\\""),
    }
}

fn unescape(text: &str, quote: char) -> String {
    match quote {
        '`' => text.replace("``", "`"),
        _ => text.replace("\\\"", "\"").replace("\\\\", "\\"),
    }
}
