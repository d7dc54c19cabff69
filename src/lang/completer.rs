//! Which texts an argument could be: what the type of a parameter, or the parameter itself, knows about it.

use std::path::Path;

use rhai::Dynamic;

/// Says which texts could be meant; those that do not go on from what is typed are left out later.
pub type Completer = fn(&CompletionContext<'_>) -> Vec<String>;

/// What is known about the call in which a text is being typed.
#[derive(Debug)]
pub struct CompletionContext<'a> {
    /// What is typed of it.
    pub typed: &'a str,
    /// The other arguments, and the value in front of the dot.
    pub others: &'a [OtherArgument<'a>],
    /// The folder at which relative paths start; empty for the process's working folder.
    pub folder: &'a Path,
}

/// Another argument of the call.
#[derive(Debug)]
pub struct OtherArgument<'a> {
    /// As it is written.
    pub written: &'a str,
    /// Its value, if that is known without computing anything.
    pub value: Option<Dynamic>,
    /// The name of its type, if that is known.
    pub kind: Option<&'static str>,
}

/// No more files of a folder are looked at.
const MOST: usize = 5000;

impl CompletionContext<'_> {
    /// The files whose names end in one of `endings` (any, if there are none), and the folders, which end in `/`.
    pub fn files(&self, endings: &[&str]) -> Vec<String> {
        let (folder, name) = self.typed.rfind('/').map_or(("", self.typed), |at| self.typed.split_at(at + 1));
        let place = self.folder.join(folder);
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { &place };
        let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
        let mut found = Vec::new();
        for entry in entries.flatten().take(MOST) {
            let Ok(file) = entry.file_name().into_string() else { continue };
            if file.starts_with('.') && !name.starts_with('.') {
                continue;
            }
            let ending = Path::new(&file).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if entry.path().is_dir() {
                found.push(format!("{folder}{file}/"));
            } else if endings.is_empty() || endings.iter().any(|wanted| wanted.eq_ignore_ascii_case(ending)) {
                found.push(format!("{folder}{file}"));
            }
        }
        found.sort_unstable();
        found
    }
}
