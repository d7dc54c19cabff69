//! The program itself: `percept eval`, `percept run`, exit codes, files, Ctrl-C.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PERCEPT: &str = env!("CARGO_BIN_EXE_percept");

/// The program in a folder, with nothing of the surroundings that would change what it does.
fn percept(folder: &Path) -> Command {
    let mut command = Command::new(PERCEPT);
    command.current_dir(folder).stdin(Stdio::null());
    for name in ["PERCEPT_PATH", "PERCEPT_IMAGES", "PERCEPT_THREADS"] {
        command.env_remove(name);
    }
    command
}

fn eval(code: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    percept(folder.path()).args(["eval", code]).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder with a script in it.
fn with_script(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.rhai");
    std::fs::write(&script, text).unwrap();
    (folder, script)
}

/// All files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

/// Sends what Ctrl-C sends.
fn interrupt(child: &std::process::Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn eval_prints_the_value() {
    let output = eval("1+1");
    assert_eq!((out(&output).as_str(), err(&output).as_str(), output.status.code()), ("2\n", "", Some(0)));
    assert_eq!(out(&eval("print(\"a\"); \"b\"")), "a\n\"b\"\n");
    assert_eq!(out(&eval("let quiet = 1;")), "");
    assert_eq!(out(&eval("seed(3)")), "");
    assert!(out(&eval("tensor([1, 2])")).starts_with("tensor [2]\n[1. 2.]"));
    assert!(out(&eval("[layer(\"conv1\"), 2]")).contains("features.0"));
}

#[test]
fn an_error_ends_with_1_and_a_report_on_standard_error() {
    let output = eval("photo(\"chelsee\")");
    assert_eq!((out(&output).as_str(), output.status.code()), ("", Some(1)));
    assert!(err(&output).contains("code:1:7"), "{}", err(&output));
    assert!(err(&output).contains("did you mean `chelsea`?"), "{}", err(&output));
    assert!(!err(&output).contains('\x1b'), "colours in a pipe: {}", err(&output));
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["run"][..], &["evaluate", "1"], &["eval"], &["run", "--seed", "x", "a.rhai"]] {
        let output = percept(folder.path()).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains("--help"), "{}", err(&output));
    }
    let output = percept(folder.path()).arg("--version").output().unwrap();
    assert_eq!(out(&output), format!("percept {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_missing_script_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = percept(folder.path()).args(["run", "nothing.rhai"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("nothing.rhai"), "{}", err(&output));
}

#[test]
fn a_script_writes_numbered_pictures() {
    let text = "show(photo(\"coffee\").resize(60, 40), title=\"A cup\");\nprint(\"between\");\n\
                show(layer(\"conv1\").filters());\nplain(20, 10)";
    let (folder, script) = with_script(text);
    // from another folder, with no file beside the program's own
    let elsewhere = tempfile::tempdir().unwrap();
    let output = percept(elsewhere.path()).arg("run").arg(&script).args(["--out", "made/pictures"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let pictures = files(&elsewhere.path().join("made/pictures"));
    let names: Vec<&str> = pictures.keys().map(String::as_str).collect();
    assert_eq!(names, ["01-a-cup.png", "02-filters-conv1.png", "03-plain.png"]);
    for (name, bytes) in &pictures {
        let decoded = image::load_from_memory_with_format(bytes, image::ImageFormat::Png);
        let decoded = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(decoded.width() >= 10 && decoded.height() >= 10, "{name}");
    }
    let printed = out(&output);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[1], "between");
    for (line, name) in [lines[0], lines[2], lines[3]].iter().zip(names) {
        assert!(line.ends_with(name), "{printed}");
    }
    assert_eq!(files(folder.path()).len(), 1, "nothing is written beside the script");
}

#[test]
fn pictures_of_an_earlier_run_stay_whole_when_a_script_fails() {
    let (folder, script) =
        with_script("show(photo(\"coffee\").resize(60, 40), title=\"cup\"); show(plain(9, 9), title=\"grey\")");
    let pictures = folder.path().join("out");
    let run = |script: &Path| percept(folder.path()).arg("run").arg(script).args(["--out", "out"]).output().unwrap();
    assert_eq!(run(&script).status.code(), Some(0));
    let before = files(&pictures);
    assert_eq!(before.len(), 2);

    // the second script makes the first picture again, and fails where the second would be
    let bad = folder.path().join("bad.rhai");
    std::fs::write(
        &bad,
        "show(photo(\"coffee\").resize(60, 40), title=\"cup\");\nlet a = 1;\nshow(photo(\"tea\"), title=\"grey\");",
    )
    .unwrap();
    let output = run(&bad);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("bad.rhai:3:12"), "{}", err(&output));
    assert_eq!(files(&pictures), before);
}

#[test]
fn a_saved_file_stays_whole_when_its_replacement_cannot_be_made() {
    let (folder, script) = with_script("noise(30, 20, seed=1).save(\"a.png\"); ones([3]).save(\"a.npy\");");
    assert_eq!(percept(folder.path()).arg("run").arg(&script).status().unwrap().code(), Some(0));
    let before = files(folder.path());
    let bad = "to_image(ln(zeros([4, 4]) - 1)).save(\"a.png\")";
    assert_eq!(percept(folder.path()).args(["eval", bad]).output().unwrap().status.code(), Some(1));
    let bad = "save((ones([3]) + ones([2])), \"a.npy\")";
    assert_eq!(percept(folder.path()).args(["eval", bad]).output().unwrap().status.code(), Some(1));
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_script_finds_its_arguments_and_the_files_beside_it() {
    let (folder, script) = with_script("import \"mine\" as mine; print(mine::twice(args.len())); print(args);");
    std::fs::write(folder.path().join("mine.rhai"), "fn twice(x) { x * 2 }").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| percept(elsewhere.path()).arg("run").arg(&script).args(arguments).output().unwrap();
    assert_eq!(out(&run(&["a", "--deep", "-3"])), "6\n[\"a\", \"--deep\", \"-3\"]\n");
    assert_eq!(out(&run(&[])), "0\n[]\n");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let text = "show(dream(noise(64, 64), octaves=1, steps=2, layer=\"fire2\"), title=\"dream\"); print(randn([3]));";
    let (folder, script) = with_script(text);
    let run = |seed: &str, to: &str| {
        let mut command = percept(folder.path());
        let output = command.args(["run", "--seed", seed, "--out", to]).arg(&script).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let numbers = out(&output).split_once('\n').unwrap().1.to_owned();
        (files(&folder.path().join(to)), numbers)
    };
    let first = run("7", "first");
    assert_eq!(run("7", "again"), first);
    let other = run("8", "other");
    assert_ne!(other.0, first.0);
    assert_ne!(other.1, first.1);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_an_endless_script() {
    use std::io::{BufRead, BufReader, Read};
    let (folder, script) = with_script("show(plain(30, 20), title=\"before\");\nprint(\"now\");\nloop {}\n");
    let mut command = percept(folder.path());
    command.arg("run").arg(&script).args(["--out", "out"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "now"), "the loop was never reached");
    interrupt(&child);
    let mut report = String::new();
    child.stderr.take().unwrap().read_to_string(&mut report).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{report}");
    assert!(report.contains("interrupted") && report.contains("script.rhai:3"), "{report}");
    let pictures = files(&folder.path().join("out"));
    let bytes = &pictures["01-before.png"];
    assert!(image::load_from_memory_with_format(bytes, image::ImageFormat::Png).is_ok());
}

#[cfg(unix)]
#[test]
fn ctrl_c_hands_back_the_dream_so_far() {
    use std::io::{BufRead, BufReader, Read};
    let text = "print(\"now\");\ndream(noise(96, 96, seed=1), octaves=1, steps=1000000, layer=\"fire2\", seed=1)";
    let (folder, script) = with_script(text);
    let mut command = percept(folder.path());
    command.arg("run").arg(&script).args(["--out", "out"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "now");
    std::thread::sleep(std::time::Duration::from_millis(300));
    interrupt(&child);
    let rest: Vec<String> = lines.map(|line| line.unwrap()).collect();
    let mut report = String::new();
    child.stderr.take().unwrap().read_to_string(&mut report).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{report}");
    assert!(report.contains("interrupted"), "{report}");
    assert_eq!(rest.len(), 1, "{rest:?}");
    let pictures = files(&folder.path().join("out"));
    let bytes = pictures.values().next().expect("a picture was written");
    assert_eq!(image::load_from_memory_with_format(bytes, image::ImageFormat::Png).unwrap().width(), 96);
}

#[test]
fn a_closed_pipe_is_no_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = percept(folder.path());
    command.args(["eval", "for i in 0..100000 { print(i); }"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!err(&output).contains("panicked"), "{}", err(&output));
}

#[test]
fn the_manual_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = percept(folder.path()).arg("manual").output().unwrap();
    assert_eq!(out(&output), percept::session::manual());
}

#[test]
fn the_number_of_threads_can_be_set_and_changes_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let code = "let d = dream(photo(\"china\").resize(120, 90), octaves=1, steps=2, layer=\"fire4\"); \
                print(d.to_tensor().sum()); let x = photo(\"coffee\"); \
                for map in [integrated_gradients(x, steps=4, tolerance=1), lrp(x), deep_lift(x), smooth_grad(x, samples=3, \
                seed=1), rise(x, samples=12, seed=1), grad_cam(x)] { print(map.values.sum()); } occlusion(photo(\"coffee\"), window=113, stride=57).map.sum()";
    let run = |threads: &str| percept(folder.path()).env("PERCEPT_THREADS", threads).args(["eval", code]).output();
    let (one, three) = (run("1").unwrap(), run("3").unwrap());
    assert!(one.status.success(), "{}", err(&one));
    assert_eq!(out(&one), out(&three));

    let bad = run("many").unwrap();
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(err(&bad), "error: PERCEPT_THREADS is `many`; it must be a number of threads, 1 to 1024\n");
}
