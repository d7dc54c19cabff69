//! Commands: lines for the session rather than for the language, the same at the prompt and in notebooks.

use std::fmt::Write;
use std::time::Instant;

use super::sections::by_section;
use super::shown::Page;
use super::{Outcome, Output, Session, help, present};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::files::write_file;
use crate::lang::{Dynamic, Table, names, text};

/// A command as its user knows it.
#[derive(Debug)]
pub struct Command {
    /// Its name, without the colon.
    pub name: &'static str,
    /// What follows it: `FILE`, `[NAME]`, or nothing.
    pub argument: &'static str,
    /// What it does.
    pub summary: &'static str,
    run: fn(&mut Session, &str) -> Result<Outcome>,
}

/// What a front end has to do itself.
#[derive(Debug)]
pub enum Ask {
    /// Show a page of documentation, in a pager if there is one.
    Page(Box<Output>),
    /// Clear the screen, or the cell's output.
    Clear,
    /// Let the person edit this text, and evaluate it then.
    Edit(String),
    /// Leave.
    Quit,
}

/// All commands.
pub const COMMANDS: &[Command] = &[
    Command { name: "help", argument: "[NAME]", summary: "explains a function, or lists the commands", run: explain },
    Command { name: "vars", argument: "", summary: "lists the variables", run: variables },
    Command { name: "time", argument: "CODE", summary: "evaluates and tells how long it took", run: time },
    Command { name: "load", argument: "FILE", summary: "runs a script in this session", run: load },
    Command { name: "save", argument: "FILE", summary: "writes what was evaluated without an error", run: save },
    Command { name: "edit", argument: "", summary: "opens what was evaluated last in an editor", run: edit },
    Command { name: "clear", argument: "", summary: "clears the screen", run: clear },
    Command { name: "models", argument: "", summary: "lists the networks", run: models },
    Command { name: "images", argument: "[WAY]", summary: "tells or sets how pictures are shown", run: images },
    Command { name: "quit", argument: "", summary: "leaves", run: quit },
];

/// The command in a text, and what follows its name: `:load FILE`, or `name?` and `?name` for `:help name`. Nothing if
/// the text is one of the language.
pub fn read(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    // what people type who want to leave
    if ["exit", "quit", "exit()", "quit()"].contains(&text) {
        return Some(("quit", ""));
    }
    if let Some(line) = text.strip_prefix(':') {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        return Some((name, rest.trim()));
    }
    let topic = text.strip_prefix('?').or_else(|| text.strip_suffix('?'))?;
    let topic = topic.trim_matches('?').trim();
    let named = topic.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ':');
    (named && !topic.is_empty()).then_some(("help", topic))
}

/// The commands as a table.
pub(super) fn table() -> String {
    let mut text = String::from("| command | what it does |\n| --- | --- |\n");
    for Command { name, argument, summary, .. } in COMMANDS {
        let space = if argument.is_empty() { "" } else { " " };
        let _ = writeln!(text, "| `:{name}{space}{argument}` | {summary} |");
    }
    text.push_str("| `name?` | explains a function, or what can be done with a value |\n");
    text
}

/// Runs a command.
pub(super) fn run(session: &mut Session, name: &str, argument: &str) -> Outcome {
    let result = match COMMANDS.iter().find(|command| command.name == name) {
        None => Err(unknown(name)),
        Some(command) if argument.is_empty() && !command.argument.is_empty() && !command.argument.starts_with('[') => {
            let message = format!(":{name} needs {}", command.argument);
            Err(Error::new(Kind::Argument, message).with_hint(format!("it {}", command.summary)))
        }
        Some(command) if !argument.is_empty() && command.argument.is_empty() => {
            Err(Error::new(Kind::Argument, format!(":{name} takes nothing, not `{argument}`")))
        }
        Some(command) => (command.run)(session, argument),
    };
    result.unwrap_or_else(|error| {
        // there is no place in a script to show
        let report = match error.hint() {
            Some(hint) => format!("error: {error}\n  = {hint}"),
            None => format!("error: {error}"),
        };
        Outcome { error: Some(error.with_report(report)), ..Outcome::default() }
    })
}

fn unknown(name: &str) -> Error {
    let error = Error::new(Kind::Name, format!("there is no command `:{name}`"));
    let known = || COMMANDS.iter().map(|command| command.name);
    let close = did_you_mean(name, known());
    error.with_hint(close.unwrap_or_else(|| format!("there are :{}", known().collect::<Vec<_>>().join(", :"))))
}

fn asking(ask: Ask) -> Outcome {
    Outcome { ask: Some(ask), ..Outcome::default() }
}

fn showing(value: &Dynamic) -> Result<Outcome> {
    Ok(Outcome { output: Some(present::present(value, None)?), ..Outcome::default() })
}

fn explain(session: &mut Session, topic: &str) -> Result<Outcome> {
    let page = if topic.is_empty() {
        overview()
    } else if let Some(command) = COMMANDS.iter().find(|command| topic.strip_prefix(':') == Some(command.name)) {
        format!("`:{} {}` {}\n", command.name, command.argument, command.summary)
    } else if let Some(page) = help::about(&session.interpreter, topic) {
        page
    } else {
        let error = Error::new(Kind::Name, format!("there is nothing called `{topic}`"));
        let hint = did_you_mean(topic, names());
        return Err(error.with_hint(hint.unwrap_or_else(|| ":help lists what there is".to_owned())));
    };
    Ok(asking(Ask::Page(Box::new(present::present(&Dynamic::from(Page(page)), None)?))))
}

/// What there is: the commands, and the functions of the language by what they are about.
fn overview() -> String {
    let mut text = table();
    text.push_str("\nThe functions of the language; `name?` explains one.\n\n| about | functions |\n| --- | --- |\n");
    for (section, functions) in by_section() {
        let mut names: Vec<&str> = functions.iter().map(|function| function.name).collect();
        names.dedup();
        let _ = writeln!(text, "| {section} | {} |", names.join(", "));
    }
    text
}

fn variables(session: &mut Session, _: &str) -> Result<Outcome> {
    let mut table = Table::new(&["variable", "type", "value"]);
    for (name, value) in session.interpreter.variables().into_iter().filter(|(name, _)| name != "_") {
        let written = text(&value);
        let short: String = written.lines().next().unwrap_or_default().chars().take(60).collect();
        table.rows.push(vec![name.into(), crate::lang::type_name(&value).into(), short.into()]);
    }
    if table.rows.is_empty() {
        return Ok(Outcome { output: Some(Output::text("there are no variables yet")), ..Outcome::default() });
    }
    showing(&Dynamic::from(table))
}

fn time(session: &mut Session, code: &str) -> Result<Outcome> {
    let started = Instant::now();
    let outcome = session.eval(code);
    let seconds = started.elapsed().as_secs_f64();
    let text = if seconds < 1.0 { format!("{:.1} ms", seconds * 1e3) } else { format!("{seconds:.2} s") };
    session.sink.print(&format!("{text}\n"));
    Ok(outcome)
}

fn load(session: &mut Session, file: &str) -> Result<Outcome> {
    let path = session.interpreter.working_folder().join(file.trim_matches('"'));
    let fault = |error| Error::new(Kind::File, format!("cannot read the script {}: {error}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(fault)?;
    Ok(session.eval_named(&path.display().to_string(), &text))
}

fn save(session: &mut Session, file: &str) -> Result<Outcome> {
    let path = session.interpreter.working_folder().join(file.trim_matches('"'));
    if session.log.is_empty() {
        return Err(Error::new(Kind::Argument, "nothing was evaluated yet, so there is nothing to save"));
    }
    // a cell may end without a semicolon, a statement of a script may not
    let cells = session.log.iter().map(|cell| {
        let cell = cell.trim_end();
        if cell.ends_with([';', '}']) { format!("{cell}\n") } else { format!("{cell};\n") }
    });
    write_file(&path, cells.collect::<String>().as_bytes())?;
    let text = format!("{} inputs written to {}", session.log.len(), path.display());
    Ok(Outcome { output: Some(Output::text(text)), ..Outcome::default() })
}

fn edit(session: &mut Session, _: &str) -> Result<Outcome> {
    Ok(asking(Ask::Edit(session.last.clone())))
}

fn clear(_: &mut Session, _: &str) -> Result<Outcome> {
    Ok(asking(Ask::Clear))
}

fn models(session: &mut Session, _: &str) -> Result<Outcome> {
    Ok(session.eval_named(":models", "models()"))
}

fn images(session: &mut Session, way: &str) -> Result<Outcome> {
    let text = session.sink.images((!way.is_empty()).then_some(way))?;
    Ok(Outcome { output: Some(Output::text(text)), ..Outcome::default() })
}

fn quit(_: &mut Session, _: &str) -> Result<Outcome> {
    Ok(asking(Ask::Quit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_from_code() {
        assert_eq!(read(":vars"), Some(("vars", "")));
        assert_eq!(read("  :time  dream(img) \n"), Some(("time", "dream(img)")));
        assert_eq!(read("dream?"), Some(("help", "dream")));
        assert_eq!(read("?dream"), Some(("help", "dream")));
        assert_eq!(read("exit"), Some(("quit", "")));
        assert_eq!(read("sheets::octaves??"), Some(("help", "sheets::octaves")));
        for code in ["let a = 1;", "a ?? b", "a?.b", "?", "", "f(x)?", "#{a: 1}"] {
            assert_eq!(read(code), None, "{code}");
        }
    }
}
