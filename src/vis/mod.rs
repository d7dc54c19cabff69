//! Methods for looking into networks. Each returns data; how it is shown is decided elsewhere.

pub mod attribution;
mod classify;
pub mod objective;
pub mod representation;
pub mod synthesis;
pub mod transform;

pub use classify::Classification;
