//! The prompt: an editor over a session.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Editor, Helper, Highlighter, Hinter};

use crate::console::{Console, print_error, show_outcome, stop_on_ctrl_c};
use crate::error::{Error, Kind, Result};
use crate::session::{Completeness, Session, Sink};

const PROMPT: &str = "percept> ";
const HISTORY_LENGTH: usize = 10_000;

/// Asks the session what the editor wants to know.
#[derive(Helper, Hinter, Highlighter)]
struct Assistant {
    session: Rc<RefCell<Session>>,
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let cursor = line.get(..position).map_or(0, |text| text.chars().count());
        let completion = self.session.borrow().complete(line, cursor);
        let start = line.char_indices().nth(completion.start).map_or(line.len(), |(byte, _)| byte);
        let pair = |text: String| Pair { display: text.clone(), replacement: text };
        Ok((start, completion.candidates.into_iter().map(|candidate| pair(candidate.text)).collect()))
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

/// Reads and evaluates until Ctrl-D.
///
/// # Errors
/// The terminal cannot be used.
pub fn run() -> Result<u8> {
    let console = Rc::new(Console::new());
    let session = Session::new(Rc::clone(&console) as Rc<dyn Sink>);
    stop_on_ctrl_c(&session)?;
    let session = Rc::new(RefCell::new(session));
    let mut editor = editor(Rc::clone(&session))?;
    let history = history_file();
    if let Some(history) = &history {
        // there is none the first time
        let _ = editor.load_history(history);
    }
    println!("percept {}: help(\"dream\") explains a word, Tab completes, Ctrl-D leaves", env!("CARGO_PKG_VERSION"));
    loop {
        match editor.readline(PROMPT) {
            Ok(code) if code.trim().is_empty() => {}
            Ok(code) => {
                let _ = editor.add_history_entry(code.as_str());
                let outcome = session.borrow_mut().eval(&code);
                show_outcome(&console, &outcome);
                if let Some(history) = &history
                    && let Err(error) = editor.append_history(history)
                {
                    print_error(&Error::new(Kind::File, format!("cannot keep the history: {error}")));
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(0),
            Err(error) => return Err(Error::new(Kind::File, format!("cannot read from the terminal: {error}"))),
        }
    }
}

fn editor(session: Rc<RefCell<Session>>) -> Result<Editor<Assistant, DefaultHistory>> {
    let fault = |error: ReadlineError| Error::new(Kind::File, format!("cannot use the terminal: {error}"));
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_LENGTH)
        .map_err(fault)?
        .bracketed_paste(true)
        .build();
    let mut editor = Editor::with_config(config).map_err(fault)?;
    editor.set_helper(Some(Assistant { session }));
    Ok(editor)
}

/// `$XDG_STATE_HOME/percept/history`, or what the system has in its place; its folder is made.
fn history_file() -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?.join("percept");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("history"))
}
