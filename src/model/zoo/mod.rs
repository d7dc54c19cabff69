//! Known networks, one file per architecture.

pub mod squeezenet;

/// The networks that can be asked for by name.
pub const NAMES: &[&str] = &["squeezenet1_1"];
