//! Argument parsing.
fn main() {}
