//! What bad programs print, word for word.
//!
//! A file tests/errors/TOPIC.rhai holds programs, each under a line `//---- what it shows`; TOPIC.txt holds the
//! report of each. `PERCEPT_BLESS=1 cargo test --test errors` rewrites the reports: read them as a newcomer would
//! before you commit them. A line `//---- cell` inside a program ends a cell of the same session.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fmt::Write as _;
use std::path::Path;

use common::{compare_with_file, report, session};

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

/// The last cell's report. The cells before it must succeed.
fn fault(cells: &[String]) -> String {
    let (mut session, _recorder) = session();
    for (index, cell) in cells.iter().enumerate() {
        let outcome = session.eval(cell.trim_end());
        match outcome.error {
            None => {}
            Some(error) if index + 1 == cells.len() => {
                assert!(error.report().is_some(), "an error without a report: {error}");
                return report(&error);
            }
            Some(error) => panic!("an earlier cell failed:\n{}", report(&error)),
        }
    }
    "NO ERROR".into()
}

/// Files that the programs read, in the working directory.
fn fixtures() {
    let jpeg = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photos/coffee.jpg")).unwrap();
    std::fs::write("cut.jpg", &jpeg[..jpeg.len() / 2]).unwrap();
    let picture = percept::image::noise(40, 30, 1).unwrap();
    picture.save("whole.png").unwrap();
    let png = std::fs::read("whole.png").unwrap();
    std::fs::write("cut.png", &png[..png.len() / 2]).unwrap();
    std::fs::write("letter.png", "Dear network,\n").unwrap();
    std::fs::write("empty.png", "").unwrap();
    std::fs::write("huge.png", png_header(60_000, 60_000)).unwrap();
    let (mut session, _recorder) = session();
    assert!(session.eval("randn([10, 10]).save(\"whole.npy\")").error.is_none());
    let npy = std::fs::read("whole.npy").unwrap();
    std::fs::write("cut.npy", &npy[..npy.len() / 2]).unwrap();
    std::fs::write("promise.npy", promise()).unwrap();
    std::fs::write("letter.npy", "Dear network,\n").unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx");
    let onnx = std::fs::read(golden.join("resnet.onnx")).unwrap();
    std::fs::write("whole.onnx", &onnx).unwrap();
    std::fs::write("cut.onnx", &onnx[..onnx.len() / 2]).unwrap();
    std::fs::write("letter.onnx", "Dear network,\n").unwrap();
    std::fs::write("days.txt", "mon\ntue\nwed\n").unwrap();
    assert!(session.eval("model(\"whole.onnx\").save(\"whole.percept\")").error.is_none());
    let saved = std::fs::read("whole.percept").unwrap();
    std::fs::write("cut.percept", &saved[..saved.len() / 2]).unwrap();
    std::fs::create_dir("folder").unwrap();
    let pth =
        |name: &str| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/pth").join(name)).unwrap();
    std::fs::write("other.pth", pth("ordered.pth")).unwrap();
    std::fs::write("malicious.pth", pth("malicious.pth")).unwrap();
    std::fs::write("module.pth", pth("whole_module.pth")).unwrap();
    std::fs::write("cut.pth", &pth("ordered.pth")[..2000]).unwrap();
    std::fs::write("itself.rhai", "import \"itself\" as me;\n").unwrap();
    std::fs::write("unparsed.rhai", "// a module\nfn broken( {\n    1\n}\n").unwrap();
    std::fs::write("faulty.rhai", "fn dreams(img) {\n    dream(img, octave=2)\n}\n").unwrap();
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

/// One test, since the programs read files of the working directory, which is the whole process's.
#[test]
fn bad_programs_print_what_they_should() {
    let topics = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors");
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    fixtures();
    let mut paths: Vec<_> = std::fs::read_dir(&topics).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rhai"));
    paths.sort();
    assert!(!paths.is_empty());
    let mut faults = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let programs = programs(&text);
        assert!(!programs.is_empty(), "{} holds no program", path.display());
        let mut reports = String::new();
        for (title, cells) in programs {
            let found = fault(&cells);
            if found == "NO ERROR" {
                faults.push(format!("{}: \"{title}\" succeeds", path.display()));
            }
            let _ = writeln!(reports, "---- {title}\n{found}\n");
        }
        faults.extend(compare_with_file(&path.with_extension("txt"), &reports).err());
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n\n"));
}
