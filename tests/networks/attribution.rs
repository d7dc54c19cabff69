//! Attribution methods against Captum, or the code of their papers, on the same weights and images.
//!
//! Every file of tests/golden/attribution is read: it holds images, cases (a line of the language each) and what they give.
//! tools/golden/attribution has a script for each.
use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use percept::lang::Dynamic;
use percept::model::Model;
use percept::{Image, tensor::TensorValue};

use crate::common::{report, session};
use crate::made_up::made_up;
use crate::toys::toy;

/// Largest difference, relative to the largest value.
const TOLERANCE: f64 = 1e-3;

#[derive(serde::Deserialize)]
struct Case {
    network: String,
    code: String,
    class: i64,
    shape: Vec<usize>,
    /// Every so many values are kept.
    step: usize,
    norm: f64,
    /// How far rounding the input moves the result in double precision, relative to its largest value: gradients jump where a
    /// rectifier passes its kink.
    #[serde(default)]
    rounding: f64,
}

/// The cases of a file.
fn cases(path: &Path) -> Vec<Case> {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap()
}

/// The networks that were made already.
type Made = HashMap<String, Model>;

fn network(name: &str, made: &mut Made) -> Model {
    if name == Model::EMBEDDED {
        return Model::embedded().unwrap();
    }
    made.entry(name.to_owned()).or_insert_with(|| toy(name).unwrap_or_else(|| made_up(name))).clone()
}

/// Bytes [3, height, width] as an image.
fn image(bytes: &Tensor) -> Image {
    let (_, height, width) = bytes.dims3().unwrap();
    let values: Vec<f32> =
        bytes.flatten_all().unwrap().to_vec1::<u8>().unwrap().iter().map(|b| f32::from(*b) / 255.0).collect();
    Image::from_planes(width, height, values, None).unwrap()
}

/// How far the language's result is from the golden one, relative to its largest value.
fn difference(case: &Case, model: Model, image: Image, golden: &Tensor) -> f64 {
    let (mut session, _recorder) = session();
    session.set("img", Dynamic::from(image));
    session.set("m", Dynamic::from(model));
    let outcome = session.eval(&format!("let result = {}; classify(img, model=m).class", case.code));
    if let Some(error) = &outcome.error {
        panic!("{}\n{}", case.code, report(error));
    }
    assert_eq!(outcome.output.unwrap().text, case.class.to_string(), "{}: the networks disagree", case.code);
    let result: TensorValue = session.get("result").unwrap().try_cast().expect("a tensor");
    assert_eq!(result.inner().dims(), case.shape, "{}", case.code);
    let golden: Vec<f32> = golden.flatten_all().unwrap().to_vec1().unwrap();
    let greatest = golden.iter().fold(0f32, |greatest, value| greatest.max(value.abs()));
    assert!(greatest > 0.0, "{} is worth nothing", case.code);
    let values = result.values().unwrap();
    let kept: Vec<f32> = values.iter().step_by(case.step).copied().collect();
    assert_eq!(kept.len(), golden.len(), "{}", case.code);
    let worst = kept.iter().zip(&golden).fold(0f32, |worst, (ours, theirs)| worst.max((ours - theirs).abs()));
    let norm = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    f64::from(worst / greatest).max((norm - case.norm).abs() / case.norm)
}

#[test]
fn attributions_agree_with_the_reference_implementations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/attribution");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 1);
    let images = folder.with_file_name("attribution_images.safetensors");
    let images = candle_core::safetensors::load(images, &Device::Cpu).unwrap();
    let (mut faults, mut made) = (Vec::new(), Made::new());
    for file in files {
        let tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        for (index, case) in cases(&file).iter().enumerate() {
            // all made-up networks look at one image
            let pixels = images.get(&case.network).unwrap_or(&images["resnet18"]);
            let model = network(&case.network, &mut made);
            let worst = difference(case, model, image(pixels), &tensors[&format!("case{index}")]);
            println!("{} {}: off by {worst:.1e}", case.network, case.code);
            assert!(case.rounding < 0.05, "{} hangs on rounding", case.code);
            if worst > TOLERANCE.max(2.0 * case.rounding) {
                faults.push(format!("{} {}: off by {worst:.1e}", case.network, case.code));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
