//! A session as a Jupyter kernel.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percept_kernel::spec::KernelSpec;
pub use percept_kernel::spec::Location;
use percept_kernel::{
    Completeness, Completion, Completions, Detail, ExecuteError, ExecuteResult, Interpreter, InterruptHandle, Io,
    KernelInfo, LanguageInfo, MimeBundle,
};
use serde_json::json;

use crate::error::{Error, Kind, Result};
use crate::job::Report;
use crate::session::{self, Ask, Outcome, Output, Preview, Session, Sink, escape, use_threads};

/// Progress is drawn no more often than this.
const REDRAW: Duration = Duration::from_millis(100);
/// A job shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_millis(500);
/// The longest side of a picture in the making, in pixels.
const PREVIEW: usize = 320;

/// The front end's side of a session: it belongs to one cell at a time.
#[derive(Default)]
struct Notebook {
    io: RefCell<Option<Io>>,
    job: RefCell<Option<Job>>,
    line: RefCell<Line>,
    lines: Cell<usize>,
}

/// A job that is running.
struct Job {
    since: Instant,
    drawn: Option<Instant>,
}

/// The line that tells how far a cell has come. All jobs of the cell share it, one after the other.
#[derive(Default)]
struct Line {
    /// Its display, once it is shown.
    display: Option<String>,
    /// The jobs that were shown and have ended, and how long they took together.
    ended: usize,
    took: Duration,
}

impl Notebook {
    fn begin(&self, io: &Io) {
        *self.io.borrow_mut() = Some(io.clone());
        *self.job.borrow_mut() = None;
        *self.line.borrow_mut() = Line::default();
    }

    fn end(&self) {
        *self.io.borrow_mut() = None;
    }

    fn draw(&self, io: &Io, bundle: MimeBundle) {
        let mut line = self.line.borrow_mut();
        match &line.display {
            Some(display) => io.update_display(display, bundle),
            None => {
                self.lines.set(self.lines.get() + 1);
                // other kernels may have written into the same notebook
                let display = format!("percept-progress-{}-{}", std::process::id(), self.lines.get());
                io.display_with_id(&display, bundle);
                line.display = Some(display);
            }
        }
    }
}

impl Sink for Notebook {
    fn print(&self, text: &str) {
        if let Some(io) = &*self.io.borrow() {
            io.stdout(text);
        }
    }

    fn eprint(&self, text: &str) {
        if let Some(io) = &*self.io.borrow() {
            io.stderr(text);
        }
    }

    fn clear(&self, wait: bool) {
        if let Some(io) = &*self.io.borrow() {
            io.clear_output(wait);
            // what was cleared cannot be updated
            *self.line.borrow_mut() = Line::default();
        }
    }

    fn input(&self, prompt: &str) -> Result<String> {
        let Some(io) = self.io.borrow().clone() else {
            return Err(Error::new(Kind::Internal, "input: no cell is running"));
        };
        io.input(prompt).map_err(|error| Error::new(Kind::File, format!("input: {error}")))
    }

    fn images(&self, way: Option<&str>) -> Result<String> {
        match way {
            None => Ok("pictures are shown in the notebook".to_owned()),
            Some(_) => Err(Error::new(Kind::Argument, "a notebook decides itself how it shows pictures")),
        }
    }

    fn progress(&self, report: &Report, preview: Option<Preview<'_>>) {
        let Some(io) = &*self.io.borrow() else { return };
        let mut slot = self.job.borrow_mut();
        if report.ended {
            // once a bar was shown, its last state is always shown as well
            if let Some(Job { since, drawn: Some(_) }) = slot.take() {
                let took = since.elapsed();
                let bundle = {
                    let mut line = self.line.borrow_mut();
                    line.ended += 1;
                    line.took += took;
                    ended_bundle(report, took, &line)
                };
                self.draw(io, bundle);
            }
            return;
        }
        let job = slot.get_or_insert_with(|| Job { since: Instant::now(), drawn: None });
        let due = job.drawn.map_or(job.since.elapsed() >= PATIENCE, |drawn| drawn.elapsed() >= REDRAW);
        if due {
            let picture = preview.and_then(|preview| preview().ok()?.small_png(PREVIEW).ok().flatten());
            self.draw(io, running_bundle(report, job.since.elapsed(), picture.as_deref()));
            job.drawn = Some(Instant::now());
        }
    }

    fn display(&self, output: &Output) -> Result<()> {
        if let Some(io) = &*self.io.borrow() {
            io.display(bundle(output)?);
        }
        Ok(())
    }
}

/// A job under way: a bar, and the picture so far.
fn running_bundle(report: &Report, elapsed: Duration, picture: Option<&[u8]>) -> MimeBundle {
    let Report { done, total, .. } = report;
    let seconds = elapsed.as_secs_f64();
    let left = seconds * (total.saturating_sub(*done)) as f64 / (*done).max(1) as f64;
    let text = format!("{}: {done} of {total}, {seconds:.1} s, {left:.0} s left", report.label);
    let bar = format!("<progress value=\"{done}\" max=\"{total}\" style=\"width:20em\"></progress>");
    let picture = picture.map(|png| {
        format!("<img style=\"display:block;margin-top:6px\" src=\"data:image/png;base64,{}\">", BASE64.encode(png))
    });
    let html = format!("<div style=\"font-size:small\">{bar} {}{}</div>", escape(&text), picture.unwrap_or_default());
    MimeBundle::text(text).with("text/html", html)
}

/// What stays of the jobs of a cell: a quiet line.
fn ended_bundle(report: &Report, took: Duration, line: &Line) -> MimeBundle {
    let Report { label, done, total, .. } = report;
    let stopped = if done < total { "stopped after " } else { "" };
    let mut text = format!("{label}: {done} of {total}, {stopped}{:.1} s", took.as_secs_f64());
    if line.ended > 1 {
        let _ = write!(text, " (the last of {}, {:.1} s in all)", line.ended, line.took.as_secs_f64());
    }
    let html = format!("<div style=\"font-size:small;opacity:0.65\">{}</div>", escape(&text));
    MimeBundle::text(text).with("text/html", html)
}

/// An output in the forms that a notebook shows.
fn bundle(output: &Output) -> Result<MimeBundle> {
    let mut bundle = MimeBundle::text(output.text.as_str());
    let png = output.png()?;
    if let Some(png) = &png {
        bundle = bundle.with_bytes("image/png", png);
    }
    if let Some(svg) = output.svg()? {
        bundle = bundle.with("image/svg+xml", svg);
    }
    if let Some(html) = output.page(png.as_deref()) {
        bundle = bundle.with("text/html", html);
    }
    if let Some(markdown) = &output.markdown {
        // front ends do not know Rhai, and would print the name of the language
        bundle = bundle.with("text/markdown", markdown.replace("```rhai\n", "```rust\n"));
    }
    Ok(bundle)
}

/// The kind of a candidate in one word: JupyterLab wraps two, and draws an icon for those that IPython uses.
fn icon(kind: &str) -> &str {
    if kind == "keyword argument" { "param" } else { kind }
}

struct Kernel {
    session: Session,
    notebook: Rc<Notebook>,
}

impl Kernel {
    fn new() -> Self {
        let notebook = Rc::new(Notebook::default());
        Self { session: Session::new(Rc::clone(&notebook) as Rc<dyn Sink>), notebook }
    }
}

impl Kernel {
    /// Does what a command leaves to the front end.
    fn ask(&self, outcome: &Outcome, io: &Io) -> Result<()> {
        match &outcome.ask {
            Some(Ask::Page(page)) => io.page(bundle(page)?),
            Some(Ask::Clear) => self.notebook.clear(false),
            Some(Ask::Edit(text)) => io.set_next_input(text, false),
            Some(Ask::Quit) => io.ask_exit(),
            None => {}
        }
        Ok(())
    }
}

fn execute_error(error: &Error) -> ExecuteError {
    let name = match error.kind() {
        Kind::Interrupted => "Interrupted",
        Kind::Argument => "ArgumentError",
        Kind::Name => "NameError",
        Kind::File => "FileError",
        Kind::Tensor => "TensorError",
        Kind::Script => "ScriptError",
        Kind::Internal => "InternalError",
    };
    let shown = error.report().map_or_else(|| format!("error: {error}"), str::to_owned);
    ExecuteError::new(name, error.to_string()).with_traceback(colored(&shown).lines())
}

/// The word "error" in bold red, as in a terminal.
fn colored(report: &str) -> String {
    match report.strip_prefix("error") {
        Some(rest) => format!("\x1b[1;31merror\x1b[0m{rest}"),
        None => report.to_owned(),
    }
}

impl Interpreter for Kernel {
    fn info(&self) -> KernelInfo {
        KernelInfo {
            implementation: "percept".into(),
            implementation_version: env!("CARGO_PKG_VERSION").into(),
            banner: format!(
                "percept {}: see what a network has learned\n:help tells what there is, Tab completes, name? explains\n",
                env!("CARGO_PKG_VERSION")
            ),
            language: LanguageInfo {
                name: "rhai".into(),
                version: "1.27".into(),
                mimetype: "text/x-rhai".into(),
                file_extension: ".rhai".into(),
                // a front end without a mode for Rhai colours it as Rust
                codemirror_mode: Some(json!({
                    "name": "rhai", "mimetype": "text/x-rustsrc", "mime": "text/x-rustsrc",
                })),
                pygments_lexer: Some("rhai".into()),
            },
            help_links: vec![("The Rhai language".into(), "https://rhai.rs/book/".into())],
        }
    }

    fn execute(&mut self, code: &str, io: &Io) -> ExecuteResult {
        self.notebook.begin(io);
        let outcome = self.session.eval_cell(io.execution_count(), code);
        let shown = outcome.output.as_ref().map(bundle).transpose();
        let shown = shown.and_then(|shown| Ok((shown, self.ask(&outcome, io)?)).map(|(shown, ())| shown));
        let result = match (&outcome.error, shown) {
            (_, Err(error)) => Err(execute_error(&error)),
            (None, Ok(shown)) => Ok(shown),
            (Some(error), Ok(shown)) => {
                // what an interrupted job has made so far
                if let Some(shown) = shown {
                    io.display(shown);
                }
                Err(execute_error(error))
            }
        };
        self.notebook.end();
        result
    }

    fn interrupt_handle(&self) -> InterruptHandle {
        let interrupt = self.session.interrupt();
        InterruptHandle::call(move || interrupt.raise())
    }

    fn complete(&mut self, code: &str, cursor: usize) -> Completions {
        let completion = self.session.complete(code, cursor);
        let matches = completion
            .candidates
            .into_iter()
            .map(|candidate| Completion::new(candidate.text).kind(icon(&candidate.kind)).signature(candidate.detail))
            .collect();
        Completions { matches, start: completion.start, end: completion.end }
    }

    fn inspect(&mut self, code: &str, cursor: usize, _: Detail) -> Option<MimeBundle> {
        self.session.inspect(code, cursor).and_then(|output| bundle(&output).ok())
    }

    fn is_complete(&mut self, code: &str) -> Completeness {
        match self.session.is_complete(code) {
            session::Completeness::Complete => Completeness::Complete,
            session::Completeness::Incomplete(indent) => Completeness::Incomplete { indent: " ".repeat(indent) },
            session::Completeness::Invalid => Completeness::Invalid,
        }
    }
}

/// Serves one front end until it says shutdown.
///
/// # Errors
/// The connection file cannot be read, or its ports are taken.
pub fn run(connection_file: &Path, threads: usize) -> Result<()> {
    let kernel = move || {
        // this is the thread that evaluates
        if let Err(error) = use_threads(threads) {
            eprintln!("{error}");
        }
        Kernel::new()
    };
    percept_kernel::run(connection_file, kernel).map_err(|error| fault(&error))
}

/// The kernel as Jupyter lists it, under a name; `percept` if none is given.
fn spec(name: Option<&str>) -> Result<KernelSpec> {
    let program = std::env::current_exe()
        .map_err(|error| Error::new(Kind::File, format!("cannot tell where this program lies: {error}")))?;
    let (name, shown) = name.map_or(("percept", "Percept".to_owned()), |name| (name, format!("Percept ({name})")));
    let spec = KernelSpec::new(name, &shown, "rhai").map_err(|error| fault(&error))?;
    Ok(spec
        .command(program.to_string_lossy(), ["kernel", "run"])
        .file("logo-32x32.png", include_bytes!("../assets/logo/logo-32x32.png").as_slice())
        .file("logo-64x64.png", include_bytes!("../assets/logo/logo-64x64.png").as_slice()))
}

/// Makes Jupyter know the kernel, under a name other than `percept` if one is given; returns the folder that was written.
///
/// # Errors
/// The folder cannot be written, or holds another program's kernel.
pub fn install(location: &Location, name: Option<&str>) -> Result<PathBuf> {
    spec(name)?.install(location).map_err(|error| fault(&error))
}

/// Makes Jupyter forget the kernel; returns the folder that was removed.
///
/// # Errors
/// It is not installed there.
pub fn uninstall(location: &Location, name: Option<&str>) -> Result<PathBuf> {
    spec(name)?.uninstall(location).map_err(|error| fault(&error))
}

fn fault(error: &percept_kernel::Error) -> Error {
    Error::new(Kind::File, error.to_string())
}
