//! Images that are made layer by layer, size by size or frame by frame: stopped, they hand back what they have, and go on.

use crate::common::{session, value};

/// Stops a cell at a step of its job, and keeps what it hands back in a variable.
fn stopped(session: &mut percept::session::Session, recorder: &crate::common::Recorder, code: &str, step: usize) {
    let interrupt = session.interrupt();
    *recorder.at_step.borrow_mut() = Some(Box::new(move |report| {
        if report.done >= step && !report.ended {
            interrupt.raise();
        }
    }));
    let outcome = session.eval(code);
    assert!(outcome.interrupted(), "{code}");
    *recorder.at_step.borrow_mut() = None;
    value(&session.eval("let half = _;"));
}

#[test]
fn an_interrupted_inversion_goes_on_as_if_nothing_had_happened() {
    for call in
        ["invert(cat, layer=\"fire3\", steps=6, seed=1", "caricature(cat, layer=\"fire3\", size=64, steps=6, seed=1"]
    {
        let (mut session, recorder) = session();
        value(&session.eval("let cat = photo(\"chelsea\");"));
        stopped(&mut session, &recorder, &format!("{call})"), 2);
        value(&session.eval(&format!("let whole = {call});")));
        assert_eq!(value(&session.eval("half.to_tensor() == whole.to_tensor()")), "false");
        assert_eq!(
            value(&session.eval(&format!("{call}, resume=half).to_tensor() == whole.to_tensor()"))),
            "true",
            "{call}"
        );
        // it is that of this image, and of these options
        for other in [call.replace("(cat", "(photo(\"china\")"), call.replace("fire3", "fire2")] {
            let refused = session.eval(&format!("{other}, resume=half)"));
            assert!(refused.error.unwrap().to_string().contains("begun with other arguments"));
        }
    }
}

#[test]
fn what_was_made_of_a_series_is_handed_back() {
    let (mut session, recorder) = session();
    let code = "inversion_series(photo(\"chelsea\"), layers=[\"conv1\", \"fire2\", \"fire3\"], steps=3, seed=1)";
    stopped(&mut session, &recorder, code, 4);
    assert_eq!(value(&session.eval("half.labels.len()")), "3", "the original, a whole one and a part of one");
    assert_eq!(value(&session.eval(&format!("half.images[1].to_tensor() == {code}.images[1].to_tensor()"))), "true");

    let code = "grow(noise(40, 40, seed=1), from=40, to=90, layer=\"fire2\", steps=2, seed=1)";
    stopped(&mut session, &recorder, code, 3);
    assert_eq!(value(&session.eval("half.images.len()")), "2");
    assert_eq!(value(&session.eval(&format!("half.images[0].to_tensor() == {code}.images[0].to_tensor()"))), "true");

    let code =
        "dream_layers(noise(64, 64, seed=1), layers=[\"fire2\", \"fire3\", \"fire4\"], octaves=1, steps=2, seed=1)";
    stopped(&mut session, &recorder, code, 2);
    assert_eq!(value(&session.eval("half.labels[0] == \"fire2\"")), "true");
}

#[test]
fn a_stopped_film_has_whole_frames() {
    let (mut session, recorder) = session();
    let code = "dream_zoom(noise(64, 64, seed=1), frames=4, layer=\"fire2\", octaves=1, steps=3, seed=1)";
    stopped(&mut session, &recorder, code, 7);
    assert_eq!(value(&session.eval("half.len()")), "2");
    assert_eq!(value(&session.eval(&format!("half.frames[1].to_tensor() == {code}.frames[1].to_tensor()"))), "true");
    stopped(&mut session, &recorder, code, 1);
    assert_eq!(value(&session.eval("half.len()")), "1", "there is no film without a frame");
}
