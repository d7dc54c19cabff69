//! Measures of images against scikit-image and NumPy. tools/golden/image_measures.py makes the numbers.

use candle_core::Device;
use percept::image::{psnr, saturated, spectrum_share, ssim, total_variation};

use crate::golden_image;

#[test]
fn measures_are_those_of_scikit_image_and_numpy() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/image_measures.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    let image = |case: &serde_json::Value, key: &str| golden_image(&tensors[case[key].as_str().unwrap()]);
    let cases = |key: &str| serde_json::from_str::<Vec<serde_json::Value>>(&metadata[key]).unwrap();
    let check = |case: &serde_json::Value, key: &str, found: f64, tolerance: f64| {
        let truth = case[key].as_f64().unwrap();
        assert!((found - truth).abs() <= tolerance, "{key}: {found} for {case}");
    };

    let pairs = cases("pairs");
    assert!(pairs.len() >= 12);
    for case in &pairs {
        let (one, other) = (image(case, "image"), image(case, "other"));
        check(case, "psnr", psnr(&one, &other).unwrap(), 1e-5);
        check(case, "ssim", ssim(&one, &other).unwrap(), 1e-6);
        // neither image is the right one
        assert!((ssim(&one, &other).unwrap() - ssim(&other, &one).unwrap()).abs() < 1e-12);
    }
    let singles = cases("singles");
    assert!(singles.len() >= 15);
    for case in &singles {
        let image = image(case, "image");
        check(case, "total_variation", total_variation(&image).unwrap(), 1e-7);
        check(case, "saturated", saturated(&image).unwrap(), 1e-12);
        check(case, "spectrum_share", spectrum_share(&image).unwrap(), 1e-5);
    }
}
