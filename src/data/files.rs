//! Sets of images from files.

use std::path::{Path, PathBuf};

use super::entry::Source;
use super::formats::{Found, labels, listed, packed, sorted, wrong};
use super::{Entry, ImageSet};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Reject, function};

/// How files of images end.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "gif", "bmp"];

/// Where the images of a set are.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder, a pattern of paths, or a file that holds or lists images.
    Path(String),
    /// Images that are there already.
    Images(Vec<Image>),
}

impl FromValue for Place {
    const EXPECTED: &'static str = "a folder, a pattern of paths, a file, or a list of images";
    const TYPES: &'static [&'static str] = &["string", "array"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_string() {
            String::from_value(value).map(Self::Path)
        } else {
            Vec::from_value(value).map(Self::Images)
        }
    }
}

/// Where the labels of images come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The folder that a file is in.
    Folder,
    /// There are none.
    None,
    /// A file of labels, one for each image in order.
    File(String),
}

impl FromValue for Labels {
    const EXPECTED: &'static str = "\"folder\", \"none\", or a file of labels";
    const TYPES: &'static [&'static str] = &["string"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        Ok(match String::from_value(value)?.as_str() {
            "folder" => Self::Folder,
            "none" => Self::None,
            path => Self::File(path.to_owned()),
        })
    }
}

/// A set of images: those of a folder and the folders in it, of a pattern such as "birds/**/*.jpg", of an IDX file (MNIST) or
/// CIFAR-10's binary form, those that a CSV file lists (path, label), or images in a list. Files are in the order of their
/// paths, and read when they are looked at.
///
/// ```rhai
/// photo("china").save("china.png");
/// photo("chelsea").save("chelsea.png");
/// images("*.png", labels="none")
/// ```
#[function]
pub fn images(
    job: &Job,
    /// The folder, pattern, file or list.
    place: Place,
    /// What the labels are: "folder" for the name of the folder that a file is in (a list has none, CSV and CIFAR files bring
    /// their own), "none", or a file of labels: IDX, or a line of text for each image.
    #[default("folder")]
    labels: Labels,
) -> Result<ImageSet> {
    let (entries, classes) = match &place {
        Place::Images(list) if list.is_empty() => {
            return Err(Error::new(Kind::Argument, "images: the list is empty").at_argument("place"));
        }
        Place::Images(list) => (ImageSet::of_images(list)?.entries().to_vec(), Vec::new()),
        Place::Path(path) => found(job, path, &labels).map_err(|error| error.at_argument("place"))?,
    };
    let (entries, classes) = match labels {
        Labels::Folder => (entries, classes),
        Labels::None => (entries.into_iter().map(|entry| Entry { label: None, ..entry }).collect(), Vec::new()),
        Labels::File(path) => labelled(entries, &job.path(path)).map_err(|error| error.at_argument("labels"))?,
    };
    ImageSet::new(entries, classes)
}

/// The images of a path.
fn found(job: &Job, given: &str, labels: &Labels) -> Result<Found> {
    let (base, path) = (&*job.path(""), &job.path(given));
    let is_pattern = given.contains(['*', '?', '[']);
    if !is_pattern && path.is_file() {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.as_deref() == Some("csv") {
            return listed(path);
        }
        if ending.as_deref().is_some_and(|ending| ENDINGS.contains(&ending)) {
            return Ok(from_files(vec![path.clone()], base, labels));
        }
        let message =
            "holds no set of images: it is neither an image, an IDX file, CIFAR-10's binary form, nor a CSV file";
        return packed(path)?.ok_or_else(|| wrong(path, message));
    }
    if !is_pattern && !path.is_dir() {
        return Err(crate::error::missing_file(path));
    }
    // the working folder is no pattern, whatever it is called
    let folder = glob::Pattern::escape(&base.to_string_lossy());
    let below = if is_pattern { given.to_owned() } else { format!("{}/**/*", glob::Pattern::escape(given)) };
    let pattern = Path::new(&folder).join(below);
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::default() };
    let all = glob::glob_with(&pattern.to_string_lossy(), options)
        .map_err(|error| Error::new(Kind::Argument, format!("`{given}` is no pattern of paths: {}", error.msg)))?;
    // what may not be read is left out, as what is no image
    let is_image = |path: &PathBuf| {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) && path.is_file()
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for path in all {
        job.interrupt().check()?;
        files.extend(path.ok().filter(is_image));
    }
    files.sort_unstable();
    if files.is_empty() {
        let message = format!("there are no images in `{given}`");
        return Err(Error::new(Kind::File, message).with_hint(format!("{} files are looked for", ENDINGS.join(", "))));
    }
    Ok(from_files(files, base, labels))
}

/// Files as entries, whose names are their paths below the folder `base`.
fn from_files(files: Vec<PathBuf>, base: &Path, labels: &Labels) -> Found {
    let folder = |path: &Path| {
        let name = path.parent().and_then(Path::file_name);
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let classes = if *labels == Labels::Folder { sorted(files.iter().map(|path| folder(path))) } else { Vec::new() };
    let entry = |path: PathBuf| {
        let label = classes.binary_search(&folder(&path)).ok().map(|label| label as u32);
        let name = path.strip_prefix(base).unwrap_or(&path).display().to_string();
        Entry::new(name, label, Source::File(path))
    };
    (files.into_iter().map(entry).collect(), classes.clone())
}

/// Entries with the labels of a file.
fn labelled(entries: Vec<Entry>, path: &Path) -> Result<Found> {
    let (labels, classes) = labels(path)?;
    if labels.len() != entries.len() {
        let message = format!("has {} labels for {} images", labels.len(), entries.len());
        return Err(wrong(path, message));
    }
    let entry = |(entry, label): (Entry, u32)| Entry { label: Some(label), ..entry };
    Ok((entries.into_iter().zip(labels).map(entry).collect(), classes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::noise;

    /// The names and classes of a place below a folder.
    fn at(folder: &Path, place: &str, labels: Labels) -> Vec<(String, Option<String>)> {
        let place = Place::Path(folder.join(place).display().to_string());
        let set = images(&Job::detached(), place, labels).unwrap();
        let pair = |entry: &Entry| {
            assert!(entry.read().is_ok());
            let name = Path::new(&*entry.name).strip_prefix(folder).unwrap().display().to_string();
            (name, set.class_of(entry).map(str::to_owned))
        };
        set.entries().iter().map(pair).collect()
    }

    #[test]
    fn folders_are_classes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["cats/a.png", "places/b.png", "places/far/c.PNG", "places/.hidden/d.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            noise(4, 3, 1).unwrap().save(path.with_extension("png")).unwrap();
            std::fs::rename(path.with_extension("png"), path).unwrap();
        }
        std::fs::write(folder.path().join("cats/notes.txt"), "none").unwrap();
        let wanted = [("cats/a.png", "cats"), ("places/b.png", "places"), ("places/far/c.PNG", "far")];
        let wanted = wanted.map(|(name, class)| (name.to_owned(), Some(class.to_owned())));
        assert_eq!(at(folder.path(), "", Labels::Folder), wanted);
        assert_eq!(at(folder.path(), "places", Labels::Folder), wanted[1..]);
        assert_eq!(at(folder.path(), "*/*.png", Labels::Folder), wanted[..2]);
        assert_eq!(at(folder.path(), "cats/a.png", Labels::None), [("cats/a.png".to_owned(), None)]);
        let labels = folder.path().join("labels.txt");
        std::fs::write(&labels, "x\ny\nx\n").unwrap();
        let own = at(folder.path(), "", Labels::File(labels.display().to_string()));
        assert_eq!(own.iter().map(|(_, class)| class.as_deref().unwrap()).collect::<Vec<_>>(), ["x", "y", "x"]);
    }
}
