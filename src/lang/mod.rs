//! The language: Rhai with keyword arguments, and the registry of its words. No word is defined here.

mod arguments;
mod context;
mod engine;
mod modules;
mod registry;
mod report;
mod scan;
mod table;
mod value;

pub use arguments::Arguments;
pub use context::{Context, Host, Interrupt, Progress, Report};
pub use engine::{Extension, Interpreter, ScriptFunction};
pub use modules::stdlib;
pub use registry::{Builtin, Parameter, builtin, builtins, names, signature};
pub use scan::{CallSite, Scan};
pub use table::Table;
pub(crate) use value::value_type;
pub use value::{
    FromValue, IntoValue, Provenance, Reject, Returned, ValueType, describe, provenance, register_value_type, text,
    type_name, value_types,
};

pub use percept_macros::builtin as define;
pub use rhai::{Dynamic, FnPtr};
#[cfg(test)]
mod tests;
