//! The prompt as a person meets it: the program in a terminal, keys in, the screen out.
#![cfg(unix)]

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use vt100::{Color, Parser};

/// Nothing that is waited for takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const ROWS: u16 = 30;
const COLUMNS: u16 = 100;

const PROMPT: &str = "percept>";
const UP: &str = "\x1b[A";
const LEFT: &str = "\x1b[D";
const RIGHT: &str = "\x1b[C";
const END: &str = "\x1b[F";
const HOME: &str = "\x1b[H";
const CONTROL_A: &str = "\x01";
const CONTROL_C: &str = "\x03";
const CONTROL_D: &str = "\x04";
const CONTROL_F: &str = "\x06";

/// Colours of the palette that a terminal with 256 colours gets.
const ARGUMENT: Color = Color::Idx(130);
const FUNCTION: Color = Color::Idx(32);
const TEXT: Color = Color::Idx(64);
const QUIET: Color = Color::Idx(244);

/// The program in a terminal.
struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: Arc<(Mutex<Parser>, Condvar)>,
}

impl Terminal {
    /// Starts the prompt at home in a folder, which keeps its history.
    fn start(home: &Path) -> Self {
        Self::start_with(home, &[])
    }

    fn start_with(home: &Path, variables: &[(&str, &str)]) -> Self {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_percept"));
        command.env_clear();
        command.cwd(home);
        command.env("HOME", home);
        command.env("XDG_STATE_HOME", home.join("state"));
        command.env("TERM", "xterm-256color");
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        for (name, value) in variables {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).unwrap();
        let mut output = pair.master.try_clone_reader().unwrap();
        let keys = pair.master.take_writer().unwrap();
        let screen = Arc::new((
            Mutex::new(Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0)),
            Condvar::new(),
        ));
        let shared = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = output.read(&mut bytes) {
                if count == 0 {
                    break;
                }
                shared.0.lock().unwrap().process(&bytes[..count]);
                shared.1.notify_all();
            }
        });
        let terminal = Self { child, _master: pair.master, keys, screen };
        terminal.prompt();
        terminal
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Types keys, and waits until the screen shows a text.
    fn type_and_see(&mut self, keys: &str, text: &str) {
        self.press(keys);
        self.see(text);
    }

    /// Runs a line, and waits for the next prompt.
    fn run(&mut self, line: &str) {
        self.press(line);
        // Enter must not be taken for part of a paste, nor come before the text
        let last = line.lines().last().unwrap_or_default().trim().to_owned();
        self.see(&last);
        let before = self.prompts();
        self.press("\r");
        self.wait(&format!("the prompt behind {line}"), |_| self.prompts() > before);
        self.prompt();
    }

    /// How many prompts the screen shows. (No test fills it.)
    fn prompts(&self) -> usize {
        self.contents().matches(PROMPT).count()
    }

    fn wait(&self, what: &str, until: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let parser = self.screen.0.lock().unwrap();
            let screen = parser.screen().clone();
            drop(parser);
            if until(&screen) {
                return;
            }
            if Instant::now() > deadline {
                panic!("{what} did not appear:\n{}", screen.contents());
            }
            let parser = self.screen.0.lock().unwrap();
            let _ = self.screen.1.wait_timeout(parser, Duration::from_millis(20)).unwrap();
        }
    }

    /// Waits until the screen shows a text.
    fn see(&self, text: &str) {
        self.wait(&format!("{text:?}"), |screen| screen.contents().contains(text));
    }

    /// Waits for an empty prompt.
    fn prompt(&self) {
        self.wait("an empty prompt", |screen| {
            let (row, column) = screen.cursor_position();
            usize::from(column) == PROMPT.len() + 1 && line(screen, row) == PROMPT
        });
    }

    fn contents(&self) -> String {
        self.screen.0.lock().unwrap().screen().contents()
    }

    fn screen(&self) -> vt100::Screen {
        self.screen.0.lock().unwrap().screen().clone()
    }

    /// The column of the cursor.
    fn column(&self) -> u16 {
        self.screen().cursor_position().1
    }

    /// The colour of the last appearance of a text on the screen.
    fn color(&self, text: &str) -> Color {
        let screen = self.screen();
        for row in (0..ROWS).rev() {
            let line = line(&screen, row);
            if let Some(byte) = line.rfind(text) {
                let column = u16::try_from(line[..byte].chars().count()).unwrap();
                return screen.cell(row, column).unwrap().fgcolor();
            }
        }
        panic!("no {text:?} on the screen:\n{}", screen.contents());
    }

    /// Waits until the program has ended well.
    fn ended(mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status:?}");
                return;
            }
            assert!(Instant::now() < deadline, "it goes on:\n{}", self.contents());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// A row of the screen without the space at its end.
fn line(screen: &vt100::Screen, row: u16) -> String {
    screen.rows(0, COLUMNS).nth(usize::from(row)).unwrap_or_default().trim_end().to_owned()
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_is_typed_is_coloured_and_run() {
    let home = home();
    let mut terminal = Terminal::start(home.path());
    terminal.type_and_see("dream(photo(\"china\"), octaves=2", "octaves=2");
    assert_eq!(terminal.color("octaves=2"), ARGUMENT);
    assert_eq!(terminal.color("dream(photo"), FUNCTION);
    assert_eq!(terminal.color("\"china\""), TEXT);
    // the signature stands below, its parameter in the colour of arguments
    terminal.see("\n  dream(image, octaves=4, layer=");
    assert_eq!(terminal.color("octaves=4"), ARGUMENT);
    assert_eq!(terminal.color("image, octaves"), QUIET);
    terminal.press(CONTROL_C);
    terminal.prompt();

    // an unknown function stays plain, and an open string is a string
    terminal.type_and_see("draem(`a ${photo(\"chi", "draem(`a ${photo(\"chi");
    assert_eq!(terminal.color("draem"), Color::Default);
    assert_eq!(terminal.color("`a"), TEXT);
    assert_eq!(terminal.color("photo(\"chi"), FUNCTION);
    assert_eq!(terminal.color("\"chi"), TEXT);
    terminal.press(CONTROL_C);
    terminal.prompt();

    terminal.run("let a = 40; a + 2");
    terminal.see("\n42\n");
    terminal.run("no_such(1)");
    terminal.see("there is no function `no_such`");
    // the cursor on a bracket shows where it began
    terminal.type_and_see("(a + 1)", "(a + 1)");
    let (row, column) = terminal.screen().cursor_position();
    assert!(terminal.screen().cell(row, column - 7).unwrap().bold());
}

#[test]
fn without_colours_a_hint_is_dim() {
    let home = home();
    let mut terminal = Terminal::start_with(home.path(), &[("NO_COLOR", "1")]);
    terminal.run("let first = \"text\";");
    terminal.type_and_see("let f", "let first = \"text\";\npercept> let first = \"text\";");
    terminal.wait("the cursor in front of the hint", |screen| screen.cursor_position().1 == 14);
    let screen = terminal.screen();
    let (row, column) = screen.cursor_position();
    assert!(screen.cell(row, column).unwrap().dim() && !screen.cell(row, column - 1).unwrap().dim());
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            assert_eq!(screen.cell(row, column).unwrap().fgcolor(), Color::Default);
        }
    }
}

#[test]
fn tab_completes() {
    let home = home();
    std::fs::write(home.path().join("a picture.png"), []).unwrap();
    std::fs::write(home.path().join("script.rhai"), "let loaded = 12;").unwrap();
    let mut terminal = Terminal::start(home.path());
    // a function, a photograph, a keyword argument, a layer
    terminal.type_and_see("drea\t", "> dream");
    terminal.type_and_see("(photo(\"chi\t", "dream(photo(\"china\"");
    terminal.type_and_see("), octaves\t", "octaves=");
    terminal.type_and_see("1, layer=\"fire2/sq\t", "layer=\"fire2/squeeze1x1\"");
    terminal.press(CONTROL_C);
    terminal.prompt();

    // several are listed, and a few explained
    terminal.type_and_see("layer(\"conv2\t", "conv20");
    terminal.see("conv26");
    terminal.press(CONTROL_C);
    terminal.prompt();
    terminal.type_and_see("saliency(photo(\"china\"), \t", "class=        The class that is explained");
    // nothing of the signature is left between them
    assert!(!terminal.contents().contains("number; the most probable one if not given.attribution"));
    terminal.press(CONTROL_C);
    terminal.prompt();

    // a variable of this session, its methods, what a call returns
    terminal.run("let m = model(\"squeezenet1_1\");");
    terminal.type_and_see("m.layer(\"features.3.squ\t", "features.3.squeeze_activation");
    terminal.press(CONTROL_C);
    terminal.prompt();
    terminal.type_and_see("photo(\"china\").wid\t", "photo(\"china\").width");
    terminal.press(CONTROL_C);
    terminal.prompt();
    terminal.type_and_see("saliency(photo(\"china\"), class=\"egyptian\t", "class=\"Egyptian cat\"");
    terminal.press(CONTROL_C);
    terminal.prompt();
    terminal.type_and_see("load_image(\"a\t", "load_image(\"a picture.png\"");
    terminal.press(CONTROL_C);
    terminal.prompt();
    terminal.type_and_see(":loa\t", "> :load");
    terminal.type_and_see("scr\t", ":load script.rhai");
    terminal.press("\r");
    terminal.prompt();
    terminal.run("loaded");
    terminal.see("\n12\n");
}

#[test]
fn hints_come_from_the_history() {
    let home = home();
    let mut terminal = Terminal::start(home.path());
    terminal.run("let first = 41;");
    terminal.type_and_see("let f", "> let first = 41;\npercept> let first = 41;");
    assert_eq!(terminal.color("irst = 41;"), QUIET);
    for accept in [RIGHT, CONTROL_F, END] {
        terminal.press(accept);
        terminal.wait("the accepted hint", |screen| usize::from(screen.cursor_position().1) == PROMPT.len() + 16);
        terminal.press(CONTROL_C);
        terminal.prompt();
        terminal.type_and_see("let f", "percept> let first = 41;\npercept> let first");
        terminal.wait("the hint", |screen| usize::from(screen.cursor_position().1) == PROMPT.len() + 6);
    }
    terminal.press(CONTROL_C);
    terminal.prompt();
    // the arrow looks for what begins so
    terminal.run("1 + 1");
    terminal.type_and_see("let", "let");
    terminal.press(UP);
    terminal.press(END);
    terminal.wait("the found line", |screen| usize::from(screen.cursor_position().1) == PROMPT.len() + 16);
}

#[test]
fn several_lines_are_indented_and_run_together() {
    let home = home();
    let mut terminal = Terminal::start(home.path());
    terminal.press("for x in 0..3 {\r");
    terminal.wait("an indented line", |screen| screen.cursor_position().1 == 4);
    terminal.press("if x > 0 {\r");
    terminal.wait("a further indented line", |screen| screen.cursor_position().1 == 8);
    terminal.press("print(`x is ${x}`);\r");
    terminal.see("print(");
    terminal.press("}\r");
    terminal.wait("a closed block", |screen| screen.cursor_position().1 == 4);
    terminal.see("\n    }\n");
    let before = terminal.prompts();
    terminal.press("}\r");
    terminal.wait("the next prompt", |_| terminal.prompts() > before);
    terminal.see("> for x in 0..3 {\n    if x > 0 {\n        print(`x is ${x}`);\n    }\n}\nx is 1\nx is 2\npercept>");
    // recalled it is whole, and runs again
    terminal.press(UP);
    terminal.see("x is 2\npercept> for x in 0..3 {\n    if x > 0 {");
    terminal.press("\r");
    terminal.see("}\nx is 1\nx is 2\npercept>\npercept>".strip_suffix("\npercept>").unwrap());
    terminal.prompt();
}

#[test]
fn pasted_lines_are_one_text() {
    let home = home();
    let mut terminal = Terminal::start(home.path());
    let pasted = "fn twice(x) {\n    2 * x\n}\nlet a = 4;\ntwice(a)";
    terminal.press(&format!("\x1b[200~{}\x1b[201~", pasted.replace('\n', "\r")));
    terminal.see(pasted);
    assert_eq!(terminal.prompts(), 1, "nothing runs before Enter:\n{}", terminal.contents());
    terminal.press("\r");
    terminal.see(&format!("{pasted}\n8\npercept>"));
    assert_eq!(terminal.prompts(), 2, "{}", terminal.contents());
}

#[test]
fn control_c_stops_and_clears_and_control_d_leaves() {
    let home = home();
    let mut terminal = Terminal::start(home.path());
    terminal.type_and_see("let half = ", "half");
    terminal.press(CONTROL_C);
    terminal.prompt();
    terminal.press("let n = 0; loop { n += 1; }\r");
    terminal.wait("the running loop", |screen| screen.cursor_position().1 == 0);
    std::thread::sleep(Duration::from_millis(100));
    let pressed = Instant::now();
    terminal.press(CONTROL_C);
    terminal.see("interrupted");
    terminal.prompt();
    // Ctrl-C takes effect within 200 ms; a busy machine may need longer to show it
    assert!(pressed.elapsed() < Duration::from_secs(2), "{:?}", pressed.elapsed());
    terminal.run("n > 100");
    terminal.see("\ntrue\n");

    // a dream that is stopped keeps what it has made
    terminal.press("let d = dream(photo(\"china\"), steps=5000);\r");
    terminal.see("/20000");
    terminal.press(CONTROL_C);
    terminal.wait("the stop", |screen| screen.contents().trim_end().ends_with("error: interrupted\npercept>"));
    terminal.run("d.width");
    terminal.see("\n640\n");
    terminal.press(CONTROL_D);
    terminal.ended();
}

#[test]
fn the_history_outlives_sessions() {
    let home = home();
    let mut first = Terminal::start(home.path());
    let mut second = Terminal::start(home.path());
    first.run("let one = 1;");
    second.run("let two = 2;");
    first.press("[1,\r");
    first.wait("an indented line", |screen| screen.cursor_position().1 == 4);
    first.press("2]\r");
    first.see("[1, 2]");
    first.prompt();
    second.run("let four = 4;");
    for mut terminal in [first, second] {
        terminal.press(CONTROL_D);
        terminal.ended();
    }
    let mut third = Terminal::start(home.path());
    for entry in ["> let four = 4;", "> [1,\n    2]", "> let two = 2;", "> let one = 1;"] {
        // from the second line of an entry the arrow goes to its first one
        third.press(if entry.contains("two") { "\x1b[A\x1b[A" } else { UP });
        third.see(entry);
    }
    third.press(CONTROL_C);
    third.prompt();
    third.run(":quit-not");
    third.press(":quit\r");
    third.ended();
}

#[test]
fn help_edit_and_the_middle_of_a_text() {
    let home = home();
    let editor = home.path().join("editor");
    std::fs::write(&editor, "#!/bin/sh\necho 'let edited = 6 * 7;' > \"$1\"\n").unwrap();
    std::fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut terminal = Terminal::start_with(home.path(), &[("EDITOR", editor.to_str().unwrap())]);
    terminal.run("noise?");
    terminal.see("noise(");
    terminal.press(":edit\r");
    terminal.see("> let edited = 6 * 7;");
    terminal.press("\r");
    terminal.prompt();
    terminal.run("edited");
    terminal.see("\n42\n");
    // Enter in the middle of one line runs it
    terminal.type_and_see("edited + 1", "edited + 1");
    terminal.press(&LEFT.repeat(3));
    terminal.press("\r");
    terminal.see("\n43\n");
    terminal.prompt();
    // in the middle of several lines it begins one more
    terminal.press("[edited,\r");
    terminal.wait("an indented line", |screen| screen.cursor_position().1 == 4);
    terminal.press("7]");
    terminal.see("    7]");
    terminal.press(&format!("{UP}{HOME}{END}\r"));
    terminal.wait("an indented line", |_| terminal.column() == 4);
    terminal.press("6,");
    terminal.see("> [edited,\n    6,\n    7]");
    terminal.press(&format!("{CONTROL_A}\x1b[B{END}\r"));
    terminal.see("[42, 6, 7]");
}
