//! The language with a few words of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unused_must_use)]

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::{Context, Dynamic, FnPtr, Host, Interpreter, function, value_type};
use crate::error::{Error, Kind, Result};
use crate::job::{Preview, Report, Reporter};

#[derive(Clone, Debug)]
struct Thing(i64);

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thing {}", self.0)
    }
}

value_type!(Thing, "thing", "a thing", "Something to test with.");

/// A thing.
#[function]
fn test_thing(
    /// Its number.
    number: i64,
) -> Result<Thing> {
    Ok(Thing(number))
}

/// Dreams of a thing.
#[function]
fn test_dream(
    /// The thing.
    thing: Thing,
    /// How often.
    #[default(1)]
    #[range(1..=9)]
    octaves: i64,
    /// How far.
    #[default(1.5)]
    step: f64,
    /// What to call.
    #[default]
    callback: Option<FnPtr>,
    /// Which way.
    #[default("up")]
    way: String,
) -> Result<i64> {
    let _ = callback;
    if way == "sideways" {
        return Err(Error::new(Kind::Argument, "test_dream: `way` is not a way").at_argument("way"));
    }
    Ok(thing.0 * 100 + octaves * 10 + (step * 2.0) as i64)
}

/// Options that two functions take.
#[derive(Clone, Copy, Debug, crate::lang::Options)]
struct TestOptions {
    /// How often.
    #[default(4)]
    #[range(1..)]
    octaves: i64,
    /// How far.
    #[default(1)]
    step: i64,
    /// Whether to go on.
    #[default(false)]
    again: bool,
}

/// Dreams a little of a thing.
#[function]
fn test_little(
    /// The thing.
    thing: Thing,
    /// How often at most.
    #[default(2)]
    #[range(1..=3)]
    octaves: i64,
    #[options(without(again))] options: &TestOptions,
) -> Result<i64> {
    // what is not said, or not taken, has the group's default
    Ok(thing.0 * 1000 + octaves * 100 + options.octaves * 10 + options.step + if options.again { 5000 } else { 0 })
}

/// Calls a function of the script with a thing.
#[function]
fn test_apply(
    cx: &Context<'_>,
    /// The function.
    function: FnPtr,
    /// Its argument.
    thing: Thing,
) -> Result<Dynamic> {
    cx.call(&function, vec![Dynamic::from(thing)])
}

/// The number of a thing.
#[function(property)]
fn test_number(
    /// The thing.
    thing: Thing,
) -> Result<i64> {
    Ok(thing.0)
}

#[derive(Default)]
struct Printed(RefCell<String>);

impl Reporter for Printed {
    fn progress(&self, _: &Report, _: Option<Preview<'_>>) {}
}

impl Host for Printed {
    fn print(&self, text: &str) {
        self.0.borrow_mut().push_str(text);
    }
    fn eprint(&self, _: &str) {}
    fn clear(&self, _: bool) {}
    fn input(&self, _: &str) -> Result<String> {
        Ok(String::new())
    }
    fn show(&self, _: &Dynamic, _: Option<&str>) -> Result<()> {
        Ok(())
    }
}

fn session() -> Interpreter {
    Interpreter::new(Rc::new(Printed::default()))
}

fn value(code: &str) -> i64 {
    let result = session().eval("test", code);
    result.unwrap_or_else(|error| panic!("{code}\n{}", error.report().unwrap_or("no report"))).as_int().unwrap()
}

fn fault(code: &str) -> (String, String) {
    let error = session().eval("test", code).expect_err(code);
    (error.to_string(), error.report().unwrap_or_default().to_owned())
}

#[test]
fn keyword_arguments_reach_every_kind_of_call() {
    let cases = [
        ("test_dream(test_thing(7), octaves=4)", 743),
        ("test_dream(test_thing(7), octaves=4, step=2)", 744),
        ("test_dream(test_thing(7), #{octaves: 4})", 743),
        ("test_dream(test_thing(7), octaves = 4,)", 743),
        ("let t = test_thing(7); t.test_dream(octaves=4, step=2)", 744),
        ("let octaves = 9; test_dream(test_thing(7), octaves=octaves)", 793),
        ("`${test_dream(test_thing(7), octaves=3)}${test_thing(1).test_dream(step=1, octaves=2)}`.parse_int()", 733122),
        ("let f = |z| test_dream(z, octaves=6); f.call(test_thing(7))", 763),
        ("test_dream(test_thing(7), callback=|x| { x = 1; x }, octaves=3)", 733),
        ("test_dream(test_thing(7), octaves=3, callback=|x, y| x + y)", 733),
        ("test_dream(test_thing(7), callback=|| { 1 }, octaves=3)", 733),
        ("test_dream(test_thing(7), octaves=if true {4} else {5}, step=1)", 742),
        ("test_dream(test_thing(7), octaves=[1,2,3][1], step=#{a:1}.a)", 722),
        ("test_dream(thing=test_thing(7))", 713),
        ("fn f(a, k) { a + k } f(1, k=41)", 42),
        ("let x = 1; let g = |q| q = 3; x = 5; x", 5),
        ("test_dream(test_thing(test_dream(test_thing(0), octaves=2, step=0)), octaves=3, step=0)", 2030),
        ("eval(\"test_dream(test_thing(7), octaves=4)\")", 743),
        ("let a = 1; eval(\"let b = a + 1\"); b", 2),
        ("test_apply(|t| test_dream(t, octaves=5, step=0), test_thing(2))", 250),
        ("test_thing(5).test_number + test_thing(6).test_number()", 11),
        ("test_little(test_thing(7))", 7241),
        ("test_little(test_thing(7), octaves=3, step=9)", 7339),
    ];
    for (code, expected) in cases {
        assert_eq!(value(code), expected, "{code}");
    }
}

#[test]
fn wrong_arguments_are_named_with_their_place() {
    let cases = [
        ("test_dream(test_thing(7), octave=4)", "test_dream has no argument `octave`", "did you mean `octaves`?", 27),
        ("test_dream(test_thing(7), octaves=\"no\")", "`octaves` must be an integer, not the string \"no\"", "", 35),
        ("test_dream(test_thing(7), octaves=10)", "`octaves` must be from 1 to 9, not 10", "", 35),
        ("test_dream(test_thing(7), octaves=4, octaves=5)", "`octaves` is given twice", "keep one", 38),
        ("test_dream(test_thing(7), octaves=4, 5)", "positional argument stands behind", "", 38),
        ("test_dream(3)", "`thing` must be a thing, not the integer 3", "", 12),
        ("test_dream()", "`thing` is missing", "test_dream(thing, octaves=1", 1),
        ("test_dream(test_thing(7), 4)", "takes 1 positional argument, not 2", "`octaves=`", 27),
        ("test_dream(test_thing(7), callback=|x| x + 1, octaves=3)", "run on into the next argument", "braces", 40),
        ("test_dream(test_thing(7), way=\"sideways\")", "`way` is not a way", "", 31),
        ("test_dreem(test_thing(7))", "there is no function `test_dreem`", "did you mean `test_dream`", 1),
        ("let thing = 1; thang", "there is no variable `thang`", "did you mean `thing`", 16),
        ("test_dream(test_thing(7), step=nope)", "there is no variable `nope`", "", 32),
        ("test_thing(1) + test_thing(2)", "`+` does not work on (thing, thing)", "", 15),
        ("test_thing(1).test_numbr", "has no property `test_numbr`", "did you mean `test_number`", 15),
        ("test_little(test_thing(7), octaves=4)", "`octaves` must be from 1 to 3, not 4", "", 36),
        ("test_little(test_thing(7), again=true)", "test_little has no argument `again`", "it has octaves, step", 28),
        ("import \"shoots\" as s;", "there is no module \"shoots\"", "", 8),
    ];
    for (code, message, hint, column) in cases {
        let (text, report) = fault(code);
        assert!(text.contains(message), "{code}\n{text}\n{report}");
        assert!(text.contains(hint), "{code}\n{text}");
        assert!(report.contains(&format!("test:1:{column}")), "{code}: not at column {column}\n{report}");
    }
}

#[test]
fn cells_share_variables_and_functions() {
    let mut session = session();
    session.eval("cell 1", "let a = 1; fn twice(x) { x * 2 } fn seen() { a }").unwrap();
    assert_eq!(session.eval("cell 2", "a = 20; twice(a) + 2").unwrap().as_int().unwrap(), 42);
    assert_eq!(session.eval("cell 3", "seen()").unwrap().as_int().unwrap(), 20);
    session.eval("cell 4", "fn twice(x) { x * 3 }").unwrap();
    assert_eq!(session.eval("cell 5", "twice(2)").unwrap().as_int().unwrap(), 6);
    let code = "let n = 0; fn now() { n } let sum = 0; for i in 0..4 { n += 1; sum += now(); } sum";
    assert_eq!(session.eval("cell 6", code).unwrap().as_int().unwrap(), 10);
    let code = "let early = 1; if early == 1 { return 5; } early = 2; early";
    assert_eq!(session.eval("cell 7", code).unwrap().as_int().unwrap(), 5);
    assert_eq!(session.get("early").unwrap().as_int().unwrap(), 1);
    assert_eq!(session.eval("cell 8", "fn change() { a = 5; } change(); a").unwrap().as_int().unwrap(), 5);
}

#[test]
fn an_error_keeps_what_was_made_before_it() {
    let mut session = session();
    session.eval("cell", "let kept = 41; nonsense(); let lost = 1;").unwrap_err();
    assert_eq!(session.get("kept").unwrap().as_int().unwrap(), 41);
    assert!(session.get("lost").is_none());
}

#[test]
fn a_variable_made_again_frees_the_old_value() {
    struct Counted(Rc<RefCell<usize>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            *self.0.borrow_mut() += 1;
        }
    }
    let drops = Rc::new(RefCell::new(0));
    let mut session = session();
    session.set("big", Dynamic::from(Rc::new(Counted(Rc::clone(&drops)))));
    session.eval("cell 1", "let big = 1;").unwrap();
    assert_eq!(*drops.borrow(), 1);
    assert_eq!(session.variables().len(), 1);
}

#[test]
fn an_error_in_a_function_of_an_earlier_cell_shows_that_cell() {
    let mut session = session();
    session.eval("cell 1", "// first\nfn broken(x) {\n    test_dream(x, octave=1)\n}").unwrap();
    let report = session.eval("cell 2", "let t = test_thing(1);\nbroken(t)").unwrap_err().report().unwrap().to_owned();
    assert!(report.contains("cell 1:3:19"), "{report}");
    assert!(report.contains("cell 2:2"), "{report}");
}

#[test]
fn an_endless_loop_is_stopped_and_cannot_be_caught() {
    let mut session = session();
    let interrupt = session.interrupt();
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        interrupt.raise();
    });
    let error = session.eval("cell", "let a = 7; try { loop {} } catch { a = 8; }").unwrap_err();
    stopper.join().unwrap();
    assert_eq!(error.kind(), Kind::Interrupted);
    session.interrupt().clear();
    assert_eq!(session.get("a").unwrap().as_int().unwrap(), 7);
}

#[test]
fn deep_programs_get_errors_not_crashes() {
    let (text, _) = fault("fn down(n) { down(n + 1) } down(0)");
    assert!(text.contains("nested too deep"), "{text}");
    let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(session().eval("test", &deep).unwrap_err().kind(), Kind::Script);
    let fine = format!("{}1{}", "(".repeat(50), ")".repeat(50));
    assert_eq!(value(&fine), 1);
}

#[test]
fn errors_can_be_caught_and_read() {
    assert_eq!(value("let ok = 0; try { test_dream(1) } catch (e) { ok = `${e}`.len() } ok.sign()"), 1);
}

#[test]
fn methods_may_take_their_own_value_again() {
    assert_eq!(value("let t = test_thing(3); let u = 0; t.test_dream(octaves=t.test_number)"), 333);
}

#[test]
fn functions_of_the_script_take_keywords_by_name() {
    let cases = [
        ("fn f(a) { a } f(a=3)", 3),
        ("fn f(a, b) { a - b } f(b=1, a=10)", 9),
        ("fn f(a, b) { a - b } f(10, b=1)", 9),
        ("fn f(a, b) { a - b } fn g(x) { f(b=x, a=2 * x) } g(x=4)", 4),
        ("fn f(a) { this + a } let x = 40; x.f(a=2)", 42),
        ("fn f(a) { a.k } f(#{k: 5})", 5),
        ("fn f(a) { a } fn f(a, b) { a - b } f(a=3) * 10 + f(b=1, a=2)", 31),
        ("fn f(a, options) { a + options.len() } f(1, x=1, y=2) * 10 + f(1, a2=0)", 32),
        ("fn f(a, options) { options.b + a } f(b=4, a=3)", 7),
        ("fn test_dream(a, octaves) { a + octaves } test_dream(1, octaves=2)", 3),
        ("fn f(n, step) { if n == 0 { 0 } else { step + f(n - 1, step=step) } } f(step=3, n=4)", 12),
    ];
    for (code, expected) in cases {
        assert_eq!(value(code), expected, "{code}");
    }
    let mut session = session();
    session.eval("one", "fn later(a, b) { a * 10 + b }").unwrap();
    assert_eq!(session.eval("two", "later(b=2, a=1)").unwrap().as_int().unwrap(), 12);
    for (code, part, caret) in [
        ("fn f(octaves) { octaves }\nf(octave=3)", "f has no argument `octave`", "did you mean `octaves`"),
        ("fn f(a, b) { a }\nf(1, a=3)", "`a` is given by position and by keyword", "f(1, a=3)"),
        ("fn f(a, b) { a }\nf(a=3)", "f: `b` is missing", "f(a, b)"),
        ("fn f(a) { nope + a }\nf(a=3)", "there is no variable `nope`", "in `f`, called from test:2"),
    ] {
        let (message, report) = fault(code);
        assert!(message.contains(part), "{code}: {message}");
        assert!(report.contains(caret) && !report.contains("kw_"), "{code}:\n{report}");
    }
}
