//! Memory stays within its limit, and where it was from step to step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::sync::Mutex;

use common::{session, value};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time is measured.
static TURN: Mutex<()> = Mutex::new(());

/// The most bytes that were in use while a script ran, of the whole process: model, pictures and buffers that wait to be
/// used again.
fn peak(script: &str) -> usize {
    let (mut session, _) = session();
    MEMORY.reset_peak_usage();
    value(&session.eval(script));
    MEMORY.peak_usage()
}

#[test]
fn occlusion_of_a_large_photo_stays_within_the_limit() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for megabytes in [128, 256] {
        let used = peak(&format!(
            "memory_limit(\"{megabytes} MB\");
             let img = photo(\"china\").resize(1024, 1024);
             let heat = occlusion(img, class=\"palace\", window=57, stride=34);"
        ));
        println!("{} MiB of {megabytes}", used >> 20);
        assert!(used <= megabytes << 20, "{used} bytes of {megabytes} MiB");
    }
}

#[test]
fn many_images_at_once_stay_within_the_limit() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // the images themselves are 68 MiB, and come in at the caller's expense
    let used = peak(
        "memory_limit(\"96 MB\"); let x = zeros([115, 3, 227, 227]); let y = model(\"squeezenet1_1\").forward(x);",
    );
    println!("{} MiB", used >> 20);
    assert!(used <= (96 + 68) << 20, "{used} bytes");
}

#[test]
fn a_longer_dream_needs_no_more() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let dream = |steps: usize| {
        peak(&format!(
            "memory_limit(\"1 GB\");
             let d = dream(photo(\"china\").resize(256, 256), octaves=1, steps={steps}, layer=\"fire5\");"
        ))
    };
    dream(2); // weights are prepared once
    let (short, long) = (dream(2), dream(12));
    println!("{} MiB for 2 steps, {} MiB for 12", short >> 20, long >> 20);
    assert!(long <= short + (1 << 20), "{short} bytes for 2 steps, {long} for 12");
}

#[test]
fn gradient_steps_through_the_network_keep_nothing() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let descent = |steps: usize| {
        peak(&format!(
            "let x = rand([1, 3, 96, 96], seed=1);
             let kept = #{{}};
             for step in 0..{steps} {{
                 x += grad(|x| {{
                     kept = forward(prepare(x), layers=[\"conv1\", \"fire3\"]);
                     kept.fire3.mean() + kept.conv1.mean()
                 }}, x);
             }}"
        ))
    };
    descent(2);
    let (short, long) = (descent(10), descent(60));
    println!("{} MiB for 10 steps, {} MiB for 60", short >> 20, long >> 20);
    assert!(long <= short + (1 << 20), "{short} bytes for 10 steps, {long} for 60");
}

#[test]
fn gradient_steps_keep_nothing() {
    let _turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // losses that the function leaves in a list must not keep their steps either
    let descent = |steps: usize| {
        peak(&format!(
            "let x = rand([3, 227, 227], seed=1);
             let losses = [];
             for step in 0..{steps} {{
                 x -= grad(|x| {{ let loss = (x * x + abs(x[0]) * 0.1).mean(); losses.push(loss); loss }}, x) * 1000;
             }}
             if losses.len() != {steps} || losses[{steps} - 1] >= losses[0] {{ throw \"no descent\"; }}"
        ))
    };
    descent(2);
    let (short, long) = (descent(10), descent(400));
    println!("{} MiB for 10 steps, {} MiB for 400", short >> 20, long >> 20);
    assert!(long <= short + (1 << 20), "{short} bytes for 10 steps, {long} for 400");
}
