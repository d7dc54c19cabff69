//! The embedded model: its names, runs and refusals.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use candle_core::{Device, Var};

use std::path::Path;

use super::*;
use crate::model::{Layer, ModelOptions, Rule, zoo};
use crate::tensor::testing::{assert_close, random, rng, values};

fn model() -> Model {
    Model::embedded().unwrap()
}

fn image(seed: u64, batch: usize, side: usize) -> Tensor {
    (random(&mut rng(seed), (batch, 3, side, side)) * 100.0).unwrap()
}

fn gradient(x: &Tensor, layer: &Layer, rules: Rules) -> Tensor {
    let x = Var::from_tensor(x).unwrap();
    let y = model().run(&x, &[layer.id()], &rules, &Interrupt::never()).unwrap();
    y[0].sum_all().unwrap().backward().unwrap().remove(&x).unwrap()
}

#[test]
fn every_layer_has_three_kinds_of_names() {
    let name = |name: &str| model().layer(name).unwrap().name().to_owned();
    for alias in ["features.3.squeeze", "fire2/squeeze1x1", "conv2"] {
        assert_eq!(name(alias), "features.3.squeeze");
    }
    assert_eq!(name("fire2"), "features.3");
    assert_eq!(name("fire2/concat"), "features.3");
    assert_eq!(name("concat1"), "features.3");
    assert_eq!(name("fire2/relu_expand3x3"), "features.3.expand3x3_activation");
    assert_eq!(name("relu_conv1"), "features.1");
    assert_eq!(name("conv26"), "classifier.1");
    // the tenth convolution and the third pooling, though Caffe's names say otherwise
    assert_eq!(name("conv10"), "features.6.expand3x3");
    assert_eq!(name("pool3"), "features.8");
    assert_eq!(name("pool5"), "features.8");
    assert_eq!(name("pool10"), "classifier.3");
    assert_eq!(model().output().name(), "flatten");

    let error = model().layer("fire2/squeze1x1").unwrap_err();
    assert_eq!(error.kind(), Kind::Name);
    assert!(error.hint().unwrap().contains("`fire2/squeeze1x1`"), "{error}");
    assert!(Model::named("squeezenet").unwrap_err().hint().unwrap().contains("squeezenet1_1"));
}

#[test]
fn the_table_knows_shapes_parameters_and_fields() {
    let rows = model().layers();
    let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
    assert_eq!(rows.iter().map(|row| row.parameters).sum::<usize>(), 1_235_496);
    assert_eq!(row("features.0").parameters, 64 * 27 + 64);
    assert_eq!(row("features.0").kind, "conv 3×3, 3 → 64, stride 2");
    assert_eq!(row("features.0").shape, [64, 113, 113]);
    assert_eq!(row("features.0").receptive_field.size, 3);
    assert_eq!(row("features.2").receptive_field, ReceptiveField { size: 7, jump: 4, start: 0 });
    assert_eq!(row("features.3").receptive_field, ReceptiveField { size: 15, jump: 4, start: -4 });
    assert_eq!(row("features.12").shape, [512, 14, 14]);
    assert_eq!(row("flatten").shape, [1000]);
    let conv1 = model().layer("conv1").unwrap();
    assert_eq!(conv1.weight().unwrap().dims(), [64, 3, 3, 3]);
    assert_eq!(conv1.bias().unwrap().dims(), [64]);
    assert_eq!(conv1.units(), 64);
    assert!(model().layer("relu1").unwrap().weight().is_none());
}

#[test]
fn a_unit_sees_its_receptive_field_and_no_more() {
    let layer = model().layer("fire3").unwrap();
    let field = layer.receptive_field();
    let x = Var::from_tensor(&image(1, 1, 127)).unwrap();
    let y = layer.activations(&x, &Interrupt::never()).unwrap();
    let (row, column) = (12, 14);
    let unit = y.narrow(2, row, 1).unwrap().narrow(3, column, 1).unwrap();
    let seen = unit.sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
    let seen = values(&seen.abs().unwrap().sum((0, 1)).unwrap());
    let range = |i: usize| field.start + (i * field.jump) as i64..field.start + (i * field.jump + field.size) as i64;
    // Winograd's tiles leave rounding errors beside it
    let least = 1e-5 * seen.iter().copied().fold(0.0, f32::max);
    let touched = |i: &usize| seen[*i] > least;
    let rows: Vec<i64> = (0..127 * 127).filter(touched).map(|i| (i / 127) as i64).collect();
    let columns: Vec<i64> = (0..127 * 127).filter(touched).map(|i| (i % 127) as i64).collect();
    assert_eq!((rows.iter().min(), rows.iter().max()), (Some(&range(row).start), Some(&(range(row).end - 1))));
    assert_eq!(columns.iter().min(), Some(&range(column).start));
    assert_eq!(columns.iter().max(), Some(&(range(column).end - 1)));
}

#[test]
fn taps_come_in_the_order_asked_and_repeat() {
    let (model, x) = (model(), image(2, 1, 64));
    let id = |name: &str| model.layer(name).unwrap().id();
    let taps = [id("pool1"), id("conv1"), id("pool1"), id("input")];
    let values = model.run(&x, &taps, &Rules::default(), &Interrupt::never()).unwrap();
    let shapes: Vec<_> = values.iter().map(|v| v.dims().to_vec()).collect();
    assert_eq!(
        shapes,
        [[1, 64, 15, 15].to_vec(), [1, 64, 31, 31].to_vec(), [1, 64, 15, 15].to_vec(), [1, 3, 64, 64].to_vec()]
    );
    assert!(model.run(&x, &[], &Rules::default(), &Interrupt::never()).unwrap().is_empty());
}

#[test]
fn a_run_stops_after_the_last_tap() {
    // 4×4 pixels are too few for the whole network but not for its first layer
    let conv1 = model().layer("conv1").unwrap();
    assert_eq!(conv1.activations(&image(3, 1, 4), &Interrupt::never()).unwrap().dims(), [1, 64, 1, 1]);
    let error = model().forward(&image(3, 1, 4), &Interrupt::never()).unwrap_err();
    assert!(error.to_string().contains("at least 17×17"), "{error}");
}

#[test]
fn many_images_are_the_same_as_one_by_one() {
    // more than one group of the reference executor
    let x = image(4, 80, 72);
    let output = model().output();
    let (together, slope) =
        (model().forward(&x, &Interrupt::never()).unwrap(), gradient(&x, &output, Rules::default()));
    for i in [0, 1, 78, 79] {
        let alone = x.narrow(0, i, 1).unwrap();
        let truth = model().forward(&alone, &Interrupt::never()).unwrap();
        assert_close(&values(&together.get(i).unwrap()), &values(&truth), 1e-6, "logits");
        let truth = gradient(&alone, &output, Rules::default());
        assert_close(&values(&slope.get(i).unwrap()), &values(&truth), 1e-5, "gradient");
    }
}

#[test]
fn changed_weights_change_the_gradient() {
    let trained = model();
    let weights = trained.weights().iter().map(|(name, tensor)| {
        let random = random(&mut rng(tensor.elem_count() as u64), tensor.shape());
        (name.to_owned(), (random * 0.05).unwrap())
    });
    let inner = &trained.0;
    let parts = (zoo::squeezenet::squeezenet1_1().unwrap(), Weights::new(weights).unwrap());
    let random = Model::new("random", parts.0, parts.1, inner.answer.clone(), inner.recipe.clone()).unwrap();
    let x = image(5, 1, 64);
    let run = |layer: Layer| values(&layer.activations(&x, &Interrupt::never()).unwrap());
    assert_ne!(run(random.layer("conv1").unwrap()), run(model().layer("conv1").unwrap()));
    assert_ne!(random.weights().hash(), model().weights().hash());
}

#[test]
fn weights_come_from_files_and_seeds() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let from_file = |name: &str, path: &Path| Model::from_file(name, path, &ModelOptions::default());
    let read = from_file("squeezenet1_1", &assets.join("squeezenet1_1.safetensors")).unwrap();
    assert_eq!(read.weights().hash(), model().weights().hash());
    assert_eq!((read.recipe(), model().recipe().width), (&InputRecipe::torchvision(), 227));
    let error = from_file("squeezenet1_1", &assets.join("imagenet_classes.txt")).unwrap_err();
    assert!(error.message().contains("imagenet_classes.txt`: the file holds neither"), "{error}");

    let untrained = |seed| Model::untrained("squeezenet1_1", seed, &ModelOptions::default()).unwrap();
    assert_eq!(untrained(1).fingerprint(), untrained(1).fingerprint());
    assert_ne!(untrained(1).fingerprint(), untrained(2).fingerprint());
    let logits = untrained(1).forward(&image(8, 1, 64), &Interrupt::never()).unwrap();
    assert_eq!(logits.dims(), [1, 1000]);

    for error in [
        Model::untrained("squeezenet", 1, &ModelOptions::default()).unwrap_err(),
        from_file("squeezenet", Path::new("x.pth")).unwrap_err(),
        Model::from_hub("squeezenet", &mut |_, _| Ok(())).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.argument()), (Kind::Name, Some("name")));
    }
    let hint = Model::named("vgg16").unwrap_err().hint().unwrap().to_owned();
    assert!(["vgg16.safetensors", "hub", "random"].iter().all(|choice| hint.contains(choice)), "{hint}");
}

#[test]
fn a_rule_without_an_operation_is_refused() {
    let rules = Rule::Guided.into();
    let conv1 = model().layer("conv1").unwrap().id();
    let error = model().run(&image(6, 1, 32), &[conv1], &rules, &Interrupt::never()).unwrap_err();
    assert_eq!(error.kind(), Kind::Argument);
    assert!(error.to_string().contains("guided rule"), "{error}");
}

#[test]
fn what_is_not_an_image_is_refused() {
    let run = |x: &Tensor| model().forward(x, &Interrupt::never()).unwrap_err().to_string();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(run(&zeros(&[3, 64, 64])), "the network takes [N, 3, height, width], not [3, 64, 64]");
    assert!(run(&zeros(&[1, 1, 64, 64])).contains("not [1, 1, 64, 64]"));
    assert!(run(&zeros(&[0, 3, 64, 64])).contains("not [0, 3, 64, 64]"));
    assert!(run(&zeros(&[1, 3, 0, 64])).contains("64×0"));
    let mut pixels = vec![0f32; 3 * 64 * 64];
    pixels[5] = f32::NAN;
    let nan = Tensor::from_vec(pixels, (1, 3, 64, 64), &Device::Cpu).unwrap();
    assert_eq!(run(&nan), "1 of the 12288 values of the network's input are NaN");
    let double = zeros(&[1, 3, 64, 64]).to_dtype(DType::F64).unwrap();
    assert_eq!(model().forward(&double, &Interrupt::never()).unwrap().dtype(), DType::F32);
}

#[test]
fn an_interrupt_stops_a_run_and_a_gradient() {
    let interrupt = Interrupt::default();
    let (x, flag) = (Var::from_tensor(&image(7, 64, 227)).unwrap(), interrupt.clone());
    let raiser = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        flag.raise();
    });
    let error = model().forward(&x, &interrupt).unwrap_err();
    raiser.join().unwrap();
    assert_eq!(error.kind(), Kind::Interrupted);

    interrupt.clear();
    let y = model().forward(&x.narrow(0, 0, 16).unwrap(), &interrupt).unwrap().sum_all().unwrap();
    interrupt.raise();
    assert_eq!(Error::from(y.backward().unwrap_err()).kind(), Kind::Interrupted);
}
