//! Completion where a person would press Tab: `|` is the cursor.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::rc::Rc;

use super::super::{Completeness, Session, Silent};

fn session() -> Session {
    let mut session = Session::new(Rc::new(Silent));
    let cell = r#"
        let m = model("squeezenet1_1");
        let img = photo("china");
        let list = [img, 2];
        let map = #{ first: img, second: 1 };
        fn mine(thing, other) { thing }
    "#;
    assert!(session.eval(cell).error.is_none());
    session
}

/// The texts that could be inserted at the `|`.
fn texts(session: &Session, marked: &str) -> Vec<String> {
    let (before, after) = marked.split_once('|').unwrap_or_else(|| panic!("no cursor in {marked}"));
    let completion = session.complete(&format!("{before}{after}"), before.chars().count());
    completion.candidates.into_iter().map(|candidate| candidate.text).collect()
}

/// Asks for several places at once: what must be offered, and what must not.
fn check(cases: &[(&str, &[&str], &[&str])]) {
    let session = session();
    for (marked, wanted, unwanted) in cases {
        let found = texts(&session, marked);
        for text in *wanted {
            assert!(found.iter().any(|found| found == text), "{marked}: no {text} in {found:?}");
        }
        for text in *unwanted {
            assert!(!found.iter().any(|found| found == text), "{marked}: {text} in {found:?}");
        }
    }
}

#[test]
fn names_and_keyword_arguments() {
    check(&[
        ("dre|", &["dream"], &[]),
        ("im|", &["img", "import"], &[]),
        ("dream(img, oct|", &["octaves=", "octave_scale="], &["img"]),
        ("dream(img, octaves=2, |", &["layer="], &["octaves=", "dream", "img"]),
        ("dream(img, octaves=|", &[], &["layer=", "img"]),
        ("dream(img, layer=|", &["\""], &["img", "layer="]),
        ("dream(|", &["img"], &["m", "list"]),
        ("|", &["img", "dream"], &["let", "chop"]),
        ("prin|", &["print"], &[]),
        ("img.dream(|", &["octaves=", "octave_scale="], &[]),
        ("let xyz = 1; xy|", &["xyz"], &[]),
        ("for pict in list { pic|", &["pict"], &[]),
        ("let mod|", &[], &["model"]),
        ("?drea|", &["dream"], &[]),
        (":va|", &["vars"], &[]),
        (":time drea|", &["dream"], &[]),
    ]);
    assert_eq!(texts(&session(), "dream(photo(\"china\"), oct|"), ["octaves=", "octave_scale=", "octave_order="]);
}

#[test]
fn methods_of_what_stands_in_front_of_the_dot() {
    check(&[
        ("img.|", &["resize", "width", "dream"], &["layers", "push"]),
        ("m.|", &["layers", "layer", "classes"], &["resize"]),
        ("photo(\"china\").|", &["resize"], &["layers"]),
        ("layer(m, \"conv1\").|", &["weights"], &["resize", "layers"]),
        ("layer(\"conv1\").|", &["weights"], &["resize"]),
        ("m.layer(\"conv1\").weights().|", &["shape"], &["layers"]),
        ("photo(\"china\").resize(10, 10).wid|", &["width"], &[]),
        ("(1 + photo(\"china\")).|", &["resize"], &["layers"]),
        ("list[0].|", &["resize"], &["layers"]),
        ("list.|", &["push", "len"], &["resize"]),
        ("map.|", &["first", "second", "keys"], &["resize"]),
        ("map.first.|", &["resize"], &["layers"]),
        ("\"text\".|", &["to_upper"], &["resize"]),
        ("[1, 2].|", &["push"], &["resize"]),
        ("let later = photo(\"china\"); later.|", &["resize"], &["layers"]),
        ("print(`${img.|", &["resize"], &["layers"]),
    ]);
}

#[test]
fn texts_of_arguments() {
    check(&[
        ("photo(\"chi|", &["china\""], &["coffee\""]),
        ("photo(|", &["\"china\""], &[]),
        ("photo(\"chi|\")", &["china"], &["china\""]),
        ("gallery(\"mam|", &["mammal/"], &[]),
        ("gallery(\"mammal/ko|", &["mammal/koala\""], &[]),
        ("gallery(\"koal|", &["mammal/koala\""], &[]),
        ("layer(m, \"conv2|", &["conv2\"", "conv20\""], &[]),
        ("layer(\"fire2/|", &["fire2/squeeze1x1\""], &[]),
        ("m.layer(\"features.3.sq|", &["features.3.squeeze\""], &[]),
        ("model(\"resnet18\").layer(\"layer4|", &["layer4.0.conv1\""], &["features.0\""]),
        ("dream(img, layer=\"fire|", &["fire7\""], &[]),
        ("dream(img, octaves=2, layer=`fire|", &["fire7`"], &[]),
        ("saliency(img, class=\"Egy|", &["Egyptian cat\""], &[]),
        ("saliency(img, class=\"egyptian c|", &["Egyptian cat\""], &[]),
        ("saliency(img, class=\"cat|", &["Egyptian cat\"", "catamaran\""], &[]),
        ("img.saliency(class=\"tiger|", &["tiger cat\""], &[]),
        ("model(\"squeeze|", &["squeezenet1_1\""], &[]),
        ("model(\"vgg16\", weights=\"ra|", &["random\""], &["vgg16\""]),
        ("load_image(\"assets/pho|", &["assets/photos/"], &[]),
        ("load_image(\"assets/photos/chi|", &["assets/photos/china.jpg\""], &[]),
        (":load scripts/to|", &["scripts/tour.rhai"], &[]),
        ("print(\"chi|", &[], &["china\""]),
        ("photo(`${img} chi|", &[], &["china`"]),
        ("// photo(\"chi|", &[], &["china\""]),
    ]);
}

#[test]
fn the_signature_of_the_call_being_typed() {
    let session = session();
    let current = |before: &str| {
        let signature = session.signature_at(before).unwrap_or_else(|| panic!("{before}"));
        signature.current.map(|range| signature.text[range].to_owned()).unwrap_or_default()
    };
    assert_eq!(current("dream("), "image");
    assert_eq!(current("dream(img, octaves="), "octaves=4");
    assert_eq!(current("dream(img, "), "");
    assert_eq!(current("layer(m, \"con"), "name");
    assert_eq!(current("m.layer(\"con"), "name");
    assert_eq!(current("img.resize("), "width");
    assert_eq!(current("plain(64, 64, color=[1.0, "), "color=[0.5, 0.5, 0.5]");
    assert_eq!(current("mine(1, "), "other");
    assert!(session.signature_at("dream(img)").is_none());
    assert!(session.signature_at("dream(photo(").unwrap().text.starts_with("photo("));
}

#[test]
fn a_next_line_is_indented_as_its_brackets_say() {
    let session = session();
    let indent = |code: &str| match session.is_complete(code) {
        Completeness::Incomplete(spaces) => Some(spaces),
        _ => None,
    };
    assert_eq!(indent("for x in 0..3 {"), Some(4));
    assert_eq!(indent("dream(photo("), Some(4));
    assert_eq!(indent("for x in 0..3 {\n    if x > 1 {"), Some(8));
    assert_eq!(indent("for x in 0..3 {\n    if x > 1 {\n    }"), Some(4));
    assert_eq!(indent("let x ="), Some(4));
    assert_eq!(indent("`a string"), Some(0));
    assert_eq!(indent("for x in list"), Some(0));
    assert_eq!(indent("1 + 1"), None);
    assert_eq!(indent(":vars"), None);
    assert_eq!(indent("?dream"), None);
    assert_eq!(indent("f(§"), None);
    // a string in double quotes ends with its line
    assert_eq!(indent("let s = \"open"), None);
    assert_eq!(indent("print(`${a} \"open"), Some(0));
    assert_eq!(session.indentation("for x in 0..3 {\n    print(x);"), 4);
    assert_eq!(session.indentation("print(1);"), 0);
}

#[test]
fn pieces_of_half_typed_text() {
    use super::super::TokenKind::*;
    let session = session();
    let looks = |code: &str| -> Vec<(String, super::super::TokenKind)> {
        session
            .highlights(code)
            .into_iter()
            .map(|highlight| (code[highlight.range].to_owned(), highlight.kind))
            .collect()
    };
    let expect = |code: &str, wanted: &[(&str, super::super::TokenKind)]| {
        let wanted: Vec<_> = wanted.iter().map(|(text, look)| ((*text).to_owned(), *look)).collect();
        assert_eq!(looks(code), wanted, "{code}");
    };
    expect(
        "let x = f(1.5, y=\"a b\") // so",
        &[
            ("let", Keyword),
            ("x", Name),
            ("=", Symbol),
            ("f", Function),
            ("(", Bracket),
            ("1.5", Number),
            (",", Symbol),
            ("y", Argument),
            ("=", Symbol),
            ("\"a b\"", Text),
            (")", Bracket),
            ("// so", Comment),
        ],
    );
    expect(
        "`é${a} \"z\" ${b}`+c",
        &[
            ("`é$", Text),
            ("{", Bracket),
            ("a", Name),
            ("}", Bracket),
            (" \"z\" $", Text),
            ("{", Bracket),
            ("b", Name),
            ("}", Bracket),
            ("`", Text),
            ("+", Symbol),
            ("c", Name),
        ],
    );
    expect("f(\"open", &[("f", Function), ("(", Bracket), ("\"open", Text)]);
    expect("a § \"b\"", &[("a", Name), ("§", Wrong), ("\"b\"", Text)]);
    expect("x /* open", &[("x", Name), ("/* open", Comment)]);
    expect(
        "f(/* c */ y=1)",
        &[
            ("f", Function),
            ("(", Bracket),
            ("/* c */", Comment),
            ("y", Argument),
            ("=", Symbol),
            ("1", Number),
            (")", Bracket),
        ],
    );
}

/// Every prefix of a text can be coloured and completed; the highlights are in order and apart.
#[test]
fn no_half_typed_text_breaks_anything() {
    let session = session();
    let code = "let s = `x${dream(img, layer=\"fire7\", octaves=[1, #{a: 'c'}])} é`; // ü\n/* a */ m.layer(\"conv\").§ #\"raw\"# x?.y[0]() ++";
    for (at, _) in code.char_indices().chain([(code.len(), ' ')]) {
        let text = &code[..at];
        let mut end = 0;
        for highlight in session.highlights(text) {
            assert!(highlight.range.start >= end && highlight.range.end <= text.len(), "{text}");
            assert!(text.get(highlight.range.clone()).is_some(), "{text}");
            end = highlight.range.end;
        }
        let _ = session.complete(text, text.chars().count());
        let _ = session.signature_at(text);
        let _ = session.is_complete(text);
        let _ = session.indentation(text);
    }
}
