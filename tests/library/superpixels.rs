//! Superpixels against scikit-image: the same pieces, pixel for pixel. tools/golden/superpixels.py makes the numbers.

use candle_core::{Device, Tensor};
use percept::Image;
use percept::image::superpixels::{Felzenszwalb, Slic, felzenszwalb, slic};
use percept::job::Interrupt;

use crate::golden_image;

fn labels(tensor: &Tensor) -> Vec<u8> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The Rand index, adjusted for chance: 1 for the same pieces.
fn agreement(ours: &[u32], theirs: &[u8]) -> f64 {
    let count = |numbers: &dyn Fn(usize) -> usize, size: usize| {
        let mut counts = vec![0f64; size];
        (0..ours.len()).for_each(|place| counts[numbers(place)] += 1.0);
        counts.iter().map(|count| count * (count - 1.0) / 2.0).sum::<f64>()
    };
    let most = ours.iter().max().map_or(0, |most| *most as usize) + 1;
    let (one, other) = (|place: usize| ours[place] as usize, |place: usize| usize::from(theirs[place]));
    let both = count(&|place| other(place) * most + one(place), 256 * most);
    let (rows, columns) = (count(&one, most), count(&other, 256));
    let chance = rows * columns / (ours.len() as f64 * (ours.len() as f64 - 1.0) / 2.0);
    (both - chance) / ((rows + columns) / 2.0 - chance)
}

#[test]
fn superpixels_are_those_of_scikit_image() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/superpixels.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let cases: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["cases"]).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 8);
    for (index, case) in cases.iter().enumerate() {
        let image: Image = golden_image(&tensors[case["image"].as_str().unwrap()]);
        let setting = |name: &str, default: f64| case["settings"][name].as_f64().unwrap_or(default);
        let found = if case["method"] == "slic" {
            let (segments, compactness) = (setting("n_segments", 100.0) as usize, setting("compactness", 10.0));
            slic(&image, &Slic { segments, compactness, sigma: setting("sigma", 0.0) }, &Interrupt::never())
        } else {
            let (scale, min_size) = (setting("scale", 1.0), setting("min_size", 20.0) as usize);
            let options = Felzenszwalb { scale, sigma: setting("sigma", 0.8), min_size };
            felzenszwalb(&image, &options, &Interrupt::never())
        };
        let found = found.unwrap();
        let theirs = labels(&tensors[&format!("case{index}")]);
        let agreement = agreement(found.labels(), &theirs);
        println!("{case}: {} pieces, adjusted Rand index {agreement}", found.count());
        assert_eq!(agreement, 1.0, "{case}");
        assert_eq!(found.count(), usize::from(*theirs.iter().max().unwrap()) + 1, "{case}");
    }
}
