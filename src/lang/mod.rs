//! The language: Rhai with keyword arguments, and the registry of its functions. No function is defined here.

mod arguments;
mod choices;
mod compile;
mod completer;
mod context;
mod dispatch;
mod engine;
mod functions;
mod highlight;
mod keywords;
mod modules;
mod registry;
mod report;
mod scan;
mod table;
mod value;
mod variables;

pub use arguments::{Options, default_value};
pub(crate) use choices::{choices, choose};
pub use completer::{Completer, CompletionContext, OtherArgument};
pub use context::{Context, Host};
pub use engine::{Extension, Interpreter};
pub use functions::{Native, ScriptFunction};
pub use highlight::{Highlight, Span, TokenKind, byte_at, spans};
pub use modules::stdlib;
pub use registry::{Arguments, Function, Parameter, functions, names, overloads, signature};
pub use scan::{CallSite, Inside, Scan};
pub use table::Table;
pub(crate) use value::value_type;
pub use value::{
    FromValue, IntoValue, Provenance, Reject, Returned, ValueType, describe, provenance, register_value_type, text,
    type_name, value_types,
};

pub use percept_macros::{Options, function};
pub use rhai::{Dynamic, FnPtr, Token};
#[cfg(test)]
mod tests;
