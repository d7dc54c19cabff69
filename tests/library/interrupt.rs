//! Stopping an evaluation: variables stay, the session works on, and what was made so far is handed back.

use std::time::Duration;

use crate::common::{report, session, value};
use percept::error::Kind;

/// Raises a session's interrupt once it has reached a step of a long job.
fn stop_at_step(session: &percept::session::Session, recorder: &crate::common::Recorder, step: usize) {
    let interrupt = session.interrupt();
    *recorder.at_step.borrow_mut() = Some(Box::new(move |report| {
        if report.done >= step && !report.ended {
            interrupt.raise();
        }
    }));
}

#[test]
fn an_endless_loop_is_stopped_from_another_thread_and_the_session_works_on() {
    let (mut session, _recorder) = session();
    value(&session.eval("let kept = 41; fn plus_one(x) { x + 1 }"));
    let interrupt = session.interrupt();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        interrupt.raise();
    });
    let outcome = session.eval("let counted = 0;\nlet made = 7;\nloop { counted += 1; }");
    stopper.join().unwrap();
    assert!(outcome.interrupted());
    let error = outcome.error.unwrap();
    assert!(report(&error).contains("interrupted"), "{}", report(&error));
    assert_eq!(value(&session.eval("plus_one(kept)")), "42");
    assert_eq!(value(&session.eval("made")), "7");
    assert_eq!(value(&session.eval("counted > 0")), "true");
    assert_eq!(value(&session.eval("photo(\"china\").width")), "640");
}

#[test]
fn a_stop_cannot_be_caught_by_the_script() {
    let (mut session, _recorder) = session();
    let interrupt = session.interrupt();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        interrupt.raise();
    });
    let outcome = session.eval("let caught = false; try { loop {} } catch { caught = true; }");
    stopper.join().unwrap();
    assert!(outcome.interrupted());
    assert_eq!(value(&session.eval("caught")), "false");
}

#[test]
fn a_half_finished_dream_is_handed_back() {
    let code = "dream(photo(\"chelsea\").resize(120, 80), octaves=2, steps=3, layer=\"fire3\", seed=1)";
    let (mut session, recorder) = session();
    stop_at_step(&session, &recorder, 2);
    let outcome = session.eval(code);
    assert!(outcome.interrupted());
    let output = outcome.output.expect("the image so far");
    assert_eq!(output.text, "image 120×80");
    assert!(output.png().unwrap().is_some());
    let (done, total) = {
        let reports = recorder.reports.borrow();
        let last = reports.last().unwrap();
        assert!(last.ended, "the job's end is reported");
        (last.done, last.total)
    };
    assert!(done < total, "it was stopped before its end: {done} of {total}");

    // it is the value of the cell, it has begun to dream, and the session works on
    *recorder.at_step.borrow_mut() = None;
    value(&session.eval("let half = _;"));
    let change = "abs(half.to_tensor() - photo(\"chelsea\").resize(120, 80).to_tensor()).max() > 0.01";
    assert_eq!(value(&session.eval(change)), "true");
    value(&session.eval(&format!("let whole = {code};")));
    assert_eq!(value(&session.eval("whole.to_tensor() != half.to_tensor()")), "true");
}

#[test]
fn a_stop_in_the_middle_of_a_script_ends_it_there() {
    let (mut session, recorder) = session();
    stop_at_step(&session, &recorder, 1);
    let code = "let a = 1;\nlet half = dream(noise(64, 64, seed=1), octaves=1, steps=3, layer=\"fire2\", seed=1);\n\
                a = 2;\nshow(half);";
    let outcome = session.eval(code);
    assert!(outcome.interrupted());
    assert!(recorder.shown.borrow().is_empty(), "nothing behind the stop was run");
    *recorder.at_step.borrow_mut() = None;
    assert_eq!(value(&session.eval("a")), "1");
}

#[test]
fn occlusion_stops_between_its_windows() {
    let (mut session, recorder) = session();
    stop_at_step(&session, &recorder, 1);
    let outcome = session.eval("let before = 5;\nocclusion(photo(\"chelsea\"), window=32, stride=16)");
    assert_eq!(outcome.error.as_ref().map(percept::error::Error::kind), Some(Kind::Interrupted));
    assert!(outcome.output.is_none());
    let reports = recorder.reports.borrow();
    let last = reports.last().unwrap();
    assert!(last.ended && last.done < last.total, "{last:?}");
    drop(reports);
    *recorder.at_step.borrow_mut() = None;
    assert_eq!(value(&session.eval("before")), "5");
}

/// What sampling has found so far is the value, says how many samples it rests on, and is that of so many samples.
#[test]
fn sampling_methods_keep_what_they_have() {
    for (call, same) in [
        ("lime(cat, segments=8, samples=400, seed=1)", "lime(cat, segments=8, samples=SAMPLES, seed=1)"),
        ("rise(cat, cells=4, samples=400, seed=1)", "rise(cat, cells=4, samples=SAMPLES, seed=1)"),
        ("smooth_grad(cat, samples=60, seed=1)", "smooth_grad(cat, samples=SAMPLES, seed=1)"),
        // its samples are planned for their number; with few superpixels it takes all there are, and has no part of that
        ("kernel_shap(cat, segments=40, samples=400, seed=1)", ""),
        ("expected_gradients(cat, samples=60, seed=1)", ""),
    ] {
        let (mut session, recorder) = session();
        value(&session.eval("let cat = photo(\"chelsea\");"));
        let interrupt = session.interrupt();
        *recorder.at_step.borrow_mut() = Some(Box::new(move |report| {
            // not in what is prepared, and not before there are samples enough for a solution
            if report.total >= 60 && report.done >= report.total / 3 && !report.ended {
                interrupt.raise();
            }
        }));
        let outcome = session.eval(call);
        assert!(outcome.interrupted(), "{call}");
        assert!(outcome.output.is_some(), "{call}: nothing is left");
        *recorder.at_step.borrow_mut() = None;
        value(&session.eval("let half = _;"));
        let samples: usize = value(&session.eval("half.samples")).parse().unwrap();
        assert!((1..400).contains(&samples), "{call}: {samples} samples");
        assert_eq!(value(&session.eval("half.values.abs().max().item() > 0.0")), "true", "{call}");
        if !same.is_empty() {
            value(&session.eval(&format!("let same = {};", same.replace("SAMPLES", &samples.to_string()))));
            let apart = "(half.values - same.values).abs().max().item() <= 0.00001 * same.values.abs().max().item()";
            assert_eq!(value(&session.eval(apart)), "true", "{call}: {samples} samples");
        }
    }
}

#[test]
fn a_stop_before_anything_runs_does_not_hurt_the_next_cell() {
    let (mut session, _recorder) = session();
    session.interrupt().raise();
    let _ = session.eval("1");
    assert_eq!(value(&session.eval("1 + 1")), "2");
}
