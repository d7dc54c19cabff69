//! A kernel that uses everything a kernel can do, over a language with one word per line. The tests drive it too.
//!
//! ```text
//! print TEXT    warn TEXT     value TEXT    fail TEXT      picture
//! live TEXT     update TEXT   clear         ask PROMPT     page TEXT
//! flood N       spin          panic         next TEXT
//! let NAME TEXT say NAME      count NAME N  pour N         hang
//! ```

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use percept_kernel::{
    Completeness, Completion, Completions, Detail, ExecuteError, ExecuteResult, Interpreter, InterruptHandle, Io,
    KernelInfo, LanguageInfo, MimeBundle, byte_offset, char_offset,
};

/// Every word, and what it does.
const WORDS: [(&str, &str); 20] = [
    ("print", "prints a line"),
    ("warn", "prints a line on standard error"),
    ("value", "is the value of the cell"),
    ("fail", "ends the cell with an error"),
    ("picture", "shows one pixel"),
    ("live", "shows a text that can be updated"),
    ("update", "updates that text"),
    ("clear", "clears the output"),
    ("ask", "asks the user and prints the answer"),
    ("page", "opens the pager"),
    ("flood", "prints that many lines"),
    ("spin", "works until it is interrupted"),
    ("panic", "has a bug"),
    ("next", "fills the next cell"),
    ("let", "sets a variable"),
    ("say", "prints a variable"),
    ("count", "adds one to a variable that many times, or until it is stopped"),
    ("pour", "prints that many kilobytes in numbered lines"),
    ("hang", "does nothing for ever and cannot be stopped"),
    ("größe", "has a name outside of ASCII"),
];

/// The interpreter.
#[derive(Default)]
pub struct Toy {
    stop: Arc<AtomicBool>,
    variables: HashMap<String, String>,
}

impl Toy {
    fn line(&mut self, line: &str, io: &Io) -> ExecuteResult {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" => {}
            "print" => io.stdout(&format!("{rest}\n")),
            "warn" => io.stderr(&format!("{rest}\n")),
            "value" => return Ok(Some(MimeBundle::text(rest).with("text/html", format!("<b>{rest}</b>")))),
            "fail" => return Err(ExecuteError::new("Failure", rest)),
            "picture" => io.display(MimeBundle::text("a pixel").with("image/png", PIXEL)),
            "live" => io.display_with_id("live", MimeBundle::text(rest)),
            "update" => io.update_display("live", MimeBundle::text(rest)),
            "clear" => io.clear_output(true),
            "ask" => {
                let answer = io.input(rest).map_err(|error| ExecuteError::new("InputError", error.to_string()))?;
                io.stdout(&format!("you said {answer}\n"));
            }
            "page" => io.page(MimeBundle::text(rest)),
            "flood" => (0..rest.parse().unwrap_or(0)).for_each(|i| io.stdout(&format!("line {i}\n"))),
            "spin" => self.spin()?,
            #[allow(clippy::panic)]
            "panic" => panic!("{rest}"),
            "next" => io.set_next_input(rest, false),
            "let" => {
                let (name, value) = rest.split_once(' ').unwrap_or((rest, ""));
                self.variables.insert(name.into(), value.into());
            }
            "say" => {
                let undefined = || ExecuteError::new("UnknownVariable", format!("`{rest}` is not a variable"));
                io.stdout(&format!("{}\n", self.variables.get(rest).ok_or_else(undefined)?));
            }
            "count" => self.count(rest)?,
            "pour" => (0..rest.parse().unwrap_or(0)).for_each(|i| io.stdout(&format!("{i:>1023}\n"))),
            "hang" => loop {
                std::thread::park();
            },
            _ => return Err(ExecuteError::new("UnknownWord", format!("`{word}` is not a word"))),
        }
        Ok(None)
    }

    fn count(&mut self, rest: &str) -> Result<(), ExecuteError> {
        let (name, times) = rest.split_once(' ').unwrap_or((rest, "1"));
        for _ in 0..times.parse().unwrap_or(0) {
            if self.stop.load(Ordering::SeqCst) {
                return Err(interrupted());
            }
            let count = self.variables.get(name).and_then(|count| count.parse().ok()).unwrap_or(0_u64);
            self.variables.insert(name.into(), (count + 1).to_string());
            std::thread::sleep(Duration::from_micros(1));
        }
        Ok(())
    }

    fn spin(&self) -> Result<(), ExecuteError> {
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(interrupted())
    }
}

fn interrupted() -> ExecuteError {
    ExecuteError::new("Interrupted", "the cell was interrupted")
}

impl Interpreter for Toy {
    fn info(&self) -> KernelInfo {
        KernelInfo {
            implementation: "toy".into(),
            implementation_version: "1.0".into(),
            banner: "A toy".into(),
            language: LanguageInfo {
                name: "toy".into(),
                version: "1.0".into(),
                mimetype: "text/plain".into(),
                file_extension: ".toy".into(),
                codemirror_mode: Some(serde_json::json!({ "name": "toy", "mime": "text/x-sh" })),
                pygments_lexer: Some("text".into()),
            },
            help_links: vec![("Jupyter".into(), "https://jupyter.org".into())],
        }
    }

    fn interrupt_handle(&self) -> InterruptHandle {
        InterruptHandle::flag(self.stop.clone())
    }

    fn execute(&mut self, code: &str, io: &Io) -> ExecuteResult {
        let mut last = None;
        for line in code.lines() {
            last = self.line(line.trim(), io)?;
        }
        Ok(last)
    }

    fn complete(&mut self, code: &str, cursor: usize) -> Completions {
        let before = &code[..byte_offset(code, cursor)];
        let prefix = word_before(before);
        let matches = WORDS.iter().filter(|(word, _)| word.starts_with(prefix));
        let matches = matches.map(|(word, _)| Completion::new(*word).kind("keyword")).collect();
        Completions { matches, start: char_offset(code, before.len() - prefix.len()), end: cursor }
    }

    fn inspect(&mut self, code: &str, cursor: usize, _detail: Detail) -> Option<MimeBundle> {
        let before = &code[..byte_offset(code, cursor)];
        let (word, does) = WORDS.iter().find(|(word, _)| *word == word_before(before))?;
        Some(MimeBundle::text(format!("{word}: {does}")).with("text/markdown", format!("**{word}** {does}")))
    }

    fn is_complete(&mut self, code: &str) -> Completeness {
        match code {
            _ if code.ends_with('\\') => Completeness::Incomplete { indent: "  ".into() },
            _ if code.starts_with(')') => Completeness::Invalid,
            _ => Completeness::Complete,
        }
    }
}

fn word_before(before: &str) -> &str {
    before.rsplit(char::is_whitespace).next().unwrap_or_default()
}

/// A PNG of one pixel, in base64.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[allow(dead_code)]
fn main() -> Result<(), percept_kernel::Error> {
    let Some(connection_file) = std::env::args_os().nth(1) else {
        eprintln!("usage: toy CONNECTION_FILE");
        return Ok(());
    };
    percept_kernel::run(connection_file.as_ref(), Toy::default)
}
