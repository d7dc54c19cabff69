//! What is read from PyTorch's files is what PyTorch reads: tests/golden/pth/, made by tools/golden/pth.py.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use percept::error::Kind;
use percept::model::Weights;

/// Files that are refused, and what the error says.
const REFUSED: [(&str, &str); 9] = [
    ("bomb", "parameter `w`: the file is damaged: entry `data/0` is compressed or encrypted"),
    ("deflated", "the file is damaged: entry `data.pkl` is compressed or encrypted"),
    ("list", "it holds something else than a state dict"),
    ("malicious", "its pickle asks for `posix.system`, which no state dict needs; nothing was executed"),
    ("malicious_old", "its pickle asks for `posix.system`, which no state dict needs; nothing was executed"),
    ("no_tensors", "it holds no tensors by name, only `epoch`, `note`"),
    ("tar", "the file is a tar archive, as PyTorch wrote before version 0.2"),
    ("torchscript", "it is a TorchScript program, not a state dict"),
    ("whole_module", "its pickle asks for `torch.nn.modules.container.Sequential`"),
];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pth")
}

/// Names, shapes and the bits of the values.
fn contents(path: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u32>)> {
    let weights = Weights::from_file(path).unwrap_or_else(|error| panic!("{error}"));
    let content = |(name, tensor): (&str, &candle_core::Tensor)| {
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        (name.to_owned(), (tensor.dims().to_vec(), values.iter().map(|value| value.to_bits()).collect()))
    };
    weights.iter().map(content).collect()
}

/// The files of the folder that end so, without the ending.
fn named(ending: &str) -> Vec<String> {
    let files = std::fs::read_dir(golden()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.filter_map(|name| name.strip_suffix(ending).map(str::to_owned)).collect();
    names.sort();
    names
}

#[test]
fn every_file_holds_what_pytorch_reads_from_it() {
    let names = named(".safetensors");
    assert_eq!(names.len(), 16, "{names:?}");
    for name in names {
        let ours = contents(&golden().join(format!("{name}.pth")));
        let theirs = contents(&golden().join(format!("{name}.safetensors")));
        assert_eq!(ours, theirs, "{name}.pth");
        assert!(!ours.is_empty());
    }
}

#[test]
fn what_is_no_state_dict_is_refused() {
    for (name, expected) in REFUSED {
        let error = Weights::from_file(&golden().join(format!("{name}.pth"))).unwrap_err();
        assert_eq!(error.kind(), Kind::File);
        assert!(error.message().contains(&format!("{name}.pth`: {expected}")), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("model.state_dict()")), "{error}");
    }
    // what the malicious files would make
    assert!(!Path::new("percept-was-here").exists(), "something was executed");
    let known: Vec<String> =
        named(".safetensors").into_iter().chain(REFUSED.map(|(name, _)| name.to_owned())).collect();
    assert_eq!(known.len(), named(".pth").len());
}

/// Another real file: `PERCEPT_PTH=weights.pth PERCEPT_PTH_TRUTH=weights.safetensors cargo test --test networks pth`, where
/// `python tools/golden/pth.py weights.pth weights.safetensors` has made the second of the first.
#[test]
fn a_real_file_if_one_is_given() {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let (Some(pth), Some(truth)) = (given("PERCEPT_PTH"), given("PERCEPT_PTH_TRUTH")) else { return };
    let (ours, theirs) = (contents(&pth), contents(&truth));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, value) in &theirs {
        assert!(ours.get(name) == Some(value), "`{name}` differs");
    }
    let count: usize = ours.values().map(|(_, values)| values.len()).sum();
    println!("{} tensors of {count} numbers are alike, bit for bit", ours.len());
}
