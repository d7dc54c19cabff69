//! A session owns its folder: relative paths start there, whatever the process's working folder is.

use std::path::Path;

use percept::Job;

use crate::common::{report, session, value};

/// What is written to every kind of file, and read again.
const WRITE_AND_READ: &str = r#"
    let grey = plain(6, 4, color=[0.2, 0.2, 0.2]);
    grey.save("grey.png");
    let again = load_image("grey.png");
    randn([3], seed=1).save("three.npy");
    let three = load_tensor("three.npy");
    plot([1, 3, 2]).save("plot.svg");
    model("squeezenet1_1").save("net.percept");
    let net = model("net.percept");
    import "mine" as mine;
    [again.width, three.shape, mine::answer(), net.classes().len()]
"#;

/// Evaluates it in a folder of its own; the value's text and the names of the files.
fn in_folder(answer: i64) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.rhai"), format!("fn answer() {{ {answer} }}")).unwrap();
    let (mut session, _recorder) = session();
    session.set_working_folder(folder.path());
    let text = value(&session.eval(WRITE_AND_READ));
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    (text, names)
}

#[test]
fn sessions_on_several_threads_write_to_folders_of_their_own() {
    let threads = [41, 42, 43].map(|answer| (answer, std::thread::spawn(move || in_folder(answer))));
    for (answer, thread) in threads {
        let (text, names) = thread.join().unwrap();
        assert_eq!(text, format!("[6, [3], {answer}, 1000]"));
        assert_eq!(names, ["grey.png", "mine.rhai", "net.percept", "plot.svg", "three.npy"]);
    }
    assert!(!Path::new("grey.png").exists(), "a file was written to the process's working folder");
}

#[test]
fn completion_and_errors_look_into_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    std::fs::write(folder.path().join("inner/koala.png"), "").unwrap();
    std::fs::write(folder.path().join("mine.rhai"), "").unwrap();
    let (mut session, _recorder) = session();
    session.set_working_folder(folder.path());
    let candidates = |session: &percept::Session, code: &str| {
        let found = session.complete(code, code.chars().count()).candidates;
        found.into_iter().map(|candidate| candidate.label).collect::<Vec<_>>()
    };
    assert_eq!(candidates(&session, "load_image(\"in"), ["inner/"]);
    assert_eq!(candidates(&session, "load_image(\"inner/"), ["inner/koala.png"]);
    assert_eq!(candidates(&session, "import \"mi"), ["mine"]);
    assert_eq!(candidates(&session, ":load mi"), ["mine.rhai"]);
    let error = session.eval("load_image(\"inner/koalla.png\")").error.unwrap();
    assert!(report(&error).contains("did you mean `koala.png`?"), "{}", report(&error));
}

#[test]
fn commands_read_and_write_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (mut session, _recorder) = session();
    session.set_working_folder(folder.path());
    value(&session.eval("let a = 20;"));
    value(&session.eval(":save script.rhai"));
    assert_eq!(std::fs::read_to_string(folder.path().join("script.rhai")).unwrap(), "let a = 20;\n");
    std::fs::write(folder.path().join("more.rhai"), "a += 1;").unwrap();
    value(&session.eval(":load more.rhai"));
    assert_eq!(value(&session.eval("a")), "21");
}

#[test]
fn a_job_knows_its_folder() {
    let job = Job::detached();
    assert_eq!(job.path("x.png"), Path::new("x.png"));
    let job = job.with_folder(Path::new("/pictures").into());
    assert_eq!(job.path("x.png"), Path::new("/pictures/x.png"));
    assert_eq!(job.path("/elsewhere/x.png"), Path::new("/elsewhere/x.png"));
}
