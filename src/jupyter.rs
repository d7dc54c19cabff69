//! A session as a Jupyter kernel.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use percept_kernel::spec::KernelSpec;
pub use percept_kernel::spec::Location;
use percept_kernel::{
    Completeness, Completion, Completions, Detail, ExecuteError, ExecuteResult, Interpreter, InterruptHandle, Io,
    KernelInfo, LanguageInfo, MimeBundle,
};

use crate::error::{Error, Kind, Result};
use crate::lang::Report;
use crate::session::{self, Output, Session, Sink};

/// Progress is drawn no more often than this.
const REDRAW: Duration = Duration::from_millis(100);
/// A job shorter than this shows no progress.
const PATIENCE: Duration = Duration::from_millis(500);

/// The front end's side of a session: it belongs to one cell at a time.
#[derive(Default)]
struct Notebook {
    io: RefCell<Option<Io>>,
    job: RefCell<Option<Job>>,
    jobs: Cell<usize>,
}

struct Job {
    since: Instant,
    drawn: Option<Instant>,
    display: String,
}

impl Sink for Notebook {
    fn print(&self, text: &str) {
        if let Some(io) = &*self.io.borrow() {
            io.stdout(text);
        }
    }

    fn progress(&self, report: &Report) {
        let Some(io) = &*self.io.borrow() else { return };
        let mut slot = self.job.borrow_mut();
        let job = slot.get_or_insert_with(|| {
            self.jobs.set(self.jobs.get() + 1);
            Job { since: Instant::now(), drawn: None, display: format!("percept-progress-{}", self.jobs.get()) }
        });
        let patient = job.since.elapsed() < PATIENCE;
        let due = job.drawn.is_none_or(|drawn| drawn.elapsed() >= REDRAW);
        // once a bar was shown, its last state is always shown as well
        if (!report.ended && (patient || !due)) || (report.ended && job.drawn.is_none()) {
            if report.ended {
                *slot = None;
            }
            return;
        }
        let bundle = progress_bundle(report, job.since.elapsed());
        match job.drawn {
            None => io.display_with_id(&job.display, bundle),
            Some(_) => io.update_display(&job.display, bundle),
        }
        job.drawn = Some(Instant::now());
        if report.ended {
            *slot = None;
        }
    }

    fn display(&self, output: &Output) -> Result<()> {
        if let Some(io) = &*self.io.borrow() {
            io.display(bundle(output)?);
        }
        Ok(())
    }
}

fn progress_bundle(report: &Report, elapsed: Duration) -> MimeBundle {
    let Report { label, done, total, .. } = report;
    let seconds = elapsed.as_secs_f64();
    let text = format!("{label}: {done} of {total}, {seconds:.1} s");
    let html = format!(
        "<div><progress value=\"{done}\" max=\"{total}\" style=\"width:20em\"></progress> {label}: {done} of {total}, {seconds:.1} s</div>"
    );
    MimeBundle::text(text).with("text/html", html)
}

/// An output in the forms that a notebook shows.
fn bundle(output: &Output) -> Result<MimeBundle> {
    let mut bundle = MimeBundle::text(output.text.as_str());
    if let Some(png) = output.png()? {
        bundle = bundle.with_bytes("image/png", &png);
    }
    if let Some(html) = &output.html {
        bundle = bundle.with("text/html", html.as_str());
    }
    if let Some(markdown) = &output.markdown {
        bundle = bundle.with("text/markdown", markdown.as_str());
    }
    Ok(bundle)
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
    ExecuteError::new(name, error.to_string()).with_traceback(shown.lines())
}

impl Interpreter for Kernel {
    fn info(&self) -> KernelInfo {
        KernelInfo {
            implementation: "percept".into(),
            implementation_version: env!("CARGO_PKG_VERSION").into(),
            banner: format!("percept {}: see what a network has learned", env!("CARGO_PKG_VERSION")),
            language: LanguageInfo {
                name: "rhai".into(),
                version: "1.27".into(),
                mimetype: "text/x-rhai".into(),
                file_extension: ".rhai".into(),
                codemirror_mode: Some("rust".into()),
                pygments_lexer: Some("rust".into()),
            },
            help_links: vec![("The Rhai language".into(), "https://rhai.rs/book/".into())],
        }
    }

    fn execute(&mut self, code: &str, io: &Io) -> ExecuteResult {
        *self.notebook.io.borrow_mut() = Some(io.clone());
        let outcome = self.session.eval(code);
        let shown = outcome.output.as_ref().map(bundle).transpose();
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
        *self.notebook.io.borrow_mut() = None;
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
            .map(|candidate| Completion::new(candidate.text).kind(candidate.kind).signature(candidate.detail))
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
pub fn run(connection_file: &Path) -> Result<()> {
    percept_kernel::run(connection_file, Kernel::new).map_err(|error| fault(&error))
}

/// The kernel as Jupyter lists it.
fn spec() -> Result<KernelSpec> {
    let program = std::env::current_exe()
        .map_err(|error| Error::new(Kind::File, format!("cannot tell where this program lies: {error}")))?;
    let spec = KernelSpec::new("percept", "Percept", "rhai").map_err(|error| fault(&error))?;
    Ok(spec
        .command(program.to_string_lossy(), ["kernel", "run"])
        .file("logo-32x32.png", include_bytes!("../assets/logo/logo-32x32.png").as_slice())
        .file("logo-64x64.png", include_bytes!("../assets/logo/logo-64x64.png").as_slice()))
}

/// Makes Jupyter know the kernel; returns the folder that was written.
///
/// # Errors
/// The folder cannot be written, or holds another program's kernel.
pub fn install(location: &Location) -> Result<PathBuf> {
    spec()?.install(location).map_err(|error| fault(&error))
}

/// Makes Jupyter forget the kernel; returns the folder that was removed.
///
/// # Errors
/// It is not installed there.
pub fn uninstall(location: &Location) -> Result<PathBuf> {
    spec()?.uninstall(location).map_err(|error| fault(&error))
}

fn fault(error: &percept_kernel::Error) -> Error {
    Error::new(Kind::File, error.to_string())
}
