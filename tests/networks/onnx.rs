//! Networks from ONNX files against PyTorch's; files and numbers come from tools/golden/onnx_nets.py.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use percept::job::Interrupt;
use percept::model::{Classes, Model, ModelOptions};

const NETS: [&str; 17] = [
    "alexnet",
    "vgg_bn",
    "squeezenet",
    "inception",
    "resnet",
    "mobilenet_v2",
    "mobilenet_v3",
    "densenet",
    "efficientnet",
    "senet",
    "shufflenet",
    "resnet_dynamo",
    "inception_dynamo",
    "efficientnet_dynamo",
    "mobilenet_v3_dynamo",
    "shufflenet_dynamo",
    "keras",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx")
}

fn model(name: &str) -> Model {
    let path = folder().join(format!("{name}.onnx"));
    Model::open(&path, None).unwrap_or_else(|error| panic!("{error}"))
}

/// The input that the script makes, [2, 3, size, size].
fn pixels(size: usize) -> Tensor {
    let value = |n: usize, c: usize, y: usize, x: usize| {
        let wave = (x * (c + 2) + y * (5 - c) + (x / 4) * (y / 4) * 7 + (x * y) % 13 * 5 + n * 83) % 256;
        (wave as f32 - 128.0) / 64.0
    };
    let plane = size * size;
    let at = |i: usize| value(i / (3 * plane), i / plane % 3, i / size % size, i % size);
    Tensor::from_vec((0..6 * plane).map(at).collect(), (2, 3, size, size), &Device::Cpu).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(ours: &Tensor, truth: &Tensor, what: &str) {
    assert_eq!(ours.dims(), truth.dims(), "{what}");
    let (ours, truth) = (values(ours), values(truth));
    let scale = truth.iter().fold(f32::MIN_POSITIVE, |m, v| m.max(v.abs()));
    let worst = ours.iter().zip(&truth).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f32::max);
    println!("{what}: off by {worst:.1e} of {scale:.3}");
    assert!(worst <= 1e-3, "{what}: off by {worst:.1e} of {scale}");
}

#[test]
fn outputs_and_input_gradients_equal_pytorch() {
    let golden: HashMap<String, Tensor> =
        candle_core::safetensors::load(folder().join("golden.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(golden.len(), 2 * NETS.len());
    for name in NETS {
        let (output, gradient) = (&golden[&format!("{name}.output")], &golden[&format!("{name}.gradient")]);
        let model = model(name);
        let x = Var::from_tensor(&pixels(gradient.dim(2).unwrap())).unwrap();
        let y = model.forward(&x, &Interrupt::never()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_close(&y, output, &format!("{name} output"));
        let logit = y.narrow(1, 1, 1).unwrap().sum_all().unwrap();
        let ours = logit.backward().unwrap().remove(&x).unwrap();
        assert_close(&ours, gradient, &format!("{name} gradient"));
    }
}

#[test]
fn every_file_is_checked() {
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "onnx"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut names = NETS.to_vec();
    names.sort_unstable();
    assert_eq!(found, names);
}

/// The kinds of a model's layers in order of execution.
fn kinds(name: &str) -> Vec<String> {
    model(name).layers().into_iter().map(|row| row.kind).collect()
}

#[test]
fn pieces_become_the_operations_they_stand_for() {
    let count = |name: &str, kind: &str| kinds(name).iter().filter(|found| found.starts_with(kind)).count();
    assert_eq!(count("alexnet", "local response norm over 5"), 2);
    assert_eq!(count("mobilenet_v2", "relu6"), 7);
    for name in ["efficientnet", "efficientnet_dynamo"] {
        assert_eq!(count(name, "silu"), 9, "{name}");
        assert_eq!((count(name, "sigmoid"), count(name, "mul")), (2, 2), "{name}");
    }
    for name in ["mobilenet_v3", "mobilenet_v3_dynamo"] {
        assert_eq!((count(name, "hard swish"), count(name, "hard sigmoid")), (7, 2), "{name}");
    }
    for name in ["shufflenet", "shufflenet_dynamo"] {
        assert_eq!(
            (count(name, "gelu"), count(name, "shuffle 2 groups"), count(name, "channels")),
            (2, 1, 2),
            "{name}"
        );
        assert_eq!(count(name, "scale") + count(name, "mul") + count(name, "flatten"), 1, "{name}");
    }
    assert_eq!((count("vgg_bn", "batch norm"), count("densenet", "batch norm")), (4, 5));
    // the softmax at the end of the Keras network is left out, its bias is its layer's
    assert_eq!(kinds("keras").last().unwrap(), "linear 12 → 7");
    assert_eq!(count("keras", "batch norm"), 1);
    assert_eq!((count("keras", "softmax"), count("keras", "linear")), (0, 2));
}

#[test]
fn names_are_kept() {
    let vgg = model("vgg_bn");
    assert_eq!(vgg.layer("/features/features.0/Conv").unwrap().name(), "/features/features.0/Conv");
    // PyTorch's module, by its parameters, and the number of its kind
    assert_eq!(vgg.layer("features.0").unwrap().name(), "/features/features.0/Conv");
    assert_eq!(vgg.layer("conv1").unwrap().name(), "/features/features.0/Conv");
    assert!(vgg.weights().get("classifier.3.weight").is_ok());
    assert_eq!(model("resnet_dynamo").layer("conv1").unwrap().name(), "node_Conv_57".replace("57", &number()));
    assert_eq!(model("keras").layer("image").unwrap().name(), "input");
}

/// torch.export numbers nodes as it likes.
fn number() -> String {
    let name = model("resnet_dynamo").layers()[1].name.clone();
    name.rsplit('_').next().unwrap().to_owned()
}

#[test]
fn a_network_without_a_fixed_size_takes_any() {
    let bytes = std::fs::read(folder().join("squeezenet.onnx")).unwrap();
    let load =
        |size| Model::from_onnx("squeezenet", &bytes, &ModelOptions { size, ..ModelOptions::default() }).unwrap();
    let size = |model: &Model| [model.recipe().height, model.recipe().width];
    assert_eq!((size(&load(None)), size(&load(Some([64, 80])))), ([224, 224], [64, 80]));
    assert_eq!(load(None).forward(&pixels(45), &Interrupt::never()).unwrap().dims(), [2, 7]);
    assert_eq!(size(&model("resnet")), [32, 32]);
}

#[test]
fn the_recipe_and_the_classes_can_be_given() {
    let bytes = std::fs::read(folder().join("resnet.onnx")).unwrap();
    let load = |options: &ModelOptions| Model::from_onnx("resnet", &bytes, options);
    let plain = load(&ModelOptions::default()).unwrap();
    assert_eq!(plain.recipe().mean, [0.485, 0.456, 0.406]);
    assert_eq!(plain.recipe().std, [0.229, 0.224, 0.225]);
    assert!(plain.recipe().assumed);
    assert_eq!(plain.classes().name(3), "class 3");

    let days = "mon\ntue\nwed\nthu\nfri\nsat\nsun";
    let given = load(&ModelOptions {
        classes: Some(Classes::from_lines(days)),
        range: Some(255.0),
        mean: Some(vec![104.0, 117.0, 123.0]),
        ..ModelOptions::default()
    });
    let given = given.unwrap();
    assert_eq!((given.classes().name(6), given.recipe().range), ("sun".to_owned(), 255.0));
    assert_eq!(given.recipe().mean, [104.0, 117.0, 123.0]);
    assert_eq!(given.recipe().std, [1.0; 3]);
    assert!(!given.recipe().assumed);

    let few = ModelOptions { classes: Some(Classes::from_lines("mon\ntue")), ..ModelOptions::default() };
    assert!(load(&few).unwrap_err().to_string().contains("2 class names, the network has 7 answers"));
    let flat = ModelOptions { std: Some(vec![1.0, 0.0, 1.0]), ..ModelOptions::default() };
    assert_eq!(load(&flat).unwrap_err().argument(), Some("std"));
}

#[test]
fn a_saved_model_is_the_same_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let models = NETS.iter().map(|name| model(name)).chain([Model::embedded().unwrap()]);
    for model in models {
        let path = folder.path().join("saved.percept");
        model.save(&path).unwrap();
        let again = Model::open(&path, None).unwrap();
        assert_eq!(again.fingerprint(), model.fingerprint());
        assert_eq!(again.recipe(), model.recipe());
        assert_eq!(again.classes().names(), model.classes().names());
        let names = |model: &Model| model.graph().names().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(&again), names(&model));
        let ops = |model: &Model| model.graph().nodes().iter().map(|node| node.op.clone()).collect::<Vec<_>>();
        assert_eq!(ops(&again), ops(&model));
        let bits = |model: &Model| {
            let y = model.forward(&pixels(model.recipe().width.min(64)), &Interrupt::never()).unwrap();
            values(&y).into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        assert_eq!(bits(&again), bits(&model), "{}", model.name());
        // and so is the file
        assert_eq!(again.to_percept().unwrap(), std::fs::read(&path).unwrap());
    }
    assert!(Model::embedded().unwrap().save(&folder.path().join("model.onnx")).is_err());
}
