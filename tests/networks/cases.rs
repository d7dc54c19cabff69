//! Networks of the kinds that people bring: other inputs than a colour square, other answers than a softmax. Files and
//! numbers of tests/golden/cases/ come from PyTorch, Keras and onnxruntime; tools/golden/cases.py makes some of them.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use percept::image::Image;
use percept::job::Interrupt;
use percept::model::{AnswerKind, Channels, Classes, FileLayout, Model, ModelOptions, Numbers, ResizeRule};
use percept::tensor::npy;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases")
}

fn open(name: &str, options: &ModelOptions) -> Model {
    Model::open(&folder().join(format!("{name}.onnx")), Some(options)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn array(name: &str) -> Tensor {
    npy::read(&folder().join(format!("{name}.npy"))).unwrap().inner().clone()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(ours: &[f32], truth: &[f32], what: &str) {
    assert_eq!(ours.len(), truth.len(), "{what}");
    let scale = truth.iter().fold(1e-3f32, |most, value| most.max(value.abs()));
    for (ours, truth) in ours.iter().zip(truth) {
        assert!((ours - truth).abs() <= 2e-5 * scale, "{what}: {ours} instead of {truth}");
    }
}

/// Plain pixels of this range.
fn plain(range: f64) -> ModelOptions {
    ModelOptions { range: Some(range), ..ModelOptions::default() }
}

#[test]
fn each_network_answers_as_its_file_does() {
    let answer = |kind| ModelOptions { answer: Some(kind), ..ModelOptions::default() };
    // the name of the network, of its arrays, and whether the file's output is probabilities
    let cases = [
        ("one_logit", "one_logit", false, ModelOptions::default()),
        ("mnist", "mnist", true, ModelOptions::default()),
        ("cifar", "cifar", true, ModelOptions::default()),
        ("binary_ts", "binary", true, ModelOptions::default()),
        ("adapt_new", "adapt", false, ModelOptions::default()),
        ("cbam_ts", "cbam", false, ModelOptions::default()),
        ("rectangles", "rectangles", false, ModelOptions::default()),
        ("multilabel", "multilabel", true, ModelOptions::default()),
        ("regression", "regression", false, answer(AnswerKind::Regression)),
        ("bytes", "bytes", true, ModelOptions::default()),
        ("centred", "centred", false, answer(AnswerKind::Probabilities)),
    ];
    for (name, arrays, shares, options) in cases {
        let (x, truth) = (array(&format!("{arrays}_x")), array(&format!("{arrays}_ref")));
        let model = open(name, &options);
        let output = model.forward(&x, &Interrupt::never()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(output.dims(), [x.dim(0).unwrap(), model.answer().outputs()], "{name}");
        let mut ours = if shares { model.answer().probabilities(&output).unwrap() } else { output.clone() };
        if shares && model.answer().is_binary() {
            ours = ours.narrow(1, 0, 1).unwrap();
        }
        assert_close(&values(&ours), &values(&truth), name);
        // and so does the saved model
        let again = Model::from_percept(&model.to_percept().unwrap()).unwrap();
        assert_eq!(again.recipe(), model.recipe(), "{name}");
        assert_eq!(again.answer().kind(), model.answer().kind(), "{name}");
        assert_eq!(values(&again.forward(&x, &Interrupt::never()).unwrap()), values(&output), "{name}");
    }
}

/// An input of a network as the image that becomes it.
fn image(x: &Tensor, white: f32) -> Image {
    let (channels, height, width) = x.get(0).unwrap().dims3().unwrap();
    let pixels: Vec<f32> = values(&x.get(0).unwrap()).into_iter().map(|v| v / white).collect();
    let pixels = if channels == 1 { pixels.repeat(3) } else { pixels };
    Image::from_planes(width, height, pixels, None).unwrap()
}

#[test]
fn an_image_becomes_the_input_it_was_made_of() {
    let cases = [
        ("one_logit", 1.0, plain(1.0)),
        ("mnist", 255.0, plain(255.0)),
        ("cifar", 255.0, ModelOptions::default()),
        ("rectangles", 1.0, plain(1.0)),
        ("multilabel", 1.0, plain(1.0)),
        ("regression", 1.0, ModelOptions { answer: Some(AnswerKind::Regression), ..ModelOptions::default() }),
        ("bytes", 255.0, ModelOptions::default()),
        ("centred", 1.0, ModelOptions { answer: Some(AnswerKind::Probabilities), ..ModelOptions::default() }),
    ];
    for (name, white, options) in cases {
        let x = array(&format!("{name}_x"));
        let model = open(name, &options);
        let picture = image(&x, white);
        let input = model.input(&model.view(&picture).unwrap()).unwrap();
        assert_eq!(input.dims()[1..], x.dims()[1..], "{name}");
        assert_close(&values(&input), &values(&x.narrow(0, 0, 1).unwrap()), name);
        let back = model.image_of(&input).unwrap();
        assert_eq!((back.width(), back.height()), (picture.width(), picture.height()), "{name}");
        assert_close(back.planes(), picture.planes(), name);
    }
}

#[test]
fn what_the_file_shows_of_its_input_is_used() {
    let cifar = open("cifar", &ModelOptions::default());
    assert_eq!((cifar.recipe().range, cifar.recipe().assumed), (255.0, false));
    assert_eq!(cifar.recipe().layout, FileLayout::ChannelsLast);
    // its filters are colours although the input is scaled first
    assert!(cifar.layer("conv1").unwrap().reads_image() && !cifar.layer("conv2").unwrap().reads_image());
    let bytes = open("bytes", &ModelOptions::default());
    assert_eq!((bytes.recipe().range, bytes.recipe().numbers), (255.0, Numbers::Byte));
    assert!(bytes.to_string().contains("pixels 0 to 255 in whole numbers"), "{bytes}");
    let centred = open("centred", &ModelOptions::default());
    assert_eq!((centred.recipe().range, centred.recipe().assumed), (1.0, false));
    assert_eq!(centred.recipe().mean, [0.0; 3]);

    let mnist = open("mnist", &ModelOptions::default());
    assert_eq!((mnist.recipe().channels, mnist.recipe().assumed), (Channels::Grey, true));
    assert!(mnist.to_string().contains("28×28 grey pixels to 10 classes"), "{mnist}");
    assert!(mnist.to_string().contains("assumed"), "{mnist}");
    let own = ModelOptions { mean: Some(vec![0.13]), std: Some(vec![0.31]), ..ModelOptions::default() };
    assert_eq!(open("mnist", &own).recipe().mean, [0.13]);

    let wide = open("rectangles", &ModelOptions::default());
    assert_eq!((wide.recipe().width, wide.recipe().height), (40, 24));
    assert!(wide.to_string().contains("40×24 pixels to 5 classes"), "{wide}");
    let stretched = ModelOptions { resize: Some(percept::model::Resize::Stretch), ..ModelOptions::default() };
    assert_eq!(open("rectangles", &stretched).recipe().resize, ResizeRule::Stretch);

    let refused = |name: &str, options: &ModelOptions| {
        Model::open(&folder().join(format!("{name}.onnx")), Some(options)).unwrap_err()
    };
    let error = refused("mnist", &ModelOptions { mean: Some(vec![0.1, 0.2, 0.3]), ..ModelOptions::default() });
    assert!(error.message().contains("`mean` has 3 numbers; the network has 1 channels"), "{error}");
    let error = refused("mnist", &ModelOptions { channels: Some(3), ..ModelOptions::default() });
    assert_eq!(error.argument(), Some("channels"));
    let error = refused("mnist", &ModelOptions { order: Some(Channels::Bgr), ..ModelOptions::default() });
    assert_eq!(error.argument(), Some("order"));
}

#[test]
fn the_kind_of_answer_is_found_or_given() {
    let kind = |name: &str| open(name, &ModelOptions::default()).answer().kind();
    assert_eq!(kind("mnist"), AnswerKind::Softmax);
    assert_eq!(kind("catdog"), AnswerKind::Sigmoid);
    assert_eq!(kind("binary_ts"), AnswerKind::Sigmoid);
    assert_eq!(kind("one_logit"), AnswerKind::Sigmoid);
    assert_eq!(kind("multilabel"), AnswerKind::Sigmoid);
    assert_eq!(kind("rectangles"), AnswerKind::Softmax);
    let given = |name: &str, kind| {
        let options = ModelOptions { answer: Some(kind), ..ModelOptions::default() };
        Model::open(&folder().join(format!("{name}.onnx")), Some(&options))
    };
    assert!(given("mnist", AnswerKind::Sigmoid).unwrap_err().message().contains("ends in a softmax"));
    assert!(given("multilabel", AnswerKind::Softmax).unwrap_err().message().contains("ends in a sigmoid"));
    assert!(given("one_logit", AnswerKind::Softmax).unwrap_err().message().contains("one output"));
    // a value from 0 to 1 is the sigmoid's
    let share = given("binary_ts", AnswerKind::Regression).unwrap();
    let value = share.forward(&array("binary_x"), &Interrupt::never()).unwrap();
    assert_close(&values(&value), &values(&array("binary_ref")), "a regression keeps its sigmoid");
    assert!(open("one_logit", &ModelOptions::default()).to_string().contains("assumed: give `answer`"));

    let names = |names: &[&str]| {
        let names = Classes::from_names(names.iter().map(|name| (*name).to_owned()).collect());
        ModelOptions { classes: Some(names), ..ModelOptions::default() }
    };
    assert_eq!(open("catdog", &names(&["cat", "dog"])).classes().names(), ["cat", "dog"]);
    assert_eq!(open("catdog", &names(&["dog"])).classes().names(), ["dog", "not dog"]);
    let path = folder().join("multilabel.onnx");
    assert_eq!(Model::open(&path, Some(&names(&["a", "b"]))).unwrap_err().argument(), Some("classes"));
}

/// A copy of the network whose weights are in a second file, with other bytes in place of that file's name.
fn with_location(folder: &Path, location: &str) -> PathBuf {
    let (own, path) = ("adapt_new.onnx.data", folder.join("net.onnx"));
    assert_eq!(location.len(), own.len());
    let bytes = std::fs::read(self::folder().join("adapt_new.onnx")).unwrap();
    let text: Vec<u8> = bytes.clone();
    let mut changed = text;
    while let Some(at) = changed.windows(own.len()).position(|window| window == own.as_bytes()) {
        changed[at..at + own.len()].copy_from_slice(location.as_bytes());
        if own == location {
            break;
        }
    }
    std::fs::write(&path, changed).unwrap();
    path
}

#[test]
fn weights_are_read_from_the_networks_own_folder_only() {
    let weights = std::fs::read(folder().join("adapt_new.onnx.data")).unwrap();
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::create_dir(inner.join("below")).unwrap();
    let refused = |path: &Path| Model::open(path, None).unwrap_err().to_string();

    std::fs::write(inner.join("below/w.onnx.data"), &weights).unwrap();
    let x = array("adapt_x");
    let below = Model::open(&with_location(&inner, "./below/w.onnx.data"), None).unwrap();
    let y = below.forward(&x, &Interrupt::never()).unwrap();
    assert_close(&values(&y), &values(&array("adapt_ref")), "below the folder");

    std::fs::write(outer.path().join("outside.onnx.dat"), &weights).unwrap();
    let path = with_location(&inner, "../outside.onnx.dat");
    assert!(refused(&path).contains("lies outside the network's folder"), "{}", refused(&path));
    let path = with_location(&inner, "/etc/passwd.dataaaa");
    assert!(refused(&path).contains("lies outside the network's folder"));
    let path = with_location(&inner, "x/../../outside.dat");
    assert!(refused(&path).contains("lies outside the network's folder"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outer.path().join("outside.onnx.dat"), inner.join("link_to_outside.dat")).unwrap();
        let path = with_location(&inner, "link_to_outside.dat");
        assert!(refused(&path).contains("lies outside the network's folder"), "{}", refused(&path));
    }
    let path = with_location(&inner, "there_is_none.dataa");
    assert!(refused(&path).contains("does not exist"), "{}", refused(&path));
    std::fs::create_dir(inner.join("only_a_folder.dataa")).unwrap();
    assert!(refused(&with_location(&inner, "only_a_folder.dataa")).contains("is not a file"));
    std::fs::write(inner.join("cut_off_file.dataaa"), &weights[..weights.len() - 4]).unwrap();
    let path = with_location(&inner, "cut_off_file.dataaa");
    assert!(refused(&path).contains("reaches beyond the end of"), "{}", refused(&path));
    // bytes alone have no folder
    let bytes = std::fs::read(folder().join("adapt_new.onnx")).unwrap();
    let error = Model::from_onnx("net", &bytes, &ModelOptions::default()).unwrap_err();
    assert!(error.to_string().contains("its values are in another file, `adapt_new.onnx.data`"), "{error}");
}
