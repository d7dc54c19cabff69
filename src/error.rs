//! The one error type: what was wrong, where, and what would be right.

use std::fmt;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong, for callers that decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A call with an unknown, missing, repeated, mistyped or out-of-range argument.
    Argument,
    /// Tensors whose shapes, types or values do not fit the operation.
    Tensor,
    /// A file that is missing, unreadable, truncated or of the wrong format.
    File,
    /// A name that does not exist: a layer, class, photo, model or function.
    Name,
    /// A program that does not parse, or failed while it ran.
    Script,
    /// The user stopped the evaluation.
    Interrupted,
    /// A fault of this program, never of its input.
    Internal,
}

/// An error with its operation, its hint and the argument at fault.
///
/// It is cheap to move and can be cloned, so a script's `catch` can hold it.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    argument: Option<String>,
    report: Option<String>,
}

impl Error {
    /// An error of a kind, with a message that starts in lower case and has no full stop.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, argument: None, report: None }))
    }

    /// The evaluation was stopped by the user.
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// Adds what would be right.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Names the parameter whose argument is at fault, so that a script error can point at it.
    #[must_use]
    pub fn at_argument(mut self, parameter: impl Into<String>) -> Self {
        self.0.argument.get_or_insert(parameter.into());
        self
    }

    /// Attaches the source excerpt with a caret that is shown in place of the bare message.
    #[must_use]
    pub fn with_report(mut self, report: String) -> Self {
        self.0.report = Some(report);
        self
    }

    /// Puts what was being done in front of the message: `reading x.png: …`.
    #[must_use]
    pub fn context(mut self, operation: impl fmt::Display) -> Self {
        self.0.message = format!("{operation}: {}", self.0.message);
        self
    }

    /// What kind of error this is.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What would be right, if it is known.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The parameter whose argument is at fault, if one is.
    pub fn argument(&self) -> Option<&str> {
        self.0.argument.as_deref()
    }

    /// The source excerpt with a caret, if the error happened in a script.
    pub fn report(&self) -> Option<&str> {
        self.0.report.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        match &error {
            candle_core::Error::WrappedContext { wrapped, .. } => {
                if let Some(ours) = wrapped.downcast_ref::<Self>() {
                    return ours.clone();
                }
            }
            candle_core::Error::WithBacktrace { inner, .. } => {
                if let candle_core::Error::WrappedContext { wrapped, .. } = inner.as_ref()
                    && let Some(ours) = wrapped.downcast_ref::<Self>()
                {
                    return ours.clone();
                }
            }
            _ => {}
        }
        // candle appends a backtrace to its messages when one was captured
        let text = error.to_string();
        Self::new(Kind::Tensor, text.lines().next().unwrap_or("tensor operation failed"))
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        let context = error.to_string();
        Self::WrappedContext { wrapped: Box::new(error), context }
    }
}

/// The names nearest to `wanted`, best first, for "did you mean" hints; at most three.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(f64, &str)> = names
        .into_iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            // a name of one or two letters is part of almost every other
            let contains = lower.len().min(wanted.len()) > 2 && (lower.contains(&wanted) || wanted.contains(&lower));
            let score = strsim::jaro_winkler(&wanted, &lower)
                .max(strsim::normalized_damerau_levenshtein(&wanted, &lower))
                .max(if contains { 0.9 } else { 0.0 });
            (score > 0.78).then_some((score, name))
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    // one letter wrong in a long name leaves no doubt
    let sure = |name: &str| wanted.len() > 4 && strsim::osa_distance(&wanted, &name.to_lowercase()) <= 1;
    if scored.iter().any(|(_, name)| sure(name)) {
        scored.retain(|(_, name)| sure(name));
    }
    scored.into_iter().map(|(_, name)| name).take(3).collect()
}

/// "did you mean `a`, `b` or `c`?", or nothing if no name is near.
pub fn did_you_mean<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near: Vec<String> = nearest(wanted, names).iter().map(|name| format!("`{name}`")).collect();
    let (last, rest) = near.split_last()?;
    Some(if rest.is_empty() {
        format!("did you mean {last}?")
    } else {
        format!("did you mean {} or {last}?", rest.join(", "))
    })
}

/// An error for a file that is to be read and is not there, with the name of one that is nearly called so.
pub fn missing_file(path: &std::path::Path) -> Error {
    let error = Error::new(Kind::File, format!("`{}` does not exist", path.display()));
    match similar_file(path) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn similar_file(path: &std::path::Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let names: Vec<String> =
        std::fs::read_dir(folder).ok()?.take(1000).filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    did_you_mean(wanted, names.iter().map(String::as_str))
}
