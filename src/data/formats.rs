//! Files that hold many images, or the labels of many: IDX (MNIST), CIFAR-10's binary form, CSV and plain lists.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;

use super::entry::Source;
use super::{Entry, Packed};
use crate::error::{Error, Kind, Result, missing_file};

/// The largest file that is read, in bytes, packed and unpacked.
const MOST: u64 = 1 << 30;
/// Images of one file at most: a small packed one may claim any number.
const MOST_IMAGES: usize = 2_000_000;
/// One image of CIFAR-10: a label, and 32 × 32 pixels of three channels.
const CIFAR_RECORD: usize = 1 + 3 * 32 * 32;
/// CIFAR-10's classes, in its order.
const CIFAR_CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// How a column of paths or of labels may be called.
const PATHS: [&str; 5] = ["path", "file", "filename", "image", "image_path"];
const LABELS: [&str; 4] = ["label", "class", "category", "target"];

/// Entries, and the names of their classes.
pub(super) type Found = (Vec<Entry>, Vec<String>);

pub(super) fn wrong(path: &Path, message: impl std::fmt::Display) -> Error {
    Error::new(Kind::File, format!("`{}` {message}", path.display()))
}

/// The bytes of a file, unpacked if it is gzipped.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let unread = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => missing_file(path),
        _ => wrong(path, format_args!("cannot be read: {error}")),
    };
    // to open a pipe would wait for whoever writes to it
    if !fs::metadata(path).map_err(unread)?.is_file() {
        return Err(wrong(path, "is no file"));
    }
    let file = fs::File::open(path).map_err(unread)?;
    let bounded = |reader: &mut dyn Read| {
        let mut bytes = Vec::new();
        let read = reader.take(MOST + 1).read_to_end(&mut bytes);
        read.map_err(|error| wrong(path, format_args!("cannot be read: {error}")))?;
        match bytes.len() as u64 > MOST {
            true => Err(wrong(path, format_args!("is too large: at most {} MB are read", MOST >> 20))),
            false => Ok(bytes),
        }
    };
    let bytes = bounded(&mut &file)?;
    if bytes.starts_with(&[0x1f, 0x8b]) { bounded(&mut GzDecoder::new(bytes.as_slice())) } else { Ok(bytes) }
}

/// What IDX bytes hold: their dimensions, and numbers of one byte.
fn idx<'a>(path: &Path, bytes: &'a [u8]) -> Result<Option<(Vec<usize>, &'a [u8])>> {
    let &[0, 0, kind, dimensions, ..] = bytes else { return Ok(None) };
    if !(0x08..=0x0e).contains(&kind) || !(1..=4).contains(&dimensions) {
        return Ok(None);
    }
    if kind != 0x08 {
        return Err(wrong(path, "is an IDX file whose numbers are no bytes"));
    }
    let header = 4 + 4 * usize::from(dimensions);
    let sizes = bytes.get(4..header).map(|sizes| {
        let sizes = sizes.as_chunks::<4>().0.iter().map(|size| u32::from_be_bytes(*size) as usize);
        sizes.collect::<Vec<usize>>()
    });
    let values = bytes.get(header..).unwrap_or_default();
    let all = |sizes: &Vec<usize>| sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
    match sizes {
        Some(sizes) if all(&sizes) == Some(values.len()) => Ok(Some((sizes, values))),
        Some(sizes) => {
            let message = format!("is a damaged IDX file: it says {sizes:?}, and {} bytes follow", values.len());
            Err(wrong(path, message))
        }
        None => Err(wrong(path, "is a damaged IDX file: its header is cut off")),
    }
}

/// The images of an IDX file or of CIFAR-10's binary form; nothing if it is neither.
pub(super) fn packed(path: &Path) -> Result<Option<Found>> {
    let bytes = bytes_of(path)?;
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    if let Some((sizes, values)) = idx(path, &bytes)? {
        let (width, height, channels) = match sizes[..] {
            [_, height, width] => (width, height, 1),
            [_, height, width, channels @ (1 | 3)] => (width, height, channels),
            _ => {
                return Err(wrong(path, format_args!("is an IDX file of {sizes:?}, which are no images"))
                    .with_hint("a file of labels is given by labels="));
            }
        };
        if width == 0 || height == 0 || values.is_empty() {
            return Err(wrong(path, "is an IDX file without images"));
        }
        let values = if channels == 3 { planar(values, width * height) } else { values.to_vec() };
        let packed = Arc::new(Packed { bytes: values, width, height, channels });
        check_count(path, packed.count())?;
        let entry =
            |index| Entry::new(format_args!("{name} {index}"), None, Source::Packed(Arc::clone(&packed), index));
        return Ok(Some(((0..packed.count()).map(entry).collect(), Vec::new())));
    }
    let is_cifar = !bytes.is_empty()
        && bytes.len().is_multiple_of(CIFAR_RECORD)
        && bytes.chunks_exact(CIFAR_RECORD).all(|record| usize::from(record[0]) < CIFAR_CLASSES.len());
    if !is_cifar {
        return Ok(None);
    }
    let labels: Vec<u32> = bytes.chunks_exact(CIFAR_RECORD).map(|record| u32::from(record[0])).collect();
    let pixels = bytes.chunks_exact(CIFAR_RECORD).flat_map(|record| record[1..].iter().copied()).collect();
    let packed = Arc::new(Packed { bytes: pixels, width: 32, height: 32, channels: 3 });
    let entry = |(index, label): (usize, u32)| {
        Entry::new(format_args!("{name} {index}"), Some(label), Source::Packed(Arc::clone(&packed), index))
    };
    let entries = labels.into_iter().enumerate().map(entry).collect();
    Ok(Some((entries, CIFAR_CLASSES.map(str::to_owned).to_vec())))
}

fn check_count(path: &Path, count: usize) -> Result<()> {
    match count <= MOST_IMAGES {
        true => Ok(()),
        false => {
            Err(wrong(path, format_args!("holds more than {MOST_IMAGES} images, which is the most that are read")))
        }
    }
}

/// Pixels of three channels side by side, as three planes for each image.
fn planar(values: &[u8], pixels: usize) -> Vec<u8> {
    let image = |image: &[u8]| -> Vec<u8> {
        (0..3).flat_map(|channel| image.iter().skip(channel).step_by(3).copied().collect::<Vec<u8>>()).collect()
    };
    values.chunks_exact(3 * pixels).flat_map(image).collect()
}

/// The images that a CSV file lists, with their labels if it has a column of them. Paths are relative to its folder.
pub(super) fn listed(path: &Path) -> Result<Found> {
    let bytes = bytes_of(path)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).flexible(true).from_reader(text);
    let rows = reader.records().take(MOST_IMAGES + 2).collect::<Result<Vec<csv::StringRecord>, _>>();
    let rows = rows.map_err(|error| wrong(path, format_args!("is no CSV file: {error}")))?;
    check_count(path, rows.len().saturating_sub(1))?;
    let column = |names: &[&str]| {
        let first = rows.first()?;
        first.iter().position(|cell| names.contains(&cell.to_lowercase().as_str()))
    };
    let (paths, labels, first) = match (column(&PATHS), column(&LABELS)) {
        (Some(paths), labels) => (paths, labels, 1),
        // without a header the first column has the paths, and a second one the labels
        (None, _) => (0, rows.first().filter(|row| row.len() > 1).map(|_| 1), 0),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut found: Vec<(String, String)> = Vec::new();
    for (row, number) in rows.iter().zip(1..).skip(first) {
        let Some(file) = row.get(paths).filter(|file| !file.is_empty()) else { continue };
        let label = match labels.map(|column| row.get(column)) {
            Some(Some(label)) => label,
            Some(None) => return Err(wrong(path, format_args!("has no label in line {number}"))),
            None => "",
        };
        found.push((file.to_owned(), label.to_owned()));
    }
    if found.is_empty() {
        return Err(wrong(path, "lists no images").with_hint("a line for each: path, label"));
    }
    let classes = if labels.is_some() { sorted(found.iter().map(|(_, label)| label.clone())) } else { Vec::new() };
    let entries = found.iter().map(|(file, label)| {
        let label = classes.binary_search(label).ok().map(|label| label as u32);
        Entry::new(file, label, Source::File(folder.join(file)))
    });
    Ok((entries.collect(), classes.clone()))
}

/// The labels in a file, one for each image: IDX bytes, or a line of text for each.
pub(super) fn labels(path: &Path) -> Result<(Vec<u32>, Vec<String>)> {
    let bytes = bytes_of(path)?;
    if let Some((sizes, values)) = idx(path, &bytes)? {
        let [_] = sizes[..] else {
            return Err(wrong(path, format_args!("is an IDX file of {sizes:?}, which are no labels")));
        };
        let count = values.iter().max().map_or(0, |most| u32::from(*most) + 1);
        return Ok((
            values.iter().map(|v| u32::from(*v)).collect(),
            (0..count).map(|label| label.to_string()).collect(),
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong(path, "is neither text nor an IDX file of labels"))?;
    let lines: Vec<&str> =
        text.strip_prefix('\u{feff}').unwrap_or(&text).lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let classes = sorted(lines.iter().map(|line| (*line).to_owned()));
    let label = |line: &&str| classes.binary_search_by(|class| class.as_str().cmp(line)).unwrap_or(0) as u32;
    Ok((lines.iter().map(label).collect(), classes.clone()))
}

/// Each name once, sorted.
pub(super) fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Bytes as IDX, with their dimensions.
    fn as_idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn written(bytes: &[u8], name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn refused(bytes: &[u8], name: &str) -> String {
        let (_folder, path) = written(bytes, name);
        packed(&path).unwrap_err().message().to_owned()
    }

    #[test]
    fn idx_files_hold_images_and_labels() {
        let bytes = as_idx(&[2, 2, 3], &[0, 51, 102, 153, 204, 255, 1, 2, 3, 4, 5, 6]);
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(&bytes).unwrap();
        for bytes in [bytes, zipped.finish().unwrap()] {
            let (_folder, path) = written(&bytes, "images");
            let (entries, classes) = packed(&path).unwrap().unwrap();
            assert!(classes.is_empty() && entries.len() == 2);
            assert_eq!(&*entries[1].name, "images 1");
            let image = entries[0].read().unwrap();
            assert_eq!((image.width(), image.height()), (3, 2));
            assert_eq!(image.channels()[2], [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        }
        let (_folder, path) = written(&as_idx(&[1, 1, 2, 3], &[1, 2, 3, 4, 5, 6]), "colours");
        let (entries, _) = packed(&path).unwrap().unwrap();
        assert_eq!(entries[0].read().unwrap().channels()[1], [2.0 / 255.0, 5.0 / 255.0]);
        let (_folder, path) = written(&as_idx(&[3], &[2, 0, 2]), "labels");
        assert_eq!(labels(&path).unwrap(), (vec![2, 0, 2], ["0", "1", "2"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn damaged_idx_files_are_refused() {
        assert!(
            refused(&as_idx(&[2, 2, 3], &[0; 11]), "x").contains("damaged IDX file: it says [2, 2, 3], and 11 bytes")
        );
        assert!(refused(&as_idx(&[u32::MAX; 4], &[0; 11]), "x").contains("damaged"));
        assert!(refused(&as_idx(&[0, 28, 28], &[]), "x").contains("without images"));
        assert!(refused(&as_idx(&[2_000_001, 1, 1], &[0; 2_000_001]), "x").contains("more than 2000000 images"));
        assert!(refused(&as_idx(&[3], &[1, 2, 3]), "x").contains("which are no images"));
        assert!(refused(&[0, 0, 8, 3, 0, 0], "x").contains("header is cut off"));
        assert!(refused(&[0, 0, 0x0d, 3, 0, 0, 0, 0], "x").contains("no bytes"));
        let (_folder, path) = written(b"nothing of the kind", "x");
        assert!(packed(&path).unwrap().is_none());
    }

    #[test]
    fn cifar_files_bring_their_classes() {
        let record = |label: u8, shade: u8| [vec![label], vec![shade; CIFAR_RECORD - 1]].concat();
        let (_folder, path) = written(&[record(3, 255), record(9, 51)].concat(), "data_batch_1.bin");
        let (entries, classes) = packed(&path).unwrap().unwrap();
        assert_eq!(
            entries.iter().map(|entry| classes[entry.label.unwrap() as usize].as_str()).collect::<Vec<_>>(),
            ["cat", "truck"]
        );
        let image = entries[1].read().unwrap();
        assert_eq!((image.width(), image.height(), image.planes()[5]), (32, 32, 0.2));
        let (_folder, path) = written(&record(10, 0), "data_batch_1.bin");
        assert!(packed(&path).unwrap().is_none());
    }

    #[test]
    fn lists_have_headers_or_none() {
        let texts = ["\u{feff}label,path\r\ncat,\"a, b.png\"\r\ndog,d/e.png\r\n", "\"a, b.png\",cat\nd/e.png,dog\n"];
        for text in texts {
            let (folder, path) = written(text.as_bytes(), "list.csv");
            let (entries, classes) = listed(&path).unwrap();
            assert_eq!(classes, ["cat", "dog"]);
            assert_eq!(entries.iter().map(|entry| &*entry.name).collect::<Vec<_>>(), ["a, b.png", "d/e.png"]);
            assert!(matches!(&entries[1].source, Source::File(file) if *file == folder.path().join("d/e.png")));
        }
        let (_folder, path) = written(b"a.png\nb.png\n", "list.csv");
        let (entries, classes) = listed(&path).unwrap();
        assert!(entries.len() == 2 && classes.is_empty() && entries[0].label.is_none());
        let (_folder, path) = written(b"path,label\na.png\n", "list.csv");
        assert!(listed(&path).unwrap_err().message().contains("has no label in line 2"));
        let (_folder, path) = written(b"path,label\n", "list.csv");
        assert!(listed(&path).unwrap_err().message().contains("lists no images"));
        let (_folder, path) = written("\u{feff}cat\r\n\r\ndog\r\ncat\r\n".as_bytes(), "labels.txt");
        assert_eq!(labels(&path).unwrap(), (vec![0, 1, 0], ["cat", "dog"].map(str::to_owned).to_vec()));
    }
}
