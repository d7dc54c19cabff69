//! Functions of the language on tensors, and their gradients, against PyTorch's; the text of tensors against NumPy's. The
//! numbers come from tools/golden/tensor_functions.py.

use crate::common::{session, value};
use percept::Tensor;
use percept::session::Session;
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Numbers, of which JSON writes some as texts.
fn numbers(list: &Value) -> Vec<f64> {
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap());
    list.as_array().unwrap().iter().map(number).collect()
}

fn shape(list: &Value) -> Vec<usize> {
    numbers(list).iter().map(|size| *size as usize).collect()
}

/// A tensor as the language writes it.
fn written(values: &[f64], shape: &[usize]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("tensor([{}]).reshape({shape:?})", values.join(", "))
}

/// Evaluates a text, and gives the shape and the numbers of the tensor that it makes.
fn tensor(session: &mut Session, text: &str) -> (Vec<usize>, Vec<f64>) {
    let list = |session: &mut Session, text: String| -> Vec<f64> {
        let text = value(&session.eval(&text));
        let items = text.trim_matches(['[', ']']).split(", ").filter(|item| !item.is_empty());
        items.map(|item| item.parse().unwrap()).collect()
    };
    value(&session.eval(&format!("let found = {text};")));
    let shape = list(session, "found.shape".into()).iter().map(|size| *size as usize).collect();
    (shape, list(session, "found.reshape([-1]).to_list()".into()))
}

fn assert_close(ours: &[f64], theirs: &[f64], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let scale = theirs.iter().filter(|value| value.is_finite()).fold(1e-3, |scale: f64, value| scale.max(value.abs()));
    for (a, b) in ours.iter().zip(theirs) {
        let is_same = (a.is_nan() && b.is_nan()) || a == b;
        assert!(
            is_same || (a - b).abs() <= 4e-6 * scale,
            "{what}: {a} instead of {b}\nours   {ours:?}\ntheirs {theirs:?}"
        );
    }
}

#[test]
fn functions_and_gradients_equal_pytorch() {
    let (mut session, _recorder) = session();
    let cases = cases("tensor_functions");
    assert!(cases.len() > 250);
    for case in cases {
        let (call, size) = (case["call"].as_str().unwrap(), shape(&case["shape"]));
        let x = written(&numbers(&case["x"]), &size);
        let what = format!("{call} of {x}");
        value(&session.eval(&format!("let x = {x};")));
        let (result_shape, result) = tensor(&mut session, call);
        assert_eq!(result_shape, shape(&case["result_shape"]), "{what}");
        assert_close(&result, &numbers(&case["result"]), &what);
        if case["gradient"].is_null() {
            continue;
        }
        let weights = written(&numbers(&case["weights"]), &result_shape);
        let (gradient_shape, gradient) = tensor(&mut session, &format!("grad(|x| (({call}) * {weights}).sum(), x)"));
        assert_eq!(gradient_shape, size, "the gradient of {what}");
        assert_close(&gradient, &numbers(&case["gradient"]), &format!("the gradient of {what}"));
    }
}

#[test]
fn tensors_are_written_as_numpy_writes_them() {
    let cases = cases("tensor_text");
    assert!(cases.len() > 30);
    for case in cases {
        let values = numbers(&case["values"]).iter().map(|value| *value as f32).collect();
        let text = Tensor::from_values(values, &shape(&case["shape"])).unwrap().to_string();
        let (head, ours) = text.split_once('\n').unwrap();
        assert!(head.starts_with("tensor ["), "{head}");
        let theirs = case["text"].as_str().unwrap();
        assert_eq!(ours, theirs, "\nours:\n{ours}\nNumPy's:\n{theirs}\n");
    }
}
