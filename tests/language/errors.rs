//! What bad programs print, word for word.
//!
//! A file tests/errors/TOPIC.rhai holds programs, each under a line `//---- what it shows`; TOPIC.txt holds the
//! report of each. `PERCEPT_BLESS=1 cargo test --test language errors` rewrites the reports: read them as a newcomer would
//! before you commit them. A line `//---- cell` inside a program ends a cell of the same session.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use crate::common::{compare_with_file, report, session};
use crate::failed;

const HEAD: &str = "//---- ";
const CELL: &str = "//---- cell";

/// The programs of a file with their titles.
fn programs(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(HEAD), found.last_mut()) {
            (Some(_), Some((_, cells))) if line == CELL => cells.push(String::new()),
            (Some(title), _) => found.push((title.to_owned(), vec![String::new()])),
            (None, Some((_, cells))) => {
                let cell = cells.last_mut().unwrap();
                cell.push_str(line);
                cell.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// One test for each topic.
pub fn trials() -> Vec<Trial> {
    let topics = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let mut paths: Vec<_> = std::fs::read_dir(&topics).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rhai"));
    paths.sort();
    assert!(!paths.is_empty());
    let named = |path: PathBuf| (format!("errors::{}", path.file_stem().unwrap().to_str().unwrap()), path);
    paths.into_iter().map(named).map(|(name, path)| Trial::test(name, move || compare(&path))).collect()
}

/// Runs the programs of a topic and compares their reports with those of its text file.
fn compare(path: &Path) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    write_fixtures(folder.path());
    let programs = programs(&std::fs::read_to_string(path)?);
    assert!(!programs.is_empty(), "{} holds no program", path.display());
    let mut faults = Vec::new();
    let mut reports = String::new();
    for (title, cells) in programs {
        let found = fault(&cells, folder.path());
        if found == "NO ERROR" {
            faults.push(format!("{}: \"{title}\" succeeds", path.display()));
        }
        let _ = writeln!(reports, "---- {title}\n{found}\n");
    }
    faults.extend(compare_with_file(&path.with_extension("txt"), &reports).err());
    if faults.is_empty() { Ok(()) } else { Err(failed(faults.join("\n\n"))) }
}

/// The last cell's report, in which the folder's own path is left out. The cells before it must succeed.
fn fault(cells: &[String], folder: &Path) -> String {
    let (mut session, _recorder) = session();
    session.set_working_folder(folder);
    for (index, cell) in cells.iter().enumerate() {
        let outcome = session.eval(cell.trim_end());
        match outcome.error {
            None => {}
            Some(error) if index + 1 == cells.len() => {
                assert!(error.report().is_some(), "an error without a report: {error}");
                return report(&error).replace(&format!("{}/", folder.display()), "");
            }
            Some(error) => panic!("an earlier cell failed:\n{}", report(&error)),
        }
    }
    "NO ERROR".into()
}

/// The files that the programs read.
fn write_fixtures(folder: &Path) {
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let jpeg = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photos/coffee.jpg")).unwrap();
    write("cut.jpg", &jpeg[..jpeg.len() / 2]);
    let picture = percept::image::noise(40, 30, 1).unwrap();
    picture.save(folder.join("whole.png")).unwrap();
    let png = read("whole.png");
    write("cut.png", &png[..png.len() / 2]);
    write("letter.png", b"Dear network,\n");
    write("empty.png", b"");
    write("huge.png", &png_header(60_000, 60_000));
    let (mut session, _recorder) = session();
    session.set_working_folder(folder);
    assert!(session.eval("randn([10, 10]).save(\"whole.npy\")").error.is_none());
    let npy = read("whole.npy");
    write("cut.npy", &npy[..npy.len() / 2]);
    write("promise.npy", &promise());
    write("letter.npy", b"Dear network,\n");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx");
    let onnx = std::fs::read(golden.join("resnet.onnx")).unwrap();
    write("whole.onnx", &onnx);
    write("cut.onnx", &onnx[..onnx.len() / 2]);
    write("letter.onnx", b"Dear network,\n");
    write("days.txt", b"mon\ntue\nwed\n");
    assert!(session.eval("model(\"whole.onnx\").save(\"whole.percept\")").error.is_none());
    let saved = read("whole.percept");
    write("cut.percept", &saved[..saved.len() / 2]);
    std::fs::create_dir(folder.join("folder")).unwrap();
    let pth =
        |name: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pth").join(name)).unwrap();
    write("other.pth", &pth("ordered.pth"));
    write("malicious.pth", &pth("malicious.pth"));
    write("module.pth", &pth("whole_module.pth"));
    write("cut.pth", &pth("ordered.pth")[..2000]);
    write("itself.rhai", b"import \"itself\" as me;\n");
    write("unparsed.rhai", b"// a module\nfn broken( {\n    1\n}\n");
    write("faulty.rhai", b"fn dreams(img) {\n    dream(img, octave=2)\n}\n");
}

/// The header of a PNG, with no pixels behind it.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &[]).unwrap();
    drop(writer);
    bytes
}

/// A NumPy file whose header promises a hundred million numbers, with four behind it.
fn promise() -> Vec<u8> {
    let mut header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000, 10000), }".to_vec();
    header.resize(117, b' ');
    header.push(b'\n');
    [&b"\x93NUMPY\x01\x00\x76\x00"[..], &header, &[0; 16]].concat()
}
