//! Keys that do more than rustyline's own: Enter indents, a closing bracket dedents, arrows accept hints and search.
//!
//! Rustyline wants handlers of keys that could be sent to other threads, which a session cannot. So the handlers are
//! empty, and what they need to know belongs to the thread that reads.

use std::cell::RefCell;
use std::rc::Rc;

use rustyline::history::History;
use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent, Modifiers,
    Movement, RepeatCount,
};

use crate::session::{Completeness, Session};

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

/// What the keys of the prompt need to know.
#[derive(Default)]
struct State {
    session: Option<Rc<RefCell<Session>>>,
    /// Is the text one of the history, as it was?
    recalled: bool,
    /// What the text must begin with, if the history is being searched.
    search: Option<String>,
    /// What the next completion is to do instead.
    edit: Option<Edit>,
    /// Was the text given up?
    cancelled: bool,
    /// Is a list of candidates on the screen, whose next page may be asked for?
    listing: bool,
}

/// Text in place of what stands between a byte and the cursor. No command of rustyline replaces text and goes behind it,
/// but a completion does.
pub struct Edit {
    pub start: usize,
    pub text: String,
}

/// What the key that was pressed wants replaced, if this completion is only its means.
pub fn take_edit() -> Option<Edit> {
    STATE.with_borrow_mut(|state| state.edit.take())
}

/// Was the text that has been read given up?
pub fn was_cancelled() -> bool {
    STATE.with_borrow(|state| state.cancelled)
}

/// Says whether candidates are being listed.
pub fn note_listing(listing: bool) {
    STATE.with_borrow_mut(|state| state.listing = listing);
}

/// The answer of the session, if there is one.
fn ask<T>(question: impl FnOnce(&Session) -> T) -> Option<T> {
    STATE.with_borrow(|state| state.session.as_ref().map(|session| question(&session.borrow())))
}

/// Says whether the text is an unchanged one of the history.
pub fn note_recalled(recalled: bool) {
    STATE.with_borrow_mut(|state| state.recalled = recalled);
}

/// A new text begins.
pub fn begin() {
    STATE.with_borrow_mut(|state| *state = State { session: state.session.take(), ..State::default() });
}

/// Binds the keys.
pub fn bind<H: Helper, I: History>(editor: &mut Editor<H, I>, session: Rc<RefCell<Session>>) {
    STATE.with_borrow_mut(|state| state.session = Some(session));
    let mut on = |key: KeyEvent, handle: Handle| {
        editor.bind_sequence(Event::from(key), EventHandler::Conditional(Box::new(Key(handle))));
    };
    let plain = |code: KeyCode| KeyEvent(code, Modifiers::NONE);
    on(plain(KeyCode::Enter), enter);
    on(KeyEvent::ctrl('J'), enter);
    on(KeyEvent(KeyCode::Enter, Modifiers::ALT), |context| Some(new_line(context)));
    on(plain(KeyCode::Tab), tab);
    on(plain(KeyCode::Backspace), backspace);
    for bracket in [')', ']', '}'] {
        on(
            plain(KeyCode::Char(bracket)),
            match bracket {
                ')' => |context| dedent(context, ')'),
                ']' => |context| dedent(context, ']'),
                _ => |context| dedent(context, '}'),
            },
        );
    }
    for key in [plain(KeyCode::Right), plain(KeyCode::End), KeyEvent::ctrl('F'), KeyEvent::ctrl('E')] {
        on(key, accept);
    }
    for key in [KeyEvent::alt('f'), KeyEvent(KeyCode::Right, Modifiers::CTRL), KeyEvent(KeyCode::Right, Modifiers::ALT)]
    {
        on(key, accept_word);
    }
    on(KeyEvent::ctrl('C'), cancel);
    on(plain(KeyCode::Esc), leave_list);
    on(plain(KeyCode::Up), |context| search(context, Cmd::HistorySearchBackward));
    on(plain(KeyCode::Down), |context| search(context, Cmd::HistorySearchForward));
}

type Handle = fn(&EventContext<'_>) -> Option<Cmd>;

struct Key(Handle);

impl ConditionalEventHandler for Key {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext<'_>) -> Option<Cmd> {
        (self.0)(context)
    }
}

/// Runs a whole text; else, or in the middle of several lines, begins a new line.
fn enter(context: &EventContext<'_>) -> Option<Cmd> {
    let (text, at) = (context.line(), context.pos());
    if text.trim().is_empty() {
        return None;
    }
    let whole = ask(|session| !matches!(session.is_complete(text), Completeness::Incomplete(_)))?;
    let on_last_line = !text.get(at..)?.trim_end().contains('\n');
    // a text that was searched for has the cursor where the search left it
    let found = searching(context);
    if whole && (on_last_line || found) { Some(Cmd::AcceptLine) } else { Some(new_line(context)) }
}

/// A line break with the indentation of the line that begins.
fn new_line(context: &EventContext<'_>) -> Cmd {
    let before = context.line().get(..context.pos()).unwrap_or_default();
    let indent = ask(|session| session.indentation(before)).unwrap_or_default();
    Cmd::Insert(1, format!("\n{}", " ".repeat(indent)))
}

/// The spaces between the start of the line and the cursor, if there is nothing else.
fn spaces<'a>(context: &'a EventContext<'_>) -> Option<&'a str> {
    let before = context.line().get(..context.pos())?;
    let line = &before[before.rfind('\n')? + 1..];
    line.chars().all(|c| c == ' ').then_some(line)
}

/// At the beginning of a continuation line it indents.
fn tab(context: &EventContext<'_>) -> Option<Cmd> {
    let spaces = spaces(context)?.len();
    let step = usize::from(super::STEP);
    Some(Cmd::Insert(1, " ".repeat(step - spaces % step)))
}

/// In the indentation of a line it takes away one step.
fn backspace(context: &EventContext<'_>) -> Option<Cmd> {
    let spaces = spaces(context)?.len();
    (spaces > 1 && spaces % usize::from(super::STEP) == 0).then_some(Cmd::Dedent(Movement::WholeLine))
}

/// A closing bracket that begins a line stands as far out as the line that opens it.
fn dedent(context: &EventContext<'_>, bracket: char) -> Option<Cmd> {
    let spaces = spaces(context)?;
    let before = context.line().get(..context.pos())?;
    let indent = ask(|session| session.indentation(before))?.saturating_sub(usize::from(super::STEP));
    if indent >= spaces.len() {
        return None;
    }
    let edit = Edit { start: context.pos() - spaces.len(), text: format!("{}{bracket}", " ".repeat(indent)) };
    STATE.with_borrow_mut(|state| state.edit = Some(edit));
    Some(Cmd::Complete)
}

/// Leaves a list that waits to show its next page: rustyline knows the key that deletes for it.
fn leave_list(_: &EventContext<'_>) -> Option<Cmd> {
    STATE.with_borrow(|state| state.listing).then_some(Cmd::Kill(Movement::BackwardChar(1)))
}

/// Gives the text up: it is taken as a whole, so that its hint goes from the screen, and then forgotten.
fn cancel(context: &EventContext<'_>) -> Option<Cmd> {
    leave_list(context).or_else(|| {
        STATE.with_borrow_mut(|state| state.cancelled = true);
        Some(Cmd::AcceptLine)
    })
}

/// Accepts the hint.
fn accept(context: &EventContext<'_>) -> Option<Cmd> {
    if !context.has_hint() || context.pos() < context.line().len() {
        return None;
    }
    // a signature is no hint that could be accepted
    Some(if context.hint_text().is_some() { Cmd::CompleteHint } else { Cmd::Noop })
}

/// Accepts the next word of the hint.
fn accept_word(context: &EventContext<'_>) -> Option<Cmd> {
    let hint = context.hint_text().filter(|_| context.pos() == context.line().len())?;
    let start = hint.find(char::is_alphanumeric).unwrap_or(hint.len());
    let end = hint[start..].find(|c: char| !c.is_alphanumeric() && c != '_').map_or(hint.len(), |end| start + end);
    Some(Cmd::Insert(1, hint[..end].to_owned()))
}

/// Looks in the history for what begins as the text in front of the cursor.
fn search(context: &EventContext<'_>, command: Cmd) -> Option<Cmd> {
    let before = context.line().get(..context.pos())?;
    if before.trim().is_empty() || before.contains('\n') {
        return None;
    }
    let begins = STATE.with_borrow(|state| !state.recalled) && context.pos() == context.line().len();
    if begins && command == Cmd::HistorySearchBackward {
        STATE.with_borrow_mut(|state| state.search = Some(before.to_owned()));
        return Some(command);
    }
    searching(context).then_some(command)
}

/// Is the text one that was found in the history, with the cursor still where the search began?
fn searching(context: &EventContext<'_>) -> bool {
    let before = context.line().get(..context.pos());
    STATE.with_borrow(|state| state.recalled && state.search.as_deref() == before)
}
