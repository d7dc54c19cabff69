//! The names of a network's answers.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Kind, Result, missing_file};

/// How many candidates an error lists.
const CANDIDATES: usize = 6;

/// Class names in the network's order; cheap to clone.
#[derive(Clone, Debug)]
pub struct Classes(Arc<[String]>);

impl Classes {
    /// From a list, one name a line; a name may have parts, `tench, Tinca tinca`.
    pub fn from_lines(text: &str) -> Self {
        // Windows' editors put a byte order mark first
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self(text.lines().map(|line| line.trim().to_owned()).collect())
    }

    /// From names in the network's order.
    pub fn from_names(names: Vec<String>) -> Self {
        Self(names.into())
    }

    /// `class 0`, `class 1`, …, for a network that names none.
    pub fn numbered(count: usize) -> Self {
        Self((0..count).map(|class| format!("class {class}")).collect())
    }

    /// Reads a file with one name a line.
    ///
    /// # Errors
    /// The file is missing or is not text.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing_file(path),
            std::io::ErrorKind::InvalidData => {
                let message = format!("`{}` is not text", path.display());
                Error::new(Kind::File, message).with_hint("class names stand one a line")
            }
            _ => Error::new(Kind::File, format!("`{}` cannot be read: {error}", path.display())),
        })?;
        Ok(Self::from_lines(text.trim_end()))
    }

    /// The 1,000 classes of ImageNet (ILSVRC 2012).
    pub fn imagenet() -> Self {
        Self::from_lines(include_str!("../../assets/imagenet_classes.txt"))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All names in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The name of a class, or its number in words where it has none.
    pub fn name(&self, class: usize) -> String {
        self.0.get(class).cloned().unwrap_or_else(|| format!("class {class}"))
    }

    /// Checks a number given by a user.
    pub fn check(&self, number: i64) -> Result<usize> {
        let class = usize::try_from(number).ok().filter(|class| *class < self.len());
        class.ok_or_else(|| {
            let message =
                format!("there is no class {number}: they are numbered from 0 to {}", self.len().saturating_sub(1));
            Error::new(Kind::Name, message)
        })
    }

    /// The class with this name, or this number in digits. Case doesn't matter, and a part of a name of several
    /// parts will do.
    ///
    /// A name of several classes or of none is an error that lists the nearest ones with their numbers.
    pub fn find(&self, wanted: &str) -> Result<usize> {
        let wanted = wanted.trim();
        if let Ok(number) = wanted.parse() {
            return self.check(number);
        }
        let lower = wanted.to_lowercase();
        let matching = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
            (0..self.len()).filter(|class| matches(&self.0[*class].to_lowercase())).collect()
        };
        let whole = matching(&|name| name == lower);
        let found = if whole.is_empty() { matching(&|name| parts(name).any(|part| part == lower)) } else { whole };
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Error::new(Kind::Name, format!("no class is called `{wanted}`"))
                .with_hint(format!("the nearest are {}", self.list(&self.nearest(&lower))))),
            several => Err(Error::new(Kind::Name, format!("`{wanted}` is the name of {} classes", several.len()))
                .with_hint(format!("give the number: {}", self.list(several)))),
        }
    }

    /// Classes with the word in their name first, then with a word that begins so, then those spelt most like it.
    fn nearest(&self, lower: &str) -> Vec<usize> {
        let mut ranked: Vec<(usize, f64, usize)> = (0..self.len())
            .map(|class| {
                let name = self.0[class].to_lowercase();
                let mut words = name.split(|c: char| !c.is_alphanumeric()).filter(|_| !lower.is_empty());
                let rank = if words.clone().any(|word| word == lower) {
                    0
                } else if words.any(|word| word.starts_with(lower)) {
                    1
                } else {
                    2
                };
                let likeness = parts(&name).map(|part| strsim::jaro_winkler(part, lower)).fold(0.0, f64::max);
                (rank, likeness, class)
            })
            .collect();
        // among those that have the word, the network's order is the natural one
        ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| if a.0 == 2 { b.1.total_cmp(&a.1) } else { a.2.cmp(&b.2) }));
        ranked.into_iter().take(CANDIDATES).map(|(_, _, class)| class).collect()
    }

    /// `281 tabby, 282 tiger cat`.
    fn list(&self, classes: &[usize]) -> String {
        let named: Vec<String> = classes.iter().map(|class| format!("{class} {}", self.0[*class])).collect();
        named.join(", ")
    }
}

/// The parts of `tench, Tinca tinca`.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(',').map(str::trim)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_parts_find_a_class() {
        let classes = Classes::imagenet();
        assert_eq!(classes.len(), 1000);
        assert_eq!(classes.find("koala").unwrap(), 105);
        assert_eq!(classes.find(" egyptian CAT").unwrap(), 285);
        assert_eq!(classes.find("386").unwrap(), 386);
        assert_eq!(classes.check(386).unwrap(), 386);
        let parts = Classes::from_lines("tench, Tinca tinca\ngoldfish, Carassius auratus");
        assert_eq!(parts.find("tinca TINCA").unwrap(), 0);
    }

    #[test]
    fn labels_of_windows_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.txt");
        std::fs::write(&path, "\u{feff}tench\r\ngoldfish\r\n\r\n").unwrap();
        assert_eq!(Classes::read(&path).unwrap().names(), ["tench", "goldfish"]);
    }

    #[test]
    fn numbers_outside_are_refused() {
        let classes = Classes::imagenet();
        assert_eq!(
            classes.check(1000).unwrap_err().to_string(),
            "there is no class 1000: they are numbered from 0 to 999"
        );
        assert!(classes.check(-1).is_err());
        assert!(classes.find("-1").is_err());
        assert!(Classes::from_lines("").find("x").is_err());
    }

    #[test]
    fn unknown_names_get_the_nearest() {
        let classes = Classes::imagenet();
        let hint = |name: &str| classes.find(name).unwrap_err().hint().unwrap().to_owned();
        let cats = hint("cat");
        for cat in ["282 tiger cat", "285 Egyptian cat"] {
            assert!(cats.contains(cat), "{cats}");
        }
        assert!(hint("bear").contains("294 brown bear"), "{}", hint("bear"));
        assert!(hint("eleph").contains("386 African elephant"), "{}", hint("eleph"));
        assert!(hint("kaola").contains("105 koala"), "{}", hint("kaola"));
        assert_eq!(hint("cat").matches(", ").count(), CANDIDATES - 1);
        classes.find("").unwrap_err();
    }

    #[test]
    fn a_name_of_two_classes_is_ambiguous() {
        let classes = Classes::from_lines("crane, bird\nheron\nCrane, machine\nbird");
        let error = classes.find("crane").unwrap_err();
        assert_eq!(error.message(), "`crane` is the name of 2 classes");
        assert_eq!(error.hint(), Some("give the number: 0 crane, bird, 2 Crane, machine"));
        // a whole name is no part of another
        assert_eq!(classes.find("bird").unwrap(), 3);
    }
}
