//! Threads that stay awake from one loop to the next.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rayon::Yield;

/// How long a thread waits for the next loop before it may sleep. It is longer than what stands between the loops of a network.
const PATIENCE: Duration = Duration::from_micros(500);

/// Does work that is made of many short loops on one of rayon's threads, while the others stay awake for them: a thread that
/// had nothing to do for some microseconds is asleep, and to wake it takes as long as a small layer.
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = &AtomicBool::new(false);
    rayon::scope(|scope| {
        let home = rayon::current_thread_index();
        for _ in 1..rayon::current_num_threads() {
            scope.spawn(move |_| stay(done, home));
        }
        let result = work();
        done.store(true, Ordering::Release);
        result
    })
}

/// Takes parts of loops until the work is done, or there has been nothing to take for long: whoever waits here may be in the
/// midst of something that another thread waits for.
fn stay(done: &AtomicBool, home: Option<usize>) {
    // the thread that works would wait for itself
    if rayon::current_thread_index() == home {
        return;
    }
    let mut since = Instant::now();
    while !done.load(Ordering::Acquire) {
        match rayon::yield_now() {
            Some(Yield::Executed) => since = Instant::now(),
            _ if since.elapsed() > PATIENCE => return,
            _ => std::hint::spin_loop(),
        }
    }
}
