//! How script values become Rust values and back, and what they are called in messages.

use std::any::TypeId;
use std::fmt::Display;

use rhai::{Dynamic, Engine, FnPtr, ImmutableString, Map};

use super::Completer;
use crate::error::{Error, Result};

/// Why a value is not taken for an argument.
#[derive(Debug)]
pub enum Reject {
    /// It has the wrong type.
    Type,
    /// It has the right type, but will not do: what must hold, and what would be right.
    Because(String, Option<String>),
}

/// A type that can be taken from a script value.
pub trait FromValue: Sized {
    /// What is expected, with its article: "an image".
    const EXPECTED: &'static str;
    /// The names of the types that it is taken from, as [`type_name`] says them, for completion.
    const TYPES: &'static [&'static str] = &[];
    /// The strings that are accepted, if only some are.
    const CHOICES: &'static [&'static str] = &[];
    /// Which texts could be meant, for completion.
    const COMPLETE: Option<Completer> = None;
    /// Takes the value, or says why not.
    fn from_value(value: &Dynamic) -> Result<Self, Reject>;
}

/// A type that can be given to a script.
pub trait IntoValue {
    /// What it is called in signatures.
    const NAME: &'static str;
    /// The value as the script sees it.
    fn into_value(self) -> Dynamic;
}

/// What a function returns: a `Result` of something a script can hold.
pub trait Returned {
    /// What it is called in signatures.
    const NAME: &'static str;
    /// The result as the dispatcher sees it.
    fn into_dynamic(self) -> Result<Dynamic>;
}

impl<T: IntoValue> Returned for Result<T> {
    const NAME: &'static str = T::NAME;
    fn into_dynamic(self) -> Result<Dynamic> {
        self.map(T::into_value)
    }
}

/// A type of the language that Rhai does not have, collected from all over the crate.
pub struct ValueType {
    /// Its name in messages and signatures.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    pub(crate) id: fn() -> TypeId,
    /// What Rust, and so Rhai, calls it.
    pub(crate) rust: fn() -> &'static str,
    pub(crate) text: fn(&Dynamic) -> Option<String>,
    pub(crate) register: fn(&mut Engine),
    /// For types that know how they were made: reading it, and writing it where the value keeps it.
    pub(crate) provenance: Option<(ReadProvenance, WriteProvenance)>,
}

/// Reads how a value was made.
pub(crate) type ReadProvenance = fn(&Dynamic) -> Option<String>;
/// Writes how a value was made.
pub(crate) type WriteProvenance = fn(Dynamic, &str) -> Dynamic;

/// The call that made a value, with its arguments and seed, if it is known.
pub type Provenance = Option<std::sync::Arc<str>>;

/// How a value was made, if its type knows that.
pub fn provenance(value: &Dynamic) -> Option<String> {
    let id = value.type_id();
    let (read, _) = value_types().find(|kind| (kind.id)() == id)?.provenance?;
    read(value)
}

/// Writes how a value was made, if its type keeps that.
pub(super) fn record_provenance(value: Dynamic, call: impl FnOnce() -> String) -> Dynamic {
    let id = value.type_id();
    match value_types().find(|kind| (kind.id)() == id).and_then(|kind| kind.provenance) {
        Some((_, write)) => write(value, &call()),
        None => value,
    }
}

inventory::collect!(ValueType);

/// Every type that was declared with `value_type!`.
pub fn value_types() -> impl Iterator<Item = &'static ValueType> {
    inventory::iter::<ValueType>()
}

/// Registers what every type needs: its name, and its text for `print` and strings.
pub fn register_value_type<T: Clone + Display + 'static>(engine: &mut Engine, name: &str) {
    engine.register_type_with_name::<T>(name);
    engine.register_fn("to_string", |value: &mut T| value.to_string());
    engine.register_fn("to_debug", |value: &mut T| value.to_string());
    engine.register_fn("+", |text: ImmutableString, value: T| format!("{text}{value}"));
}

/// Declares a type of the language: `value_type!(Image, "image", "an image", "A picture.")`.
///
/// The type is `Clone + Display`, cheap to clone, and has no `FromValue` or `IntoValue` of its own.
macro_rules! value_type {
    ($type:ty, $name:literal, $expected:literal, $doc:literal) => {
        $crate::lang::value_type!(@ $type, $name, $expected, $doc, None);
    };
    // a type with a field `provenance: Provenance`
    ($type:ty, $name:literal, $expected:literal, $doc:literal, provenance) => {
        $crate::lang::value_type!(@ $type, $name, $expected, $doc, Some((
            |value| value.read_lock::<$type>()?.provenance.as_deref().map(str::to_owned),
            |value, call| match value.try_cast_result::<$type>() {
                Ok(value) => {
                    let mut value = value;
                    value.provenance = Some(call.into());
                    $crate::lang::Dynamic::from(value)
                },
                Err(value) => value,
            },
        )));
    };
    // a type that says itself how it was made, by a function of it
    ($type:ty, $name:literal, $expected:literal, $doc:literal, made_by = $made_by:expr) => {
        $crate::lang::value_type!(@ $type, $name, $expected, $doc, Some((
            |value| $made_by(&*value.read_lock::<$type>()?),
            |value, _| value,
        )));
    };
    (@ $type:ty, $name:literal, $expected:literal, $doc:literal, $provenance:expr) => {
        impl $crate::lang::FromValue for $type {
            const EXPECTED: &'static str = $expected;
            const TYPES: &'static [&'static str] = &[$name];
            fn from_value(value: &$crate::lang::Dynamic) -> Result<Self, $crate::lang::Reject> {
                value.clone().try_cast::<$type>().ok_or($crate::lang::Reject::Type)
            }
        }
        impl $crate::lang::IntoValue for $type {
            const NAME: &'static str = $name;
            fn into_value(self) -> $crate::lang::Dynamic {
                $crate::lang::Dynamic::from(self)
            }
        }
        inventory::submit! {
            $crate::lang::ValueType {
                name: $name,
                doc: $doc,
                id: std::any::TypeId::of::<$type>,
                rust: std::any::type_name::<$type>,
                text: |value| value.read_lock::<$type>().map(|value| value.to_string()),
                register: |engine| $crate::lang::register_value_type::<$type>(engine, $name),
                provenance: $provenance,
            }
        }
    };
}
pub(crate) use value_type;

/// The name of a value's type, as messages say it: "integer", "image".
pub fn type_name(value: &Dynamic) -> &'static str {
    let id = value.type_id();
    if let Some(found) = value_types().find(|kind| (kind.id)() == id) {
        return found.name;
    }
    if value.is_int() {
        "integer"
    } else if value.is_float() {
        "number"
    } else if value.is_bool() {
        "boolean"
    } else if value.is_string() {
        "string"
    } else if value.is_char() {
        "character"
    } else if value.is_array() {
        "list"
    } else if value.is_map() {
        "map"
    } else if value.is_fnptr() {
        "function"
    } else if value.is_unit() {
        "nothing"
    } else {
        "value"
    }
}

/// A value as text, the way a prompt shows it: strings are quoted.
pub fn text(value: &Dynamic) -> String {
    let id = value.type_id();
    if let Some(own) = value_types().find(|kind| (kind.id)() == id).and_then(|kind| (kind.text)(value)) {
        return own;
    }
    if let Some(items) = value.read_lock::<rhai::Array>() {
        return format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", "));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let entries: Vec<String> = map.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect();
        return format!("#{{{}}}", entries.join(", "));
    }
    if let Some(error) = value.read_lock::<Error>() {
        return error.to_string();
    }
    if let Some(function) = value.read_lock::<FnPtr>() {
        return format!("function {}", function.fn_name());
    }
    if value.is_string() { format!("{:?}", value.to_string()) } else { value.to_string() }
}

/// A value as messages mention it: "the string \"no\"", "an image".
pub fn describe(value: &Dynamic) -> String {
    let name = type_name(value);
    if let Ok(number) = value.as_int() {
        format!("the integer {number}")
    } else if let Ok(number) = value.as_float() {
        format!("the number {number}")
    } else if let Ok(flag) = value.as_bool() {
        format!("{flag}")
    } else if value.is_string() {
        let text = value.clone().into_string().unwrap_or_default();
        let short: String = text.chars().take(40).collect();
        format!("the string {short:?}")
    } else if value.is_unit() {
        "nothing ()".into()
    } else {
        let article = if name.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        format!("{article} {name}")
    }
}

impl FromValue for Dynamic {
    const EXPECTED: &'static str = "any value";
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        Ok(value.clone())
    }
}

impl FromValue for i64 {
    const EXPECTED: &'static str = "an integer";
    const TYPES: &'static [&'static str] = &["integer"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        value.as_int().map_err(|_| Reject::Type)
    }
}

impl FromValue for usize {
    const EXPECTED: &'static str = "an integer";
    const TYPES: &'static [&'static str] = &["integer"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let number = value.as_int().map_err(|_| Reject::Type)?;
        Self::try_from(number).map_err(|_| Reject::Because("must not be negative".into(), None))
    }
}

impl FromValue for u64 {
    const EXPECTED: &'static str = "an integer";
    const TYPES: &'static [&'static str] = &["integer"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let number = value.as_int().map_err(|_| Reject::Type)?;
        Self::try_from(number).map_err(|_| Reject::Because("must not be negative".into(), None))
    }
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a number";
    const TYPES: &'static [&'static str] = &["number", "integer"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let number = value.as_float().or_else(|_| value.as_int().map(|number| number as Self));
        let number = number.map_err(|_| Reject::Type)?;
        if number.is_finite() { Ok(number) } else { Err(Reject::Because("must be finite".into(), None)) }
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "true or false";
    const TYPES: &'static [&'static str] = &["boolean"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        value.as_bool().map_err(|_| Reject::Type)
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "a string";
    const TYPES: &'static [&'static str] = &["string"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        value.clone().into_string().map_err(|_| Reject::Type)
    }
}

impl FromValue for FnPtr {
    const EXPECTED: &'static str = "a function";
    const TYPES: &'static [&'static str] = &["function"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        value.clone().try_cast().ok_or(Reject::Type)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    const TYPES: &'static [&'static str] = T::TYPES;
    const CHOICES: &'static [&'static str] = T::CHOICES;
    const COMPLETE: Option<Completer> = T::COMPLETE;
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_unit() { Ok(None) } else { T::from_value(value).map(Some) }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    const EXPECTED: &'static str = "a list";
    const TYPES: &'static [&'static str] = &["list"];
    const COMPLETE: Option<Completer> = T::COMPLETE;
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        let items = value.read_lock::<rhai::Array>().ok_or(Reject::Type)?;
        items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                T::from_value(item).map_err(|reject| match reject {
                    Reject::Type => {
                        Reject::Because(format!("must hold {} at [{index}], not {}", T::EXPECTED, describe(item)), None)
                    }
                    Reject::Because(why, hint) => Reject::Because(format!("at [{index}] {why}"), hint),
                })
            })
            .collect()
    }
}

macro_rules! plain_value {
    ($($type:ty => $name:literal),*) => {
        $(impl IntoValue for $type {
            const NAME: &'static str = $name;
            fn into_value(self) -> Dynamic {
                Dynamic::from(self)
            }
        })*
    };
}
plain_value!(bool => "boolean", i64 => "integer", f64 => "number", String => "string", Map => "map", Dynamic => "value", () => "nothing");

impl IntoValue for &str {
    const NAME: &'static str = "string";
    fn into_value(self) -> Dynamic {
        Dynamic::from(self.to_owned())
    }
}

impl<T: IntoValue, const N: usize> IntoValue for [T; N] {
    const NAME: &'static str = "list";
    fn into_value(self) -> Dynamic {
        Dynamic::from_array(self.into_iter().map(T::into_value).collect())
    }
}

impl IntoValue for usize {
    const NAME: &'static str = "integer";
    fn into_value(self) -> Dynamic {
        Dynamic::from(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl<T: IntoValue> IntoValue for Option<T> {
    const NAME: &'static str = T::NAME;
    fn into_value(self) -> Dynamic {
        self.map_or(Dynamic::UNIT, T::into_value)
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    const NAME: &'static str = "list";
    fn into_value(self) -> Dynamic {
        Dynamic::from_array(self.into_iter().map(T::into_value).collect())
    }
}
