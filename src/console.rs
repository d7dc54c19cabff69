//! The terminal's side of a session: text, progress bars, pictures, and numbered files.

use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::error::{Error, Kind, Result};
use crate::files::write_file;
use crate::job::{Report, Shard};
use crate::render::{Protocol, Terminal};
use crate::session::{Ask, Outcome, Output, Preview, Session, Sink};

/// A job shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);
/// A picture in the making is drawn no more often than this.
const REDRAW: Duration = Duration::from_millis(100);
/// No file's name has more characters of what it shows; the last word that has no room is left out.
const LONGEST_NAME: usize = 48;
/// Columns and lines of a picture in the making.
const PREVIEW: [usize; 2] = [60, 22];

/// Shows a session's output in a terminal, and keeps its pictures in a folder if there is one.
pub struct Console {
    /// Where pictures are written.
    folder: Option<PathBuf>,
    written: Cell<usize>,
    /// How pictures are shown, if it was said.
    way: Cell<Option<Protocol>>,
    job: RefCell<Option<Job>>,
}

struct Job {
    since: Instant,
    bar: Option<ProgressBar>,
    /// When a picture was last drawn above the bar.
    drawn: Option<Instant>,
}

impl Console {
    /// A console that shows pictures in the terminal if it can.
    pub fn new() -> Self {
        Self { folder: None, written: Cell::default(), way: Cell::default(), job: RefCell::default() }
    }

    /// A console that writes pictures to numbered files of a folder, which is made if it is missing.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn with_folder(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::new(Kind::File, format!("cannot make the folder {}: {error}", folder.display())))?;
        Ok(Self { folder: Some(folder.to_owned()), ..Self::new() })
    }

    /// Writes to the terminal without tearing a progress bar apart. A closed pipe is not an error.
    fn write(&self, text: &str) {
        let write = || {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        match self.job.borrow().as_ref().and_then(|job| job.bar.as_ref()) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// How wide a page of text may be: as the terminal; without limit where there is none.
    fn columns(&self) -> usize {
        if std::io::stdout().is_terminal() { self.terminal().columns } else { usize::MAX }
    }

    /// The terminal as it is now: the window may have changed its size since the last picture.
    fn terminal(&self) -> Terminal {
        let terminal = Terminal::detect();
        Terminal { protocol: self.way.get().unwrap_or(terminal.protocol), ..terminal }
    }

    /// A picture of a job under way, in characters, which can be drawn over; none where it would not be seen, or would
    /// not fit.
    fn in_the_making(&self, preview: Preview<'_>) -> Option<String> {
        let terminal = self.terminal();
        let [columns, rows] = PREVIEW;
        // beside it stand the bar and what was typed
        let rows = rows.min(terminal.rows.saturating_sub(4));
        if terminal.protocol == Protocol::Off || !std::io::stderr().is_terminal() || rows < 12 {
            return None;
        }
        let columns = columns.min(terminal.columns);
        let small = Terminal { protocol: Protocol::HalfBlocks, columns, rows, ..terminal };
        small.draw(preview().ok()?.figure.as_ref()?).ok()
    }

    /// Writes a picture to the next numbered file, and its path to the terminal.
    fn keep(&self, folder: &Path, output: &Output) -> Result<()> {
        let Some(png) = output.png()? else { return Ok(()) };
        self.written.set(self.written.get() + 1);
        let name = slug(output.name.as_deref().unwrap_or("picture"));
        let path = folder.join(format!("{:02}-{name}.png", self.written.get()));
        write_file(&path, &png)?;
        self.write(&format!("{}\n", path.display()));
        Ok(())
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Console {
    fn print(&self, text: &str) {
        self.write(text);
    }

    fn eprint(&self, text: &str) {
        let write = || {
            let mut out = std::io::stderr().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        match self.job.borrow().as_ref().and_then(|job| job.bar.as_ref()) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn clear(&self, _: bool) {
        if std::io::stdout().is_terminal() {
            self.write("\x1b[2J\x1b[3J\x1b[H");
        }
    }

    fn input(&self, prompt: &str) -> Result<String> {
        self.write(prompt);
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line);
        match read.map_err(|error| Error::new(Kind::File, format!("input: cannot read the answer: {error}")))? {
            0 => Err(Error::new(Kind::File, "input: there is no answer, the input has ended")),
            _ => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        }
    }

    fn images(&self, way: Option<&str>) -> Result<String> {
        if let Some(way) = way {
            let protocol = Protocol::named(way).ok_or_else(|| {
                let error = Error::new(Kind::Argument, format!("pictures cannot be shown as `{way}`"));
                error.with_hint("there are off, blocks, kitty, iterm and sixel")
            })?;
            self.way.set(Some(protocol));
        }
        Ok(format!("pictures are shown as: {}", self.terminal().protocol.name()))
    }

    fn progress(&self, report: &Report, preview: Option<Preview<'_>>) {
        let mut slot = self.job.borrow_mut();
        if report.ended {
            if let Some(bar) = slot.take().and_then(|job| job.bar) {
                bar.finish_and_clear();
            }
            return;
        }
        let job = slot.get_or_insert_with(|| Job { since: Instant::now(), bar: None, drawn: None });
        if job.bar.is_none() && job.since.elapsed() >= PATIENCE {
            let bar = ProgressBar::with_draw_target(Some(report.total as u64), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix}{msg} {bar:32} {pos}/{len}  {rate}  {eta} left");
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{:.1}/s", state.per_sec());
            };
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate));
            bar.set_message(report.label.clone());
            bar.reset_eta();
            job.bar = Some(bar);
        }
        let Some(bar) = &job.bar else { return };
        if let Some(preview) = preview
            && job.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW)
            && let Some(picture) = self.in_the_making(preview)
        {
            bar.set_prefix(picture);
            job.drawn = Some(Instant::now());
        }
        bar.set_position(report.done as u64);
    }

    fn display(&self, output: &Output) -> Result<()> {
        let Some(figure) = &output.figure else {
            let page = output.markdown.is_some();
            self.write(&format!(
                "{}\n",
                if page { wrapped(&output.text, self.columns()) } else { output.text.clone() }
            ));
            return Ok(());
        };
        if let Some(folder) = &self.folder {
            return self.keep(folder, output);
        }
        let terminal = self.terminal();
        let drawn = terminal.draw(figure)?;
        // half-blocks spell out a figure's words; text beside a bare picture says what it is
        let text = if terminal.protocol == Protocol::Off || figure.title.is_none() { &output.text } else { "" };
        self.write(&format!("{drawn}{text}{}", if text.is_empty() { "" } else { "\n" }));
        Ok(())
    }
}

/// A page whose paragraphs and long lines are broken between words; what is explained beside a name stays there.
fn wrapped(page: &str, columns: usize) -> String {
    if columns == usize::MAX {
        return page.to_owned();
    }
    let lines = paragraphs(page);
    let lines = lines.iter().map(|line| {
        let name = line.len() - line.trim_start().len();
        let beside = line[name..].find("  ").map(|gap| name + gap);
        let beside = beside.map(|gap| gap + line[gap..].len() - line[gap..].trim_start().len());
        let indent = beside.unwrap_or(name + 4 * usize::from(name > 0)).min(columns / 2);
        if line.chars().count() <= columns {
            return line.clone();
        }
        let indent = " ".repeat(indent);
        textwrap::fill(line, textwrap::Options::new(columns).subsequent_indent(&indent).break_words(false))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The lines of a page, those of each paragraph in one. What is indented, a rule or an item of a list stays by itself.
fn paragraphs(page: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in page.lines() {
        let is_text = !line.is_empty() && !line.starts_with([' ', '-', '#']);
        match lines.last_mut() {
            Some(last) if goes_on && is_text => *last += &format!(" {line}"),
            _ => lines.push(line.to_owned()),
        }
        goes_on = is_text;
    }
    lines
}

/// What a picture shows as part of a file name: lower case, words joined by dashes.
fn slug(title: &str) -> String {
    let words: Vec<String> = title
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let mut name = String::new();
    for word in words {
        let longer = if name.is_empty() { word } else { format!("{name}-{word}") };
        if longer.chars().count() > LONGEST_NAME {
            if name.is_empty() {
                name = longer.chars().take(LONGEST_NAME).collect();
            }
            break;
        }
        name = longer;
    }
    if name.is_empty() { "picture".into() } else { name }
}

/// Prints an error to standard error: the report with its caret, if there is one.
pub fn print_error(error: &Error) {
    let text = match error.report() {
        Some(report) => report.to_owned(),
        None => format!("error: {error}"),
    };
    let text = if std::io::stderr().is_terminal() { text.replacen("error", "\x1b[1;31merror\x1b[0m", 1) } else { text };
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Shows what became of an evaluation; the process's exit code.
pub fn show_outcome(console: &Console, outcome: &Outcome) -> u8 {
    if let Some(output) = &outcome.output
        && let Err(error) = console.display(output)
    {
        print_error(&error);
        return 1;
    }
    match &outcome.ask {
        Some(Ask::Page(page)) => console.print(&format!("{}\n", wrapped(&page.text, console.columns()))),
        Some(Ask::Clear) => console.clear(false),
        Some(Ask::Edit(_) | Ask::Quit) | None => {}
    }
    match &outcome.error {
        None => 0,
        Some(error) => {
            print_error(error);
            if outcome.interrupted() { 130 } else { 1 }
        }
    }
}

/// Ctrl-C stops what `session` evaluates. When nothing stops within a while, pressing it again ends the process.
///
/// # Errors
/// The signal cannot be handled on this system.
pub fn stop_on_ctrl_c(session: &Session) -> Result<()> {
    let interrupt = session.interrupt();
    ctrlc::set_handler(move || {
        if interrupt.is_raised() {
            std::process::exit(130);
        }
        interrupt.raise();
    })
    .map_err(|error| Error::new(Kind::Internal, format!("cannot handle Ctrl-C: {error}")))
}

/// How a script file is run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// Where what the script shows is kept as numbered pictures.
    pub folder: Option<PathBuf>,
    /// Where the random numbers start.
    pub seed: Option<u64>,
    /// The part of shared work that it does, if not all.
    pub shard: Option<Shard>,
    /// What the script finds in `args`.
    pub arguments: Vec<String>,
}

/// Runs a script file; the process's exit code.
///
/// # Errors
/// The script cannot be read, or the folder for pictures cannot be made.
pub fn run_file(path: &Path, options: &RunOptions) -> Result<u8> {
    let RunOptions { folder, seed, shard, arguments } = options;
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::new(Kind::File, format!("cannot read the script {}: {error}", path.display())))?;
    let console = Rc::new(folder.as_deref().map_or_else(|| Ok(Console::new()), Console::with_folder)?);
    let mut session = Session::new(Rc::clone(&console) as Rc<dyn Sink>);
    if let Some(parent) = path.parent() {
        session.set_import_folder(parent.to_owned());
    }
    if let Some(seed) = seed {
        session.reseed(*seed);
    }
    if let Some(shard) = shard {
        session.set_shard(*shard);
    }
    session.set_arguments(arguments);
    stop_on_ctrl_c(&session)?;
    let outcome = session.eval_named(&path.display().to_string(), &text);
    Ok(show_outcome(&console, &outcome))
}

/// Evaluates a piece of code; the process's exit code.
///
/// # Errors
/// Ctrl-C cannot be handled.
pub fn eval_code(code: &str) -> Result<u8> {
    let console = Rc::new(Console::new());
    let mut session = Session::new(Rc::clone(&console) as Rc<dyn Sink>);
    stop_on_ctrl_c(&session)?;
    let outcome = session.eval_named("code", code);
    Ok(show_outcome(&console, &outcome))
}

#[cfg(test)]
mod tests {
    use super::{slug, wrapped};

    #[test]
    fn pages_are_broken_between_words_beside_their_names() {
        let page = "f(a)\n\n  class=                 The class, by name or number; the best one if not given.";
        let broken = wrapped(page, 44);
        assert!(broken.lines().all(|line| line.len() <= 44), "{broken}");
        assert!(broken.lines().count() > 4 && broken.lines().skip(3).all(|line| line.starts_with(&" ".repeat(22))));
        assert_eq!(wrapped(page, usize::MAX), page);
    }

    #[test]
    fn paragraphs_are_broken_anew_and_nothing_else_is_joined() {
        let page = "f(a)\n\nA first line that\nends early, and a second.\n\n    f(1)\n    f(2)\n\n- one\n- two";
        let broken = "f(a)\n\nA first line that ends\nearly, and a second.\n\n    f(1)\n    f(2)\n\n- one\n- two";
        assert_eq!(wrapped(page, 23), broken);
    }

    #[test]
    fn titles_become_file_names() {
        assert_eq!(slug("The 64 filters of conv1 (features.0)"), "the-64-filters-of-conv1-features-0");
        assert_eq!(slug("…"), "picture");
        assert_eq!(slug(&"dream ".repeat(20)), "dream-dream-dream-dream-dream-dream-dream-dream");
        assert_eq!(slug(&"x".repeat(90)), "x".repeat(48));
    }
}
