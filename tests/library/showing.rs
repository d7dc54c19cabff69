//! What the figure of an attribution says and shows: title, caption, colours and their scale.

use candle_core::{Device, Tensor};
use percept::lang::IntoValue;
use percept::model::{Input, Model};
use percept::render::{Body, Colormap, Figure, Heatmap, Span};
use percept::session::{Output, Session};
use percept::vis::Prediction;
use percept::vis::attribution::{Attribution, Sampled, Sign};
use percept::{Image, Job};

use crate::common::{report, session, value};

/// A colour from 0 to 1 that all of the image has.
const PLAIN: f32 = 0.6;

/// A map of two by two numbers over a plain image, for what the network takes it to be.
fn explained(values: [f32; 4], sign: Sign) -> Attribution {
    let image = Image::filled(227, 227, [PLAIN; 3]).unwrap();
    let prediction = Prediction::of(&Job::detached(), Model::embedded().unwrap(), &Input::from(image), None).unwrap();
    let values = Tensor::from_vec(values.to_vec(), (1, 2, 2), &Device::Cpu).unwrap();
    Attribution::new("by hand", &prediction, values, sign, "part of the score".into())
}

fn figure(attribution: &Attribution) -> Figure {
    Output::of(&attribution.clone().into_value()).unwrap().figure.unwrap()
}

/// A session that knows attributions by names.
fn knowing(known: &[(&str, Attribution)]) -> Session {
    let (mut session, _) = session();
    for (name, attribution) in known {
        session.set(name, attribution.clone().into_value());
    }
    session
}

fn shown(session: &mut Session, code: &str) -> Figure {
    let outcome = session.eval(code);
    value(&outcome);
    outcome.output.unwrap().figure.unwrap()
}

/// The figure of `map.style(…)`.
fn styled(attribution: &Attribution, style: &str) -> Figure {
    shown(&mut knowing(&[("map", attribution.clone())]), &format!("map.style({style})"))
}

fn caption(figure: &Figure) -> &str {
    figure.caption.as_deref().unwrap()
}

fn heatmap(figure: &Figure) -> &Heatmap {
    match &figure.body {
        Body::Heatmap(heatmap) => heatmap,
        other => panic!("no heat map: {other:?}"),
    }
}

fn span(figure: &Figure) -> [f32; 2] {
    let Span { low, high } = heatmap(figure).span().unwrap();
    [low, high]
}

/// The figures side by side.
fn row(figure: &Figure) -> &[Figure] {
    match &figure.body {
        Body::Row(row) => &row.figures,
        other => panic!("no row: {other:?}"),
    }
}

/// How many pictures are drawn, without the bar of a heat map.
fn pictures(figure: &Figure) -> usize {
    let bars = usize::from(matches!(figure.body, Body::Heatmap(_)));
    figure.to_svg().unwrap().matches("<image ").count() - bars
}

/// All that can be read in a figure.
fn words(figure: &Figure) -> String {
    let svg = figure.to_svg().unwrap();
    let texts = svg.split("<text ").skip(1).filter_map(|text| Some(text.split_once('>')?.1.split_once('<')?.0));
    texts.collect::<Vec<_>>().join(" ").replace("&quot;", "\"").replace("&gt;", ">").replace("&amp;", "&")
}

/// The colours of an image in its four corners, as bytes: what the four numbers of a map are shown as.
fn corners(image: &Image) -> [[u8; 3]; 4] {
    let (right, bottom) = (image.width() - 1, image.height() - 1);
    let bytes = image.to_rgb8();
    [(0, 0), (right, 0), (0, bottom), (right, bottom)].map(|(x, y)| {
        let at = 3 * (y * image.width() + x);
        [bytes[at], bytes[at + 1], bytes[at + 2]]
    })
}

/// The four corners have these places in a colour map.
fn assert_colors(figure: &Figure, colormap: Colormap, places: [f32; 4], what: &str) {
    let found = corners(&heatmap(figure).picture().unwrap());
    for (found, place) in found.iter().zip(places) {
        let expected = colormap.at(place);
        let near = found.iter().zip(expected).all(|(found, expected)| found.abs_diff(expected) <= 3);
        assert!(near, "{what}: {found:?} instead of {expected:?}");
    }
}

#[test]
fn overlay_and_heat_show_all_of_a_map_over_the_image_and_alone() {
    let map = explained([3.0, -1.0, 0.0, -2.0], Sign::Signed);
    let places = [1.0, 1.0 / 3.0, 0.5, 1.0 / 6.0];
    for (figure, both) in [(figure(&map), true), (styled(&map, "\"overlay\""), true), (styled(&map, "\"heat\""), false)]
    {
        assert_eq!(span(&figure), [-3.0, 3.0], "zero is in the middle");
        assert_colors(&figure, Colormap::Diverging, places, "a signed map");
        assert!(caption(&figure).contains("Red speaks for it, blue against it."), "{}", caption(&figure));
        assert_eq!(pictures(&figure), if both { 2 } else { 1 });
        assert!(words(&figure).contains("part of the score"), "{}", words(&figure));
    }
    let map = explained([0.0, 1.0, 2.0, 4.0], Sign::Magnitude);
    for (style, both) in [("\"overlay\"", true), ("\"heat\"", false)] {
        let figure = styled(&map, style);
        assert_eq!(span(&figure), [0.0, 4.0]);
        assert_colors(&figure, Colormap::Inferno, [0.0, 0.25, 0.5, 1.0], "magnitudes");
        assert!(caption(&figure).contains("in either direction"), "{}", caption(&figure));
        assert_eq!(pictures(&figure), if both { 2 } else { 1 });
    }
    let figure = figure(&explained([0.0, 1.0, 2.0, 4.0], Sign::Positive));
    assert!(caption(&figure).contains("Bright places speak for it."), "{}", caption(&figure));
}

#[test]
fn positive_and_negative_show_one_side() {
    let map = explained([3.0, -1.0, 0.0, -2.0], Sign::Signed);
    let figure = styled(&map, "\"positive\"");
    assert_eq!(span(&figure), [0.0, 3.0]);
    assert_colors(&figure, Colormap::Inferno, [1.0, 0.0, 0.0, 0.0], "what speaks for it");
    assert!(caption(&figure).contains("Bright places speak for it."), "{}", caption(&figure));
    let figure = styled(&map, "\"negative\"");
    assert_eq!(span(&figure), [0.0, 2.0]);
    assert_colors(&figure, Colormap::Inferno, [0.0, 0.5, 0.0, 1.0], "what speaks against it");
    assert!(caption(&figure).contains("Bright places speak against it."), "{}", caption(&figure));
}

#[test]
fn a_masked_image_is_as_bright_as_the_map() {
    let map = explained([0.0, 1.0, 2.0, 4.0], Sign::Positive);
    let figure = styled(&map, "\"masked\"");
    let Body::Picture(image) = &figure.body else { panic!("no picture") };
    let grey = |place: f32| PLAIN * (0.12 + 0.88 * place) * 255.0;
    for (found, place) in corners(image).iter().zip([0.0, 0.25, 0.5, 1.0]) {
        assert!((f32::from(found[0]) - grey(place)).abs() < 2.0, "{found:?} instead of {}", grey(place));
        assert!(found[0] == found[1] && found[1] == found[2], "{found:?}");
    }
    let caption = caption(&figure);
    assert!(caption.contains("The brighter, the larger the map. From 0 to 4: part of the score."), "{caption}");
    assert_eq!(pictures(&figure), 1);
}

#[test]
fn a_range_of_ones_own_is_the_scale() {
    let map = explained([3.0, -1.0, 0.0, -2.0], Sign::Signed);
    let figure = styled(&map, "\"heat\", range=[-6, 6]");
    assert_eq!(span(&figure), [-6.0, 6.0]);
    assert_colors(&figure, Colormap::Diverging, [0.75, 5.0 / 12.0, 0.5, 1.0 / 3.0], "half the colours");
    assert!(words(&figure).contains("−6") && words(&figure).contains("6"), "{}", words(&figure));
    assert_eq!(span(&styled(&map, "\"positive\", range=[-6, 6]")), [0.0, 6.0]);
    let mut session = knowing(&[("map", map)]);
    for (code, words) in [
        ("map.style(\"bright\")", "`style` must be \"overlay\", \"heat\", \"positive\", \"negative\""),
        ("map.style(\"heat\", range=[3, 1])", "the lower number stands first"),
        ("map.style(\"heat\", range=[1, 1])", "the lower number stands first"),
        ("map.style(\"heat\", range=[1])", "has 1 numbers; [low, high] has 2"),
    ] {
        let text = report(&session.eval(code).error.unwrap());
        assert!(text.contains(words), "{code}: {text}");
    }
}

#[test]
fn a_style_changes_no_number() {
    let map = explained([3.0, -1.0, 0.0, -2.0], Sign::Signed);
    let mut session = knowing(&[("map", map)]);
    for style in ["overlay", "heat", "positive", "negative", "masked"] {
        let code = format!("map.style(\"{style}\").values == map.values && map.style(\"{style}\").score == map.score");
        assert_eq!(value(&session.eval(&code)), "true", "{style}");
    }
    // the first is as it was
    assert_eq!(pictures(&shown(&mut session, "map")), 2);
}

#[test]
fn maps_are_compared_on_one_scale_or_each_on_its_own_and_it_is_said() {
    let small = explained([0.0, 1.0, 2.0, 1.0], Sign::Positive);
    let large = explained([0.0, 8.0, 1.0, 4.0], Sign::Positive);
    let signed = explained([1.0, -16.0, 1.0, 4.0], Sign::Signed);
    let mut session = knowing(&[("small", small), ("large", large), ("signed", signed)]);

    for own in ["", ", scale=\"own\""] {
        let figure = shown(&mut session, &format!("compare([small, large], titles=[\"Small\", \"Large\"]{own})"));
        let [first, second] = row(&figure) else { panic!("not two") };
        assert_eq!([span(first), span(second)], [[0.0, 2.0], [0.0, 8.0]]);
        assert_colors(first, Colormap::Inferno, [0.0, 0.5, 1.0, 0.5], "on its own scale");
        for one in [first, second] {
            assert!(caption(one).ends_with("On a scale of its own."), "{}", caption(one));
            assert!(!caption(one).contains("share"), "{}", caption(one));
        }
    }
    let figure = shown(&mut session, "compare([small, large], titles=[\"Small\", \"Large\"], scale=\"shared\")");
    let [first, second] = row(&figure) else { panic!("not two") };
    assert_eq!([span(first), span(second)], [[0.0, 8.0]; 2]);
    assert_colors(first, Colormap::Inferno, [0.0, 0.125, 0.25, 0.125], "on the larger one's scale");
    for (one, title) in [(first, "Small"), (second, "Large")] {
        assert_eq!(one.title.as_deref(), Some(title));
        assert!(caption(one).ends_with("On the scale that all share."), "{}", caption(one));
        assert_eq!(pictures(one), 1, "the image is not shown again");
    }
    // with a signed map among them, below zero too
    let figure = shown(&mut session, "compare([signed, signed.style(\"heat\")], scale=\"shared\")");
    assert!(row(&figure).iter().all(|one| span(one) == [-16.0, 16.0]));
    assert!(
        row(&figure).iter().all(|one| one.title.as_deref().is_some_and(|title| title.starts_with("By hand for \"")))
    );

    // one style for all
    let figure = shown(&mut session, "compare([signed, signed], style=\"negative\", scale=\"own\")");
    assert!(row(&figure).iter().all(|one| span(one) == [0.0, 16.0]));
    let figure = shown(&mut session, "compare([small, large], style=\"masked\", scale=\"shared\")");
    for one in row(&figure) {
        assert!(matches!(one.body, Body::Picture(_)) && caption(one).contains("From 0 to 8:"), "{}", caption(one));
    }
    for (code, words) in [
        ("compare([small, large], titles=[\"Small\"])", "compare: there are 1 titles for 2 attributions"),
        ("compare([small], scale=\"log\")", "`scale` must be \"own\" or \"shared\""),
        ("compare([small, 3])", "must hold an attribution at [1]"),
        ("compare(small)", "`attributions` must be a list"),
    ] {
        let text = report(&session.eval(code).error.unwrap());
        assert!(text.contains(words), "{code}: {text}");
    }
}

#[test]
fn a_map_in_which_nothing_speaks_for_it_is_said_in_words() {
    let blank = "The map is blank: every number in it is 0.";
    let against = "Everything speaks against it: no number of the map is positive.";
    for sign in [Sign::Signed, Sign::Positive, Sign::Magnitude] {
        let map = explained([0.0; 4], sign);
        for style in ["overlay", "heat", "positive", "negative", "masked"] {
            let figure = styled(&map, &format!("\"{style}\""));
            assert!(caption(&figure).contains(blank), "{sign:?}, {style}: {}", caption(&figure));
            assert!(!caption(&figure).contains("speak"), "{sign:?}, {style}: {}", caption(&figure));
            assert!(figure.render().unwrap().width() > 200, "it can be drawn");
        }
    }
    let map = explained([-1.0, -2.0, -0.5, 0.0], Sign::Signed);
    for style in ["overlay", "heat", "positive"] {
        let figure = styled(&map, &format!("\"{style}\""));
        assert!(caption(&figure).contains(against), "{style}: {}", caption(&figure));
        assert!(figure.render().unwrap().width() > 200, "it can be drawn");
    }
    assert_eq!(span(&figure(&map)), [-2.0, 2.0], "all of it is blue");
    let some = caption(&figure(&explained([-1.0, -2.0, 0.1, 0.0], Sign::Signed))).to_owned();
    assert!(!some.contains(against) && !some.contains(blank), "{some}");

    // methods that end in such maps
    let (mut session, _) = session();
    let same = shown(&mut session, "deep_lift(photo(\"chelsea\"), baseline=photo(\"chelsea\"))");
    assert!(caption(&same).contains(blank), "{}", caption(&same));
    let cut = shown(&mut session, "grad_cam(photo(\"chelsea\"), target=-1 * class_score(\"tabby\"))");
    assert!(
        caption(&cut).contains(blank) && caption(&cut).contains("100 % of the evidence spoke against it"),
        "{}",
        caption(&cut)
    );
}

#[test]
fn the_title_says_what_is_explained() {
    let (mut session, recorder) = session();
    value(&session.eval("let cat = photo(\"chelsea\");"));
    for (call, title, unit) in [
        ("saliency(cat)", "Saliency for \"Egyptian cat\"", "|gradient| of the \"Egyptian cat\" logit"),
        ("saliency(cat, class=\"tabby\")", "Saliency for \"tabby\"", "of the \"tabby\" logit"),
        (
            "saliency(cat, target=class_score(\"tabby\") - class_score(\"tiger cat\"))",
            "Saliency for \"tabby\" logit − \"tiger cat\" logit",
            "of the target (\"tabby\" logit − \"tiger cat\" logit)",
        ),
        (
            "saliency(cat, target=neuron(\"fire3\", 5, y=10, x=20))",
            "Saliency for fire3, unit 5 at y=10, x=20",
            "fire3, unit 5 at y=10, x=20",
        ),
        ("saliency(cat, target=neuron(\"fire5\", 12))", "Saliency for fire5, unit 12 at the middle", "fire5, unit 12"),
        (
            "input_x_gradient(cat, target=channel(\"fire3\", 5))",
            "Gradient × input for fire3, channel 5",
            "fire3, channel 5",
        ),
        (
            "saliency(cat, target=|a| a[\"fire3\"][5].mean() - 0.5 * a[\"conv1\"].mean())",
            "Saliency for a function of fire3, conv1",
            "a function of fire3, conv1",
        ),
        (
            "occlusion(cat, window=120, stride=107, target=class_score(\"tabby\", of=\"probability\"))",
            "Occlusion for \"tabby\"",
            "\"tabby\" probability",
        ),
        ("grad_cam(cat, class=\"tabby\")", "Grad-CAM for \"tabby\"", "evidence for \"tabby\" logit"),
        ("rise(cat, samples=3, seed=1, class=\"tabby\")", "RISE for \"tabby\"", "\"tabby\""),
        ("lrp(cat, target=channel(\"fire5\", 12))", "Relevance propagation for fire5, channel 12", "fire5, channel 12"),
    ] {
        let figure = shown(&mut session, call);
        assert_eq!(figure.title.as_deref(), Some(title), "{call}");
        let words = words(&figure);
        assert!(words.contains(title), "{call}: {words}");
        assert!(words.replacen(title, "", 1).contains(unit), "the bar says what it measures, {call}: {words}");
    }
    // what the network answers to the whole image stands below
    let figure = shown(&mut session, "saliency(cat, class=\"tabby\")");
    assert!(caption(&figure).starts_with("The network gives \"tabby\" "), "{}", caption(&figure));
    let figure = shown(&mut session, "saliency(cat, target=channel(\"fire3\", 5))");
    assert!(caption(&figure).starts_with("For the whole image: "), "{}", caption(&figure));
    // a title of one's own
    value(&session.eval("show(saliency(cat), title=\"My cat\")"));
    let figure = recorder.shown.borrow()[0].figure.clone().unwrap();
    assert_eq!(figure.title.as_deref(), Some("My cat"));
    assert!(words(&figure).contains("My cat") && !words(&figure).contains("Saliency for"), "{}", words(&figure));
}

#[test]
fn maps_over_the_depth_say_their_layers() {
    let (mut session, _) = session();
    let figure = shown(&mut session, "grad_cam(photo(\"chelsea\"), layer=\"all\")");
    let figures = row(&figure);
    assert_eq!(figures.len(), 8);
    for (number, one) in (2..).zip(figures) {
        let title = one.title.as_deref().unwrap();
        assert!(title.starts_with("Grad-CAM") && title.contains(&format!("fire{number}")), "{title}");
        let around = format!("{title} {}", caption(one));
        assert!(around.contains("\"Egyptian cat\""), "what is explained, not at the bar alone: {around}");
        assert!(words(one).contains("evidence for \"Egyptian cat\" logit"), "{}", words(one));
        let side = [56, 56, 28, 28, 14, 14, 14, 14][number - 2];
        assert!(caption(one).contains(&format!("From the {side}×{side} maps of layer")), "{}", caption(one));
        assert_eq!(pictures(one), 1, "the image is not shown again");
    }
}

#[test]
fn what_a_sampled_map_rests_on_is_said() {
    let sampled = |samples, most, stability| {
        let errors = Tensor::from_vec(vec![0.01f32, 0.02, 0.25, 0.0], (1, 2, 2), &Device::Cpu).unwrap();
        let map = explained([0.0, 1.0, 2.0, 4.0], Sign::Positive).with_standard_error(errors);
        caption(&figure(&Attribution { sampled: Some(Sampled { samples, most, stability }), ..map })).to_owned()
    };
    let enough = sampled(300, 4000, Some(0.93));
    assert!(enough.contains("300 of 4000 samples, standard error up to 0.2500."), "{enough}");
    assert!(enough.contains("Ranking resolved: 93 % of the top tenth is sure."), "{enough}");
    let few = sampled(40, 40, Some(0.4));
    assert!(few.contains("40 samples, standard error") && !few.contains("of 40 samples"), "{few}");
    assert!(few.contains("Ranking not resolved: only 40 % of the top tenth is sure."), "{few}");
    let fewest = sampled(3, 3, None);
    assert!(fewest.contains("Ranking not resolved: too few samples to say."), "{fewest}");
    let plain = caption(&figure(&explained([0.0, 1.0, 2.0, 4.0], Sign::Positive))).to_owned();
    assert!(!plain.contains("samples") && !plain.contains("Ranking"), "{plain}");

    // of real ones
    let (mut session, _) = session();
    let few = shown(&mut session, "rise(photo(\"chelsea\"), samples=3, seed=1)");
    assert!(
        caption(&few).contains("3 samples, standard error up to ") && caption(&few).contains("not resolved"),
        "{}",
        caption(&few)
    );
}

#[test]
fn where_a_scale_ends_before_the_greatest_number_it_is_said() {
    let (mut session, _) = session();
    // single pixels stand far above all others
    let pixels = shown(&mut session, "saliency(photo(\"chelsea\"))");
    let [low, high] = span(&pixels);
    let most = value(&session.eval("saliency(photo(\"chelsea\")).map.max().item()")).parse::<f32>().unwrap();
    assert!(low == 0.0 && high > 0.0 && high < 0.8 * most, "{high} of {most}");
    assert!(
        caption(&pixels).contains("The scale ends where 0.5 % of the pixels are beyond it."),
        "{}",
        caption(&pixels)
    );
    // the coarse maps of a layer are shown whole
    let places = shown(&mut session, "grad_cam(photo(\"chelsea\"))");
    assert!(!caption(&places).contains("The scale ends"), "{}", caption(&places));
    let ranged = shown(&mut session, "saliency(photo(\"chelsea\")).style(\"heat\", range=[0, 1])");
    assert!(span(&ranged) == [0.0, 1.0] && !caption(&ranged).contains("The scale ends"), "{}", caption(&ranged));
}

/// A map of single pixels: 100 stand far above all others, which have one number.
fn spiky(high: f32, others: f32) -> Attribution {
    let mut values = vec![others; 227 * 227];
    values[..100].fill(high);
    let values = Tensor::from_vec(values, (1, 227, 227), &Device::Cpu).unwrap();
    Attribution { values, ..explained([0.0; 4], Sign::Signed) }
}

#[test]
fn a_masked_image_of_a_signed_map_states_the_scale_it_has() {
    let figure = styled(&explained([3.0, -1.0, 0.0, -2.0], Sign::Signed), "\"masked\"");
    let Body::Picture(image) = &figure.body else { panic!("no picture") };
    // as bright as on a scale from -3 to 3
    let found = f32::from(corners(image)[2][0]) / 255.0;
    assert!((found - PLAIN * (0.12 + 0.88 * 0.5)).abs() < 0.01, "{found}");
    assert!(caption(&figure).contains("From −3 to 3:"), "{}", caption(&figure));
}

#[test]
fn a_masked_image_of_a_clipped_signed_map_states_the_scale_it_has() {
    let figure = styled(&spiky(100.0, -1.0), "\"masked\"");
    assert!(caption(&figure).contains("From −1 to 1:"), "{}", caption(&figure));
    let figure = styled(&spiky(-100.0, 1.0), "\"masked\"");
    assert!(caption(&figure).contains("From −1 to 1:"), "{}", caption(&figure));
}

#[test]
fn a_masked_image_of_small_numbers_states_them() {
    let figure = styled(&explained([0.0, 1e-5, 2e-5, 4e-5], Sign::Magnitude), "\"masked\"");
    assert!(!caption(&figure).contains("From 0.000 to 0.000"), "{}", caption(&figure));
}

#[test]
fn a_side_with_nothing_on_it_is_said_in_words() {
    let figure = styled(&explained([0.0, 1.0, 2.0, 4.0], Sign::Signed), "\"negative\"");
    assert!(!caption(&figure).contains("Bright places speak against it."), "{}", caption(&figure));
}

#[test]
fn where_the_scale_of_one_side_ends_is_said_of_that_side() {
    // what speaks against it is 1 everywhere: that scale is whole
    let figure = styled(&spiky(100.0, -1.0), "\"negative\"");
    assert_eq!(span(&figure)[1], 1.0);
    assert!(!caption(&figure).contains("The scale ends"), "{}", caption(&figure));
    // what speaks for it is at 100 pixels only
    let figure = styled(&spiky(100.0, -1.0), "\"positive\"");
    let whole = span(&figure)[1] == 100.0;
    assert_eq!(whole, !caption(&figure).contains("The scale ends"), "{}", caption(&figure));
}

#[test]
fn the_scale_of_a_unit_with_a_small_receptive_field_is_not_its_rounding() {
    let (mut session, _) = session();
    value(&session.eval("let map = saliency(photo(\"chelsea\"), target=neuron(\"fire3\", 5, y=10, x=20));"));
    let most = value(&session.eval("map.map.max().item()")).parse::<f32>().unwrap();
    let [_, high] = span(&shown(&mut session, "map"));
    assert!(high > 1e-3 * most, "the colours end at {high}, the greatest number is {most}");
}

#[test]
fn units_of_other_targets_are_grammatical() {
    let (mut session, _) = session();
    let figure = shown(&mut session, "saliency(photo(\"chelsea\"), target=|a| a[\"fire3\"][5].mean())");
    assert!(!words(&figure).contains("of the a function"), "{}", words(&figure));
    let figure = shown(&mut session, "saliency(photo(\"chelsea\"), target=channel(\"fire3\", 5))");
    assert!(!words(&figure).contains("of the fire3"), "{}", words(&figure));
}
