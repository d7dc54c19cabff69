//! What the editor asks while a person types: colours, hints, candidates, whether the text is whole.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;

use rustyline::completion::{Candidate, Completer};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
use rustyline::history::SearchDirection;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Context, Helper};

use super::keys;
use super::paint::{Palette, matching, styled};
use crate::session::{self, Completeness, Highlight, Session};

/// Candidates are explained, one a line, if there are no more than these.
const EXPLAINED: usize = 16;
/// Clears what an earlier hint has left below the prompt.
const CLEAR_BELOW: &str = "\x1b[J";

/// Asks the session what the editor wants to know.
pub struct Assistant {
    session: Rc<RefCell<Session>>,
    palette: Palette,
    /// The text that was seen last, and its highlights.
    highlights: RefCell<(String, Rc<[Highlight]>)>,
    /// The brackets that are shown as belonging together.
    matched: RefCell<Vec<Range<usize>>>,
    /// Is the text drawn for the last time, as it stays on the screen?
    last: Cell<bool>,
    /// The parameter that is being typed, as bytes of the hint.
    current: RefCell<Option<Range<usize>>>,
}

impl Assistant {
    pub fn new(session: Rc<RefCell<Session>>, palette: Palette) -> Self {
        Self {
            session,
            palette,
            highlights: RefCell::new((String::new(), Rc::default())),
            matched: RefCell::default(),
            last: Cell::default(),
            current: RefCell::default(),
        }
    }

    /// The highlights of a text, which are asked for several times between two keys.
    fn highlights(&self, text: &str) -> Rc<[Highlight]> {
        let mut seen = self.highlights.borrow_mut();
        if seen.0 != text {
            *seen = (text.to_owned(), self.session.borrow().highlights(text).into());
        }
        Rc::clone(&seen.1)
    }

    /// The signature of the call at the cursor, on lines of its own.
    fn signature(&self, before: &str) -> Option<Suggestion> {
        let signature = self.session.borrow().signature_at(before)?;
        let (display, current) = below(&signature, columns());
        *self.current.borrow_mut() = current;
        Some(Suggestion { display, completion: None })
    }
}

impl Helper for Assistant {}

/// A candidate as the list shows it, and what it inserts.
pub struct Choice {
    display: String,
    replacement: String,
}

impl Candidate for Choice {
    fn display(&self) -> &str {
        &self.display
    }

    fn replacement(&self) -> &str {
        &self.replacement
    }
}

impl Completer for Assistant {
    type Candidate = Choice;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Choice>)> {
        if let Some(edit) = keys::take_edit() {
            return Ok((edit.start, vec![Choice { display: String::new(), replacement: edit.text }]));
        }
        let cursor = line.get(..position).map_or(0, |text| text.chars().count());
        let completion = self.session.borrow().complete(line, cursor);
        let start = line.char_indices().nth(completion.start).map_or(line.len(), |(byte, _)| byte);
        Ok((start, choices(completion.candidates, columns())))
    }
}

/// A few candidates are explained; of many only the names fit.
fn choices(candidates: Vec<session::Candidate>, columns: usize) -> Vec<Choice> {
    let explain = candidates.len() <= EXPLAINED && candidates.iter().any(|candidate| !candidate.detail.is_empty());
    let width = candidates.iter().map(|candidate| candidate.label.chars().count()).max().unwrap_or(0);
    let choice = |candidate: session::Candidate| {
        let display = match explain {
            true => {
                let detail: &str = if candidate.detail.is_empty() { &candidate.kind } else { &candidate.detail };
                shortened(&format!("{:<width$}  {detail}", candidate.label), columns.saturating_sub(3))
            }
            false => shortened(&candidate.label, columns.saturating_sub(3)),
        };
        Choice { display, replacement: candidate.text }
    };
    candidates.into_iter().map(choice).collect()
}

fn shortened(text: &str, columns: usize) -> String {
    match text.char_indices().nth(columns) {
        Some((byte, _)) => format!("{}…", &text[..byte]),
        None => text.to_owned(),
    }
}

/// Something grey behind the text.
pub struct Suggestion {
    display: String,
    completion: Option<String>,
}

impl Hint for Suggestion {
    fn display(&self) -> &str {
        &self.display
    }

    fn completion(&self) -> Option<&str> {
        self.completion.as_deref()
    }
}

impl Hinter for Assistant {
    type Hint = Suggestion;

    fn hint(&self, line: &str, position: usize, context: &Context<'_>) -> Option<Suggestion> {
        *self.current.borrow_mut() = None;
        let history = context.history();
        let entry = history.get(context.history_index(), SearchDirection::Forward).ok().flatten();
        let recalled = context.history_index() < history.len() && entry.is_some_and(|found| found.entry == line);
        keys::note_recalled(recalled);
        if recalled {
            return None;
        }
        if position == line.len()
            && !line.trim().is_empty()
            && !line.contains('\n')
            && let Some(newest) = history.len().checked_sub(1)
        {
            let found = history.starts_with(line, newest, SearchDirection::Reverse).ok().flatten();
            if let Some(rest) = found.and_then(|found| found.entry.get(line.len()..).map(str::to_owned))
                && !rest.is_empty()
            {
                return Some(Suggestion { display: rest.clone(), completion: Some(rest) });
            }
        }
        self.signature(line.get(..position)?)
    }
}

/// A signature as lines below the text, broken between parameters, and where its current parameter is then.
fn below(signature: &session::Signature, columns: usize) -> (String, Option<Range<usize>>) {
    const INDENT: &str = "  ";
    let text = &signature.text;
    let mut display = format!("\n{INDENT}");
    let mut column = INDENT.len();
    let mut current = None;
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find(", ").map_or(text.len(), |comma| at + comma + 2);
        let part = &text[at..end];
        let width = part.trim_end().chars().count();
        if column + width >= columns && column > INDENT.len() {
            display.truncate(display.trim_end().len());
            display.push_str("\n    ");
            column = 4;
        }
        if let Some(range) = signature.current.as_ref().filter(|range| range.start >= at && range.start < end) {
            let start = display.len() + range.start - at;
            current = Some(start..start + range.len().min(end - range.start));
        }
        display.push_str(part);
        column += part.chars().count();
        at = end;
    }
    (display, current)
}

fn columns() -> usize {
    usize::from(console::Term::stdout().size().1).max(20)
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        keys::note_listing(false);
        let session = self.session.borrow();
        let matched = if self.last.get() { Vec::new() } else { self.matched.borrow().clone() };
        Cow::Owned(self.palette.paint(line, &self.highlights(line), &matched, |name| session.has_function(name)))
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        Cow::Owned(styled(prompt, self.palette.prompt))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let quiet = |text: &str| styled(text, self.palette.quiet);
        let current = self.current.borrow();
        let parts = current
            .as_ref()
            .and_then(|range| Some((hint.get(..range.start)?, hint.get(range.clone())?, hint.get(range.end..)?)));
        Cow::Owned(match parts {
            Some((before, current, after)) => {
                format!("{}{}{}", quiet(before), styled(current, self.palette.current), quiet(after))
            }
            None => quiet(hint),
        })
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        keys::note_listing(true);
        Cow::Owned(match candidate.split_once("  ") {
            Some((name, detail)) => format!("{CLEAR_BELOW}{name}  {}", styled(detail, self.palette.quiet)),
            None => format!("{CLEAR_BELOW}{candidate}"),
        })
    }

    fn highlight_char(&self, line: &str, position: usize, kind: CmdKind) -> bool {
        self.last.set(kind == CmdKind::ForcedRefresh);
        let highlights = self.highlights(line);
        let matched = matching(line, &highlights, position).map_or_else(Vec::new, Vec::from);
        let moved = *self.matched.borrow() != matched;
        *self.matched.borrow_mut() = matched;
        // a typed character may change the colour of anything
        moved || kind != CmdKind::MoveCursor
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match self.session.borrow().is_complete(context.input()) {
            Completeness::Incomplete(_) => ValidationResult::Incomplete,
            // wrong text is run as well, so that its error is shown
            Completeness::Complete | Completeness::Invalid => ValidationResult::Valid(None),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_long_signature_is_broken_between_parameters() {
        let text = "dream(image, octaves=4, layer=\"fire7\") → image".to_owned();
        let start = text.find("layer").unwrap();
        let signature = session::Signature { text, current: Some(start..start + 13) };
        let (display, current) = below(&signature, 30);
        assert_eq!(display, "\n  dream(image, octaves=4,\n    layer=\"fire7\") → image");
        assert_eq!(&display[current.unwrap()], "layer=\"fire7\"");
        assert!(!below(&signature, 100).0[1..].contains('\n'));
    }

    #[test]
    fn few_candidates_are_explained() {
        let candidate = |label: &str, detail: &str| session::Candidate {
            text: label.into(),
            label: label.into(),
            kind: "function".into(),
            detail: detail.into(),
        };
        let shown = choices(vec![candidate("a", "does a"), candidate("abc", "")], 80);
        assert_eq!(shown[0].display(), "a    does a");
        assert_eq!(shown[1].display(), "abc  function");
        let many = choices((0..40).map(|i| candidate(&format!("f{i}"), "does")).collect(), 80);
        assert_eq!(many[7].display(), "f7");
        assert_eq!(choices(vec![candidate("abcdefgh", "")], 8)[0].display(), "abcde…");
    }
}
