//! Binding the values of a call to the parameters of a function.

use rhai::{Dynamic, Map};

use super::registry::{Arguments, Function, Parameter, signature};
use super::value::{FromValue, IntoValue, Reject, describe, provenance};
use crate::error::{Error, Kind, Result, did_you_mean};

impl<'a> Arguments<'a> {
    /// Binds positional and keyword arguments.
    ///
    /// # Errors
    /// A missing, superfluous or unknown argument.
    pub(super) fn bind(function: &'a Function, positional: &[Dynamic], keywords: &Map) -> Result<Self> {
        let mut values: Vec<Option<Dynamic>> = vec![None; function.parameters().count()];
        let slot = |name: &str| function.parameters().position(|parameter| parameter.name == name);

        let mut open = function.positional();
        for (index, value) in positional.iter().enumerate() {
            let parameter = open.next().ok_or_else(|| too_many(function, index, positional.len()))?;
            if let Some(slot) = slot(parameter.name) {
                values[slot] = Some(value.clone());
            }
        }
        for (name, value) in keywords {
            let index = slot(name.as_str()).ok_or_else(|| unknown(function, name))?;
            if values[index].is_some() {
                return Err(Error::new(
                    Kind::Argument,
                    format!("{}: `{name}` is given by position and by keyword", function.name),
                )
                .at_argument(name.as_str()));
            }
            values[index] = Some(value.clone());
        }
        for (parameter, value) in function.parameters().zip(&values) {
            match value {
                None if parameter.default.is_none() => {
                    return Err(Error::new(
                        Kind::Argument,
                        format!("{}: `{}` is missing: {}", function.name, parameter.name, parameter.kind),
                    )
                    .with_hint(signature(function)));
                }
                Some(value) => check_range(function, parameter, value)?,
                None => {}
            }
        }
        Ok(Self { function, values })
    }

    /// The call as a script would write it, defaults included; `notes` say what was chosen for arguments that were
    /// left out, such as the seed.
    pub(super) fn written(&self, notes: &[(&'static str, String)]) -> String {
        let mut parts = Vec::new();
        for (parameter, value) in self.function.parameters().zip(&self.values) {
            let note = notes.iter().find(|(name, _)| *name == parameter.name).map(|(_, text)| text.clone());
            let text = match (note, value, parameter.default) {
                (Some(note), ..) => note,
                (None, Some(value), _) => argument(value),
                (None, None, Some("optional") | None) => continue,
                (None, None, Some(default)) => default.to_owned(),
            };
            parts.push(if parameter.default.is_some() { format!("{}={text}", parameter.name) } else { text });
        }
        let mut call = format!("{}({})", self.function.name, parts.join(", "));
        if let Some((end, _)) = call.char_indices().nth(LONGEST) {
            call.truncate(end);
            call.push('…');
        }
        call
    }

    /// The value of a parameter, if it was given.
    ///
    /// # Errors
    /// The value has the wrong type.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<Option<T>> {
        let slot = self.function.parameters().position(|parameter| parameter.name == name);
        let Some(value) = slot.and_then(|slot| self.values[slot].as_ref()) else { return Ok(None) };
        T::from_value(value).map(Some).map_err(|reject| rejected::<T>(self.function, name, value, reject))
    }

    /// The value of a parameter without a default.
    ///
    /// # Errors
    /// The value has the wrong type.
    pub fn required<T: FromValue>(&self, name: &str) -> Result<T> {
        self.get(name)?.ok_or_else(|| Error::new(Kind::Internal, format!("parameter `{name}` is not bound")))
    }
}

/// A group of parameters that several functions take, documented once. Made by `#[derive(Options)]`.
pub trait Options: Sized {
    /// Its parameters, all given by keyword.
    const PARAMETERS: &'static [Parameter];
    /// The group's values in one call.
    ///
    /// # Errors
    /// A value has the wrong type.
    fn take(arguments: &Arguments<'_>) -> Result<Self>;
}

/// The value of a default: it goes through the same conversion as an argument.
///
/// # Panics
/// The default does not convert, which a test rules out for every parameter.
#[expect(clippy::panic, reason = "a test converts the default of every parameter")]
pub fn default_value<T: FromValue>(name: &str, default: impl IntoValue) -> T {
    let value = default.into_value();
    T::from_value(&value).unwrap_or_else(|reject| panic!("the default {value} of `{name}` will not do: {reject:?}"))
}

/// No text about how a value was made grows longer than this.
const LONGEST: usize = 2000;

/// An argument as a script would write it: a value that remembers how it was made says that.
fn argument(value: &Dynamic) -> String {
    if let Some(call) = provenance(value) {
        return call;
    }
    if value.is_string() {
        return format!("{:?}", value.to_string());
    }
    if let Some(items) = value.read_lock::<rhai::Array>() {
        let items: Vec<String> = items.iter().take(8).map(argument).collect();
        return format!("[{}]", items.join(", "));
    }
    if value.is_int() || value.is_float() || value.is_bool() { value.to_string() } else { describe(value) }
}

fn rejected<T: FromValue>(function: &Function, name: &str, value: &Dynamic, reject: Reject) -> Error {
    let function = function.name;
    let error = match reject {
        Reject::Type => {
            let message = format!("{function}: `{name}` must be {}, not {}", T::EXPECTED, describe(value));
            Error::new(Kind::Argument, message)
        }
        Reject::Because(why, hint) => {
            let error = Error::new(Kind::Argument, format!("{function}: `{name}` {why}"));
            match hint {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        }
    };
    error.at_argument(name)
}

fn check_range(function: &Function, parameter: &Parameter, value: &Dynamic) -> Result<()> {
    let number = value.as_float().or_else(|_| value.as_int().map(|number| number as f64));
    let Ok(number) = number else { return Ok(()) };
    let low = parameter.low.is_none_or(|low| number >= low);
    let high = parameter.high.is_none_or(|high| number <= high);
    if low && high {
        return Ok(());
    }
    let wanted = match (parameter.low, parameter.high) {
        (Some(low), Some(high)) => format!("from {low} to {high}"),
        (Some(low), None) => format!("at least {low}"),
        (_, Some(high)) => format!("at most {high}"),
        (None, None) => return Ok(()),
    };
    let message = format!("{}: `{}` must be {wanted}, not {number}", function.name, parameter.name);
    Err(Error::new(Kind::Argument, message).at_argument(parameter.name))
}

fn too_many(function: &Function, index: usize, given: usize) -> Error {
    let count = function.positional().count();
    let plural = if count == 1 { "" } else { "s" };
    let message = format!("{} takes {count} positional argument{plural}, not {given}", function.name);
    let keywords: Vec<String> = function.keywords().map(|parameter| format!("`{}=`", parameter.name)).collect();
    let error = Error::new(Kind::Argument, message).at_argument(format!("#{index}"));
    if keywords.is_empty() {
        error.with_hint(signature(function))
    } else {
        error.with_hint(format!("the others are given by name: {}", keywords.join(", ")))
    }
}

fn unknown(function: &Function, name: &str) -> Error {
    let names: Vec<&str> = function.parameters().map(|parameter| parameter.name).collect();
    let error = Error::new(Kind::Argument, format!("{} has no argument `{name}`", function.name))
        .at_argument(format!("{name}="));
    match did_you_mean(name, names.iter().copied()) {
        Some(hint) => error.with_hint(hint),
        None if function.keywords().count() == 0 => error.with_hint(signature(function)),
        None => {
            let keywords: Vec<&str> = function.keywords().map(|parameter| parameter.name).collect();
            error.with_hint(format!("it has {}", keywords.join(", ")))
        }
    }
}
