//! GrabCut against OpenCV's, from the same seeds. tools/golden/grab_cut.py makes the numbers.
//!
//! The masks are not the same, pixel for pixel: OpenCV starts its colour mixtures from a random k-means, Percept from
//! splits along what varies most, so they learn different mixtures, and the cuts differ where colours leave it open.

use candle_core::Device;
use percept::Job;
use percept::vis::segmentation::{Seed, grab_cut};

use crate::golden_image;

#[test]
fn masks_are_nearly_those_of_opencv() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/grab_cut.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let names: Vec<&str> = tensors.keys().filter_map(|name| name.strip_suffix(".image")).collect();
    assert!(names.len() >= 4);
    for name in names {
        let image = golden_image(&tensors[&format!("{name}.image")]);
        let numbers = |part: &str| tensors[&format!("{name}.{part}")].flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let seeds: Vec<Seed> = numbers("seeds")
            .iter()
            .map(|seed| match seed {
                0 => Seed::Background,
                1 => Seed::Foreground,
                2 => Seed::PerhapsBackground,
                _ => Seed::PerhapsForeground,
            })
            .collect();
        let mask = grab_cut(&Job::detached(), &image, &seeds, 5).unwrap();
        let theirs: Vec<bool> = numbers("mask").iter().map(|inside| *inside == 1).collect();
        let count = |of: fn(bool, bool) -> bool| {
            mask.iter().zip(&theirs).filter(|(one, other)| of(**one, **other)).count() as f64
        };
        let iou = count(|one, other| one && other) / count(|one, other| one || other);
        println!("{name}: intersection over union {iou:.4}");
        assert!(iou > 0.98, "{name}: {iou}");
    }
}
