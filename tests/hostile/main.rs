//! Damaged and malicious files: refused with an error, and never with more memory than the file is worth.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod onnx;
mod weights;

use std::sync::{Mutex, MutexGuard};

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What reading a file may allocate beyond its size, in bytes.
const ALLOWED: usize = 64 << 20;

/// Tests take turns, since all share the memory that is measured.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What a call returns, and the most that it had allocated at once, in bytes.
fn measured<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let result = call();
    (result, MEMORY.peak_usage().saturating_sub(before))
}
