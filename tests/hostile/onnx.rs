//! Damaged and hostile models: each is read or refused, never a panic, never more memory than the file and 64 MiB.

use std::path::Path;

use percept::error::{Kind, Result};
use percept::model::{Model, ModelOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{ALLOWED, measured, turn};

/// Reads a file and checks what it took at most.
fn read(bytes: &[u8], reader: impl Fn(&[u8]) -> Result<Model>) -> Result<Model> {
    let (result, taken) = measured(|| reader(bytes));
    assert!(taken <= bytes.len() + ALLOWED, "{taken} bytes were allocated for a file of {}", bytes.len());
    if let Err(error) = &result {
        assert!(matches!(error.kind(), Kind::File | Kind::Tensor | Kind::Argument | Kind::Name), "{error:?}");
        assert!(error.message().len() < 100_000, "an error of {} characters", error.message().len());
    }
    result
}

fn onnx(bytes: &[u8]) -> Result<Model> {
    read(bytes, |bytes| Model::from_onnx("hostile", bytes, &ModelOptions::default()))
}

fn percept(bytes: &[u8]) -> Result<Model> {
    read(bytes, Model::from_percept)
}

fn files() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A few bytes changed, put in, left out or taken from elsewhere; most of all where there are few zeros, so in names
/// and structure rather than in weights.
fn mutated(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..6) {
        let text = |at: usize| bytes[at..(at + 8).min(bytes.len())].iter().all(|byte| (10..127).contains(byte));
        let places: Vec<usize> = (0..8).map(|_| rng.random_range(0..bytes.len())).collect();
        let at = places.iter().copied().find(|at| text(*at)).unwrap_or(places[0]);
        match rng.random_range(0..6) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
            3 => bytes.insert(at, rng.random()),
            4 => {
                let end = (at + rng.random_range(1..40)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let end = (at + rng.random_range(1..200)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                let to = rng.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    bytes
}

#[test]
fn mutated_and_truncated_onnx_files_do_no_harm() {
    let _turn = turn();
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut tried, mut read) = (0, 0);
    for file in files() {
        onnx(&file).unwrap();
        for _ in 0..150 {
            read += usize::from(onnx(&mutated(&file, &mut rng)).is_ok());
            tried += 1;
        }
        for part in 0..30 {
            // one byte less, then any length; weights in front of the graph's end are never whole
            let length = if part == 0 { file.len() - 1 } else { rng.random_range(0..file.len()) };
            onnx(&file[..length]).unwrap_err();
            tried += 1;
        }
    }
    println!("{tried} files, {read} of them still networks");
    assert!(tried >= 3000 && read > 0);
}

#[test]
fn mutated_and_truncated_percept_files_do_no_harm() {
    let _turn = turn();
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let (mut tried, mut read) = (0, 0);
    for file in files() {
        let saved = onnx(&file).unwrap().to_percept().unwrap();
        percept(&saved).unwrap();
        let header = 8 + u64::from_le_bytes(*saved.first_chunk().unwrap()) as usize;
        for round in 0..90 {
            let bytes = if round % 3 == 0 {
                mutated(&saved, &mut rng)
            } else {
                // the description: its length in front is put right, else nothing behind it is looked at
                let changed = mutated(&saved[8..header], &mut rng);
                [&(changed.len() as u64).to_le_bytes(), changed.as_slice(), &saved[header..]].concat()
            };
            read += usize::from(percept(&bytes).is_ok());
            tried += 1;
        }
        for length in (0..20).map(|_| rng.random_range(0..saved.len())) {
            percept(&saved[..length]).unwrap_err();
            tried += 1;
        }
    }
    println!("{tried} files, {read} of them still networks");
    assert!(tried >= 1000 && read > 0);
}

#[test]
fn descriptions_that_lie_are_refused() {
    let _turn = turn();
    let saved = onnx(&files()[0]).unwrap().to_percept().unwrap();
    let header = 8 + u64::from_le_bytes(*saved.first_chunk().unwrap()) as usize;
    let text = std::str::from_utf8(&saved[8..header]).unwrap();
    let refused = |from: &str, to: &str, why: &str| {
        assert!(text.contains(from), "{from} is not in {text}");
        let changed = text.replacen(from, to, 1);
        let bytes = [&(changed.len() as u64).to_le_bytes(), changed.as_bytes(), &saved[header..]].concat();
        let error = percept(&bytes).unwrap_err().to_string();
        assert!(error.contains(why), "{from} → {to}: {error}");
    };
    refused(r#"\"version\":2"#, r#"\"version\":3"#, "the file has version 3, this program reads up to version 2");
    refused(r#"\"inputs\":[0]"#, r#"\"inputs\":[9]"#, "must read nodes that come before it");
    refused(r#"\"inputs\":[0]"#, r#"\"inputs\":[18446744073709551615]"#, "must read nodes that come before it");
    refused(r#"\"stride\":[2,2]"#, r#"\"stride\":[0,2]"#, "its stride is 0");
    refused(r#"\"groups\":1"#, r#"\"groups\":0"#, "groups do not divide");
    refused(r#"\"kernel\":[7,7]"#, r#"\"kernel\":[7,18446744073709551615]"#, "its kernel is");
    refused(r#"\"in_channels\":3"#, r#"\"in_channels\":1000000000"#, "1000000000 channels");
    refused(r#"\"height\":55"#, r#"\"height\":1000000"#, "`size` is 1000000");
    refused(r#"\"shorter\":55"#, r#"\"shorter\":1000000"#, "1000000 pixels");
    refused(r#"\"class 0\","#, "", "there are 6 class names, the network has 7 answers");
    refused(r#"\"Conv2d\""#, r#"\"Konv2d\""#, "unknown variant `Konv2d`");
    refused(r#"conv1.weight"#, r#"conv9.weight"#, "`conv9.weight` [8, 3, 7, 7] is missing");
    let deep = format!("{}0{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(r#"\"inputs\":[0]"#, &format!(r#"\"inputs\":{deep}"#), "invalid type: sequence");
    assert!(percept(&u64::MAX.to_le_bytes()).unwrap_err().to_string().contains("header"));
}

// A writer of just enough protocol buffers.

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn message(number: u64, body: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(body.len() as u64), body.to_vec()].concat()
}

fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value as u64)].concat()
}

/// `ints("pads", [1, 1, 1, 1])`.
fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| int(8, *value)).collect();
    message(5, &[message(1, name.as_bytes()), values].concat())
}

fn attribute(name: &str, value: i64) -> Vec<u8> {
    message(5, &[message(1, name.as_bytes()), int(3, value)].concat())
}

fn node(op: &str, inputs: &[&str], output: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| message(1, name.as_bytes())).collect();
    let rest = [message(2, output.as_bytes()), message(3, output.as_bytes()), message(4, op.as_bytes())].concat();
    message(1, &[inputs, rest, attributes.concat()].concat())
}

fn tensor(name: &str, dims: &[i64], values: &[f32]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let dims: Vec<u8> = dims.iter().flat_map(|size| int(1, *size)).collect();
    message(5, &[dims, int(2, 1), message(8, name.as_bytes()), message(9, &raw)].concat())
}

fn integers(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    message(5, &[int(1, values.len() as i64), int(2, 7), message(8, name.as_bytes()), message(9, &raw)].concat())
}

fn value(number: u64, name: &str, dims: &[i64]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|size| message(1, &int(1, *size))).collect();
    let shape = message(2, &message(1, &[int(1, 1), message(2, &dims)].concat()));
    message(number, &[message(1, name.as_bytes()), shape].concat())
}

fn file(parts: &[Vec<u8>]) -> Vec<u8> {
    [message(8, &int(2, 17)), message(7, &parts.concat())].concat()
}

/// A graph from `x` [1, 3, 8, 8] to `y`.
fn network(parts: &[Vec<u8>]) -> Vec<u8> {
    file(&[value(11, "x", &[1, 3, 8, 8]), value(12, "y", &[1, 3, 8, 8]), parts.concat()])
}

fn refused(parts: &[Vec<u8>], why: &str) {
    let error = onnx(&network(parts)).map(|model| format!("{model:?}")).unwrap_err().to_string();
    assert!(error.contains(why), "expected: {why}\n   found: {error}");
}

fn kernel(dims: &[i64]) -> Vec<u8> {
    let count = dims.iter().product::<i64>() as usize;
    tensor("w", dims, &vec![0.5; count])
}

#[test]
fn crafted_graphs_are_refused_with_the_reason() {
    let _turn = turn();
    onnx(&network(&[node("Relu", &["x"], "y", &[])])).unwrap();

    // a cycle, also of one node, also behind others
    let round = [node("Add", &["x", "b"], "a", &[]), node("Relu", &["a"], "b", &[]), node("Relu", &["b"], "y", &[])];
    refused(&round, "the graph goes round in a cycle: `b` reads `a` reads `b`");
    refused(&[node("Add", &["x", "y"], "y", &[])], "in a cycle: `y` reads `y`");
    let long: Vec<Vec<u8>> =
        (0..20_000).map(|i| node("Relu", &[&format!("n{}", (i + 1) % 20_000)], &format!("n{i}"), &[])).collect();
    refused(&[long.concat(), node("Relu", &["n0"], "y", &[])], "in a cycle");

    // names
    let relu = node("Relu", &["x"], "y", &[]);
    refused(&[relu.clone(), relu.clone()], "`y` is made twice");
    refused(&[node("Relu", &["x"], "x", &[]), relu.clone()], "`x` is made twice");
    refused(&[kernel(&[1]), kernel(&[1]), relu.clone()], "two tensors are called `w`");
    refused(&[node("Relu", &["z"], "y", &[])], "node `y` reads `z`, which nothing makes");
    refused(&[node("Conv", &["x", "w"], "y", &[])], "reads `w`, which nothing makes");
    refused(&[node("Relu", &["x"], "z", &[])], "the graph's output reads `y`, which nothing makes");
    refused(&[], "which nothing makes");

    // operators
    refused(
        &[node("NonMaxSuppression", &["x"], "y", &[])],
        "node `y` (NonMaxSuppression): the operator NonMaxSuppression",
    );
    refused(&[node("NonMaxSuppression", &["x"], "y", &[])], "supported are Add, AveragePool");
    refused(&[node("Resize", &["x"], "y", &[])], "cannot be read yet");
    let custom =
        message(1, &[message(1, b"x"), message(2, b"y"), message(4, b"Relu"), message(7, b"evil.com")].concat());
    refused(&[custom], "Relu of evil.com is not supported");

    // inputs and outputs
    let refused_file = |parts: &[Vec<u8>], why: &str| {
        let error = onnx(&file(parts)).unwrap_err().to_string();
        assert!(error.contains(why), "expected: {why}\n   found: {error}");
    };
    let (x, y) = (value(11, "x", &[1, 3, 8, 8]), value(12, "y", &[1, 3, 8, 8]));
    refused_file(&[x.clone(), relu.clone()], "the graph has 0 outputs");
    refused_file(&[y.clone(), relu.clone()], "the graph has 0 inputs");
    refused_file(&[x.clone(), value(11, "z", &[1]), y.clone(), relu.clone()], "the graph has 2 inputs: `x`, `z`");
    refused_file(&[x.clone(), y.clone(), value(12, "z", &[1]), relu.clone()], "the graph has 2 outputs");
    refused_file(&[value(11, "x", &[1, 10]), y.clone(), relu.clone()], "has 2 axes");
    refused_file(&[value(11, "x", &[1, 3, -5, 8]), y.clone(), relu.clone()], "has the size -5");
    let wide = onnx(&file(&[value(11, "x", &[1, 3, 8, 9]), y.clone(), relu.clone()])).unwrap();
    assert_eq!((wide.recipe().height, wide.recipe().width), (8, 9));
    refused_file(&[value(11, "x", &[1, 1_000_000_000, 8, 8]), y.clone(), relu.clone()], "has the size 1000000000");
    refused_file(&[value(11, "x", &[1, 3, 1 << 20, 1 << 20]), y.clone(), relu.clone()], "beyond every use");
    refused_file(&[value(11, "x", &[i64::MAX, 3, 8, 8]), y, relu.clone()], "has the size 9223372036854775807");
    assert!(onnx(&[]).unwrap_err().to_string().contains("it has no graph"));
    assert!(onnx(b"PK\x03\x04 a zip file, as .pth files are").is_err());
}

#[test]
fn crafted_tensors_and_windows_are_refused_with_the_reason() {
    let _turn = turn();
    let conv = |attributes: &[Vec<u8>]| node("Conv", &["x", "w"], "y", attributes);
    onnx(&network(&[kernel(&[2, 3, 1, 1]), conv(&[])])).unwrap();
    let huge = 1_000_000_000_000;

    // tensors
    refused(&[tensor("w", &[2, 3, 3, 3], &[0.5; 10]), conv(&[])], "promises 54 numbers, the file has 10");
    refused(&[tensor("w", &[huge, huge, 3, 3], &[0.5]), conv(&[])], "beyond every memory");
    refused(&[tensor("w", &[i64::MAX, 2, 3, 3], &[0.5]), conv(&[])], "beyond every memory");
    refused(&[tensor("w", &[2, -3, 1, 1], &[0.5; 6]), conv(&[])], "negative size");
    refused(&[tensor("w", &[0, 3, 1, 1], &[]), conv(&[])], "0 channels");
    refused(&[kernel(&[2, 3, 1]), conv(&[])], "only 2-D");
    refused(&[kernel(&[2, 5, 1, 1]), conv(&[])], "does not take inputs of shape");
    refused(&[tensor("w", &[1, 3, 1, 1], &[f32::NAN; 3]), conv(&[])], "NaN");
    let external = message(5, &[int(1, 2), int(2, 1), message(8, b"w"), int(14, 1)].concat());
    refused(&[external, conv(&[])], "its values are in another file, `` (open the network by its path");
    let eight_bits = message(5, &[int(1, 1 << 20), int(2, 3), message(8, b"w"), message(9, &[1; 1 << 20])].concat());
    refused(&[eight_bits, conv(&[])], "only floating-point weights");

    // windows
    let small = kernel(&[2, 3, 1, 1]);
    let with = |attributes: &[Vec<u8>], why: &str| refused(&[small.clone(), conv(attributes)], why);
    with(&[ints("strides", &[0, 1])], "must be at least 1");
    with(&[ints("strides", &[-1, 1])], "cannot be negative");
    with(&[ints("strides", &[huge, huge])], "its stride is 1000000000000");
    with(&[ints("pads", &[huge, 0, 0, 0])], "its padding is 1000000000000");
    with(&[ints("pads", &[0, 0, 0])], "it has 3 pads");
    with(&[ints("dilations", &[0, 0])], "must be at least 1");
    with(&[ints("kernel_shape", &[huge, huge])], "kernel_shape is not that of its weight");
    with(&[attribute("group", 0)], "0 groups do not divide");
    with(&[attribute("group", 2)], "does not take inputs");
    with(&[attribute("group", i64::MAX)], "groups");
    with(&[attribute("group", -1)], "cannot be negative");
    let pool = |attributes: &[Vec<u8>]| node("MaxPool", &["x"], "y", attributes);
    refused(&[pool(&[])], "its kernel_shape is []");
    refused(&[pool(&[ints("kernel_shape", &[huge, huge])])], "its kernel is 1000000000000");
    refused(&[pool(&[ints("kernel_shape", &[9, 9])])], "too small");
    refused(&[pool(&[ints("kernel_shape", &[2, 2]), ints("pads", &[2, 2, 2, 2])])], "more than half its window");
    refused(&[pool(&[ints("kernel_shape", &[2, 2]), ints("dilations", &[2, 2])])], "dilated");

    // shapes
    let reshape =
        |shape: &[i64], why: &str| refused(&[integers("s", shape), node("Reshape", &["x", "s"], "y", &[])], why);
    reshape(&[-1, -1], "cannot be reshaped");
    reshape(&[huge, huge, huge, huge], "cannot be reshaped");
    reshape(&[i64::MIN, 2], "cannot be reshaped");
    reshape(&[3, 64], "mixes the images of a batch");
    reshape(&[1, 8, 24], "it reshapes");
    let pad = |pads: &[i64], why: &str| refused(&[integers("p", pads), node("Pad", &["x", "p"], "y", &[])], why);
    pad(&[0, 0, huge, 0, 0, 0, 0, 0], "its padding is 1000000000000");
    let widest = integers("p", &[0, 0, 4096, 4096, 0, 0, 4096, 4096]);
    let twice = [widest, node("Pad", &["x", "p"], "a", &[]), node("Pad", &["a", "p"], "y", &[])];
    refused(&twice, "is beyond every use");
    pad(&[0, 1, 0, 0, 0, 0, 0, 0], "other axes than height and width");
    pad(&[0, 0, -1, 0, 0, 0, 0, 0], "cannot be negative");
    refused(&[node("Transpose", &["x"], "y", &[ints("perm", &[0, 0, 1, 2])])], "is no order");
    refused(&[node("Transpose", &["x"], "y", &[ints("perm", &[1, 0, 2, 3])])], "orders the axes");
    refused(&[node("Flatten", &["x"], "y", &[attribute("axis", 99)])], "there is no axis 99");
    refused(
        &[node("Split", &["x"], "y", &[attribute("axis", 1), ints("split", &[i64::MAX])])],
        "are not its 3 channels",
    );
    refused(&[node("LRN", &["x"], "y", &[attribute("size", huge)])], "");
}

#[test]
fn what_grows_from_little_is_refused() {
    let _turn = turn();
    // a constant that doubles with every node
    let mut parts = vec![tensor("c0", &[1000], &[1.0; 1000])];
    for i in 0..60 {
        let last = format!("c{i}");
        parts.push(node("Concat", &[&last, &last], &format!("c{}", i + 1), &[attribute("axis", 0)]));
    }
    parts.push(node("Add", &["x", "c60"], "y", &[]));
    refused(&parts, "much more memory than the file");
    // the same with shapes
    let mut parts = vec![integers("c0", &[1; 100])];
    for i in 0..60 {
        let last = format!("c{i}");
        parts.push(node("Concat", &[&last, &last], &format!("c{}", i + 1), &[attribute("axis", 0)]));
    }
    parts.push(node("Reshape", &["x", "c60"], "y", &[]));
    refused(&parts, "too long");
    // a row and a column make a matrix
    let wide = [
        tensor("r", &[1, 30_000], &vec![1.0; 30_000]),
        tensor("c", &[30_000, 1], &vec![1.0; 30_000]),
        node("Mul", &["r", "c"], "m", &[]),
        node("Add", &["x", "m"], "y", &[]),
    ];
    refused(&wide, "much more memory than the file");
    let filled = [
        integers("s", &[1 << 20, 1 << 20]),
        node("ConstantOfShape", &["s"], "m", &[]),
        node("Add", &["x", "m"], "y", &[]),
    ];
    refused(&filled, "much more memory than the file");
    // one matrix that is turned round again and again under other names
    let mut parts = vec![tensor("w", &[192, 2000], &vec![0.5; 192 * 2000]), node("Flatten", &["x"], "f", &[])];
    for i in 0..400 {
        let alpha = message(
            5,
            &[message(1, b"alpha"), [varint(2 << 3 | 5), (i as f32).to_le_bytes().to_vec()].concat()].concat(),
        );
        parts.push(node("Gemm", &["f", "w"], &format!("g{i}"), &[alpha]));
    }
    let all: Vec<String> = (0..400).map(|i| format!("g{i}")).collect();
    parts.push(node("Sum", &all.iter().map(String::as_str).collect::<Vec<_>>(), "y", &[]));
    refused(&parts, "much more memory than the file");
    // empty nodes, two bytes each
    assert!(onnx(&message(7, &[0x0a, 0].repeat(2 << 20))).unwrap_err().to_string().contains("more nodes"));
    // a graph within an attribute of a graph within an attribute …
    let mut deep = Vec::new();
    for _ in 0..2_000 {
        deep = message(1, &message(5, &message(6, &deep)));
    }
    assert!(onnx(&message(7, &deep)).is_err());
    // strides whose product no number holds
    let mut parts = vec![kernel(&[3, 3, 1, 1])];
    let stride = ints("strides", &[4096, 4096]);
    parts.push(node("Conv", &["x", "w"], "s0", std::slice::from_ref(&stride)));
    for i in 0..40 {
        parts.push(node("Conv", &[&format!("s{i}"), "w"], &format!("s{}", i + 1), std::slice::from_ref(&stride)));
    }
    parts.push(node("Relu", &["s40"], "y", &[]));
    onnx(&network(&parts)).unwrap();
    // many nodes of one name
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for i in 0..5_000 {
        let input = if i == 0 { "x".to_owned() } else { format!("v{i}") };
        let output = format!("v{}", i + 1);
        let body =
            [message(1, input.as_bytes()), message(2, output.as_bytes()), message(3, b"same"), message(4, b"Relu")];
        parts.push(message(1, &body.concat()));
    }
    parts.push(node("Relu", &["v5000"], "y", &[]));
    let model = onnx(&network(&parts)).unwrap();
    assert_eq!(model.layer("same_5000").unwrap().name(), "same_5000");
}
