//! The prompt: an editor over a session.

mod assistant;
mod history;
mod keys;
mod paint;

use std::cell::RefCell;
use std::io::IsTerminal;
use std::process::Command;
use std::rc::Rc;

use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{ColorMode, CompletionType, Config, Editor};

use self::assistant::Assistant;
use self::paint::Palette;
use crate::console::{Console, print_error, show_outcome, stop_on_ctrl_c};
use crate::error::{Error, Kind, Result};
use crate::session::{Ask, Session, Sink};

const PROMPT: &str = "percept> ";
/// So many columns a block is indented.
const STEP: u8 = 4;

/// Reads and evaluates until Ctrl-D or `:quit`.
///
/// # Errors
/// The terminal cannot be used.
pub fn run() -> Result<u8> {
    let console = Rc::new(Console::new());
    let session = Session::new(Rc::clone(&console) as Rc<dyn Sink>);
    stop_on_ctrl_c(&session)?;
    let session = Rc::new(RefCell::new(session));
    let mut editor = editor(Rc::clone(&session))?;
    // what a pipe says is not a person's history
    let person = std::io::stdin().is_terminal();
    let history = if person { history::file() } else { None };
    if let Some(history) = &history {
        // there is none the first time
        let _ = editor.load_history(history);
    }
    if person {
        println!("percept {} — :help tells what there is, Tab completes, Ctrl-D leaves", env!("CARGO_PKG_VERSION"));
    }
    // what the person left in an external editor is put at the prompt
    let mut edited = String::new();
    loop {
        keys::begin();
        match editor.readline_with_initial(PROMPT, (&std::mem::take(&mut edited), "")) {
            Ok(code) if keys::was_cancelled() || code.trim().is_empty() => {}
            Ok(code) => {
                let code = code.trim_end();
                let _ = editor.add_history_entry(code);
                if let Some(history) = &history
                    && let Err(error) = editor.append_history(history)
                {
                    print_error(&Error::new(Kind::File, format!("cannot keep the history: {error}")));
                }
                // a Ctrl-C that came too late to stop the text before must not stop this one
                session.borrow().interrupt().clear();
                let outcome = session.borrow_mut().eval(code);
                show_outcome(&console, &outcome);
                match outcome.ask {
                    Some(Ask::Quit) => return Ok(0),
                    Some(Ask::Edit(text)) => match edit(&text) {
                        Ok(text) => edited = text,
                        Err(error) => print_error(&error),
                    },
                    _ => {}
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
    // with NO_COLOR rustyline would not ask for styles at all, and hints would look typed
    let styles = if std::io::stdout().is_terminal() { ColorMode::Forced } else { ColorMode::Disabled };
    let config = Config::builder()
        .color_mode(styles)
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        // a long list waits after each page anyway
        .completion_prompt_limit(usize::MAX)
        .max_history_size(history::LENGTH)
        .map_err(fault)?
        .bell_style(BellStyle::None)
        .indent_size(STEP)
        .bracketed_paste(true)
        .build();
    let mut editor = Editor::with_config(config).map_err(fault)?;
    keys::bind(&mut editor, Rc::clone(&session));
    editor.set_helper(Some(Assistant::new(session, Palette::of_terminal())));
    Ok(editor)
}

/// Lets the person edit a text with the program that `VISUAL` or `EDITOR` names; what is left of it.
fn edit(text: &str) -> Result<String> {
    let program = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    let program = program.unwrap_or_else(|| "vi".to_owned());
    let fault = |what: std::io::Error| {
        Error::new(Kind::File, format!("cannot edit with `{program}`: {what}"))
            .with_hint("the environment variable EDITOR names the program")
    };
    let file = tempfile::Builder::new().suffix(".rhai").tempfile().map_err(fault)?;
    std::fs::write(file.path(), text).map_err(fault)?;
    // EDITOR may have arguments: `code --wait`
    let mut words = program.split_whitespace();
    let status = Command::new(words.next().unwrap_or_default()).args(words).arg(file.path()).status().map_err(fault)?;
    if !status.success() {
        return Err(Error::new(Kind::File, format!("`{program}` failed, so nothing was taken over")));
    }
    Ok(std::fs::read_to_string(file.path()).map_err(fault)?.trim_end().to_owned())
}
