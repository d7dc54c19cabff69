//! The language: Rhai with keyword arguments, and the registry of its words. No word is defined here.

mod arguments;
mod choices;
mod completer;
mod context;
mod engine;
mod modules;
mod pieces;
mod registry;
mod report;
mod scan;
mod table;
mod value;

pub use arguments::Arguments;
pub(crate) use choices::{choices, choose};
pub use completer::{Clues, Completer, Other};
pub use context::{Context, Host, Interrupt, Preview, Progress, Report};
pub use engine::{Extension, Interpreter, Native, ScriptFunction};
pub use modules::stdlib;
pub use pieces::{Look, Piece, Span, byte_at, spans};
pub use registry::{Builtin, Parameter, builtin, builtins, names, signature};
pub use scan::{CallSite, Inside, Scan};
pub use table::Table;
pub(crate) use value::value_type;
pub use value::{
    FromValue, IntoValue, Provenance, Reject, Returned, ValueType, describe, provenance, register_value_type, text,
    type_name, value_types,
};

pub use percept_macros::builtin as define;
pub use rhai::{Dynamic, FnPtr, Token};
#[cfg(test)]
mod tests;
