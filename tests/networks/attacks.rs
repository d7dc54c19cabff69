//! Adversarial attacks against torchattacks, on the same weights and images (tools/golden/attacks.py): at the same size
//! of the perturbation as many images fool the network, though here all of them have 8 bits.
use std::path::{Path, PathBuf};

use percept::Image;
use percept::lang::Dynamic;
use percept::vis::fooling::Fooled;

use crate::common::{report, session};

/// The side of an image in the sheet.
const SIDE: usize = 227;

#[derive(serde::Deserialize)]
struct Golden {
    /// The class of each image.
    own: Vec<usize>,
    /// Every so many levels of a result are kept.
    step: usize,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    /// A line of the language, in which `img` is the image.
    code: String,
    success: Vec<bool>,
    success_at_8_bits: Vec<bool>,
    l2: Vec<f64>,
    #[serde(default)]
    levels: Vec<Vec<u8>>,
}

fn golden() -> (Golden, Vec<Image>) {
    let file = |name: &str| -> PathBuf { Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name) };
    let golden: Golden = serde_json::from_slice(&std::fs::read(file("attacks.json")).unwrap()).unwrap();
    let sheet = Image::load(file("attacks.png")).unwrap();
    let images = (0..golden.own.len()).map(|index| sheet.crop(SIDE * index, 0, SIDE, SIDE).unwrap()).collect();
    (golden, images)
}

/// What a line of the language makes of each image.
fn run(code: &str, images: &[Image]) -> Vec<Fooled> {
    let (mut session, _recorder) = session();
    let fooled = |image: &Image| {
        session.set("img", Dynamic::from(image.clone()));
        let outcome = session.eval(&format!("let fooled = {code};"));
        if let Some(error) = &outcome.error {
            panic!("{code}\n{}", report(error));
        }
        session.get("fooled").unwrap().try_cast().expect("an adversarial example")
    };
    images.iter().map(fooled).collect()
}

fn count(success: impl IntoIterator<Item = bool>) -> usize {
    success.into_iter().filter(|success| *success).count()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Whatever an attack returns fools the network as often as that of torchattacks does, before and after rounding.
#[test]
fn attacks_succeed_as_often_as_those_of_torchattacks() {
    let (golden, images) = golden();
    let mut faults = Vec::new();
    for case in &golden.cases {
        let results = run(&case.code, &images);
        for (result, own) in results.iter().zip(&golden.own) {
            assert_eq!(result.own.before.class, *own, "{}: the networks disagree", case.code);
            let levels = result.image.planes().iter().map(|value| value * 255.0);
            assert!(levels.clone().all(|level| (level - level.round()).abs() < 1e-4), "{}: no 8-bit image", case.code);
        }
        let ours = count(results.iter().map(|result| result.success));
        let theirs = count(case.success.iter().copied());
        let rounded = count(case.success_at_8_bits.iter().copied());
        println!("{}: {ours} of {}; torchattacks {theirs}, at 8 bits {rounded}", case.code, images.len());
        if ours < theirs.max(rounded) {
            faults.push(format!("{}: {ours} succeed, of torchattacks {theirs} and {rounded}", case.code));
        }
        for (index, (result, levels)) in results.iter().zip(&case.levels).enumerate() {
            let ours = result.image.planes().iter().step_by(golden.step).map(|value| (value * 255.0).round() as u8);
            assert_eq!(ours.len(), levels.len());
            // a slope of about nothing may have either sign: rounding decides
            let other = ours.zip(levels).filter(|(ours, theirs)| ours != *theirs).count();
            println!("  image {index}: {other} of {} levels differ", levels.len());
            if other * 100 > levels.len() {
                faults.push(format!("{}: {other} of {} levels differ at image {index}", case.code, levels.len()));
            }
        }
    }
    assert!(golden.cases.len() >= 10, "{} cases", golden.cases.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The perturbation before it is rounded is torchattacks'; after that it fools still, and is no longer. Without the
/// rule by which torchattacks stops, it is shorter.
#[test]
fn carlini_wagner_goes_as_far_as_that_of_torchattacks() {
    let (golden, images) = golden();
    let case = golden.cases.iter().find(|case| case.name == "Carlini–Wagner").unwrap();
    let theirs = median(case.l2.clone());
    let unrounded = run(&case.code, &images).iter().map(|result| result.unrounded_l2.unwrap()).collect();
    let unrounded = median(unrounded);
    assert!((unrounded / theirs - 1.0).abs() < 0.05, "{unrounded} {theirs}");
    let results = run("carlini_wagner(img, steps=25)", &images);
    assert!(results.iter().all(|result| result.success));
    let ours = median(results.iter().map(|result| result.l2).collect());
    println!("median L2 {ours} at 8 bits, {unrounded} before; torchattacks {theirs}");
    assert!(ours <= theirs, "{ours} {theirs}");
}

#[test]
fn deepfool_goes_no_further_than_that_of_torchattacks() {
    let (golden, images) = golden();
    let case = golden.cases.iter().find(|case| case.name == "DeepFool").unwrap();
    let results = run(&case.code, &images);
    for (result, theirs) in results.iter().zip(&case.l2) {
        let ours = result.unrounded_l2.unwrap();
        println!("unrounded {ours:.4}, torchattacks {theirs:.4}; at 8 bits {:.4}", result.l2);
        assert!((0.7..1.3).contains(&(ours / theirs)), "{ours} {theirs}");
    }
    let ours = median(results.iter().map(|result| result.unrounded_l2.unwrap()).collect());
    assert!(ours <= 1.05 * median(case.l2.clone()), "{ours}");
}
