//! Inputs and images by their definitions.
#![allow(clippy::unwrap_used)]

use candle_core::{Device, Var};

use super::*;
use crate::model::zoo::squeezenet::recipe;

fn numbers(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn pixel(values: &[f32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap().reshape((1, values.len(), 1, 1)).unwrap()
}

fn grey() -> InputRecipe {
    InputRecipe { mean: vec![0.13], std: vec![0.5], ..InputRecipe::plain(Channels::Grey, 5, 7) }
}

#[test]
fn the_embedded_network_reads_blue_first() {
    assert_eq!(numbers(&recipe().to_input(&pixel(&[1.0, 0.5, 0.0])).unwrap()), [-104.0, 10.5, 132.0]);
}

#[test]
fn there_and_back_again() {
    for recipe in [recipe(), InputRecipe::torchvision()] {
        let image = Tensor::rand(0f32, 1.0, (2, 3, 4, 5), &Device::Cpu).unwrap();
        let back = recipe.from_input(&recipe.to_input(&image).unwrap()).unwrap();
        let off = (back - image).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(off < 1e-6, "{off}");
    }
    // of a grey network the input comes back, and of the image what was seen
    let input = Tensor::rand(-1f32, 1.0, (2, 1, 4, 5), &Device::Cpu).unwrap();
    let rgb = grey().from_input(&input).unwrap();
    assert_eq!(rgb.dims(), [2, 3, 4, 5]);
    for (a, b) in numbers(&grey().to_input(&rgb).unwrap()).iter().zip(numbers(&input)) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn gradients_pass_in_the_right_order() {
    let image = Var::ones((1, 3, 1, 1), candle_core::DType::F32, &Device::Cpu).unwrap();
    let blue = recipe().to_input(&image).unwrap().narrow(1, 0, 1).unwrap().sum_all().unwrap();
    let gradient = blue.backward().unwrap().remove(&image).unwrap();
    let directly = recipe().to_rgb_gradient(&pixel(&[1.0, 0.0, 0.0])).unwrap();
    assert_eq!(numbers(&directly), [0.0, 0.0, 255.0]);
    assert_eq!(numbers(&gradient), [0.0, 0.0, 255.0]);
    // each channel by its own std, whichever way it goes
    let own = InputRecipe { std: vec![1.0, 2.0, 4.0], channels: Channels::Bgr, ..InputRecipe::torchvision() };
    let image = Var::from_tensor(&pixel(&[0.2, 0.4, 0.6])).unwrap();
    let above = pixel(&[1.0, 10.0, 100.0]);
    let y = (own.to_input(&image).unwrap() * &above).unwrap().sum_all().unwrap();
    let slope = y.backward().unwrap().remove(&image).unwrap();
    assert_eq!(numbers(&slope), [25.0, 5.0, 1.0]);
    assert_eq!(numbers(&own.to_rgb_gradient(&above).unwrap()), [25.0, 5.0, 1.0]);
}

#[test]
fn a_grey_network_sees_luminance() {
    let recipe = grey();
    let image = Var::from_tensor(&pixel(&[1.0, 0.5, 0.25])).unwrap();
    let input = recipe.to_input(&image).unwrap();
    let luminance = 0.299 + 0.5 * 0.587 + 0.25 * 0.114;
    assert_eq!(input.dims(), [1, 1, 1, 1]);
    assert!((numbers(&input)[0] - (luminance - 0.13) / 0.5).abs() < 1e-6);
    let slope = input.sum_all().unwrap().backward().unwrap().remove(&image).unwrap();
    let directly = recipe.to_rgb_gradient(&pixel(&[1.0])).unwrap();
    for ((slope, directly), share) in numbers(&slope).iter().zip(numbers(&directly)).zip(LUMINANCE) {
        assert!((slope - 2.0 * share).abs() < 1e-6 && (directly - 2.0 * share).abs() < 1e-6);
    }
    // white is 1, and a gradient keeps what is grey grey
    assert!((numbers(&recipe.as_seen(&pixel(&[1.0; 3])).unwrap())[1] - 1.0).abs() < 1e-6);
    let kept = numbers(&recipe.as_seen(&directly).unwrap());
    assert!(kept[0] > 0.0 && kept[0] == kept[1] && kept[1] == kept[2], "{kept:?}");
}

#[test]
fn bytes_are_whole_numbers_and_still_have_a_slope() {
    let bytes = InputRecipe { numbers: Numbers::Byte, range: 255.0, ..InputRecipe::plain(Channels::Rgb, 2, 2) };
    let image = Var::from_tensor(&pixel(&[0.5, 1.0, 0.301])).unwrap();
    let input = bytes.to_input(&image).unwrap();
    assert_eq!(numbers(&input), [128.0, 255.0, 77.0]);
    let slope = input.sum_all().unwrap().backward().unwrap().remove(&image).unwrap();
    assert_eq!(numbers(&slope), [255.0; 3]);
}

#[test]
fn other_channels_are_refused_by_name() {
    let four = InputRecipe::plain(Channels::of(4), 8, 6);
    four.check().unwrap();
    let error = four.to_input(&pixel(&[0.0; 3])).unwrap_err();
    assert_eq!(error.message(), "the network takes 4 channels; an image has 3 (colour), or 1 as a grey one");
    assert!(error.hint().unwrap().contains("[N, 4, 8, 6]"));
    let error = recipe().from_input(&pixel(&[0.0])).unwrap_err();
    assert!(error.to_string().contains("[N, 3, height, width]"), "{error}");
}

#[test]
fn a_recipe_of_version_1_is_read() {
    let old = r#"{"size":32,"order":"Bgr","range":255.0,"mean":[1.0,2.0,3.0],"std":[1.0,1.0,1.0],
        "resize":{"CenterCrop":{"shorter":36}}}"#;
    let recipe: InputRecipe = serde_json::from_str(old).unwrap();
    assert_eq!((recipe.height, recipe.width, recipe.channels), (32, 32, Channels::Bgr));
    recipe.check().unwrap();
    let again: InputRecipe = serde_json::from_str(&serde_json::to_string(&grey()).unwrap()).unwrap();
    assert_eq!(again, grey());
}

#[test]
fn a_recipe_reads_as_a_sentence() {
    assert_eq!(
        InputRecipe::torchvision().to_string(),
        "RGB, 224×224 pixels (width×height); pixels 0 to 1, minus mean [0.485, 0.456, 0.406], divided by std \
         [0.229, 0.224, 0.225]; of images, with 256 pixels on the shorter side, the centre is cut out"
    );
    assert_eq!(
        grey().to_string(),
        "grey, 7×5 pixels (width×height); pixels 0 to 1, minus mean 0.13, divided by std 0.5; of images the centre \
         is cut out"
    );
}
