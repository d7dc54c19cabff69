//! The activation store: what a network makes of the images of a set, run once and kept.

mod block;
mod file;
mod fill;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
mod words;

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use self::block::Block;
pub use self::block::{Column, Kept, Row};
use self::file::{About, Part};
pub use self::fill::Skipped;
use self::fill::{Filler, check, parts};
pub use self::words::{merge, store};
use super::{Entry, ImageSet};
use crate::error::{Error, Kind, Result};
use crate::hash::Fnv;
use crate::job::{Job, Shard};
use crate::lang::{Provenance, value_type};
use crate::model::{Layer, Model};

/// The version of the form of its files.
const VERSION: u32 = 1;
/// A part has at most so many rows, and at most so many bytes unless one row has more.
const MOST_ROWS: usize = 256;
const MOST_BYTES: usize = 32 << 20;

/// What a network makes of images: of each channel of some layers the largest value, where it is, the mean, and the maps if they
/// were asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Rc<Inner>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    Store,
    "store",
    "a store of activations",
    "What a network makes of the images of a set, run once and kept.",
    provenance
);

#[derive(Debug)]
struct Inner {
    about: About,
    columns: Vec<Column>,
    /// The network and the set; a store that was only read knows neither.
    made_of: Option<(Model, ImageSet)>,
    /// The images that have rows, in order, and where: the part, and the row in it.
    rows: Vec<Row>,
    places: Vec<(usize, usize)>,
    parts: Vec<Rows>,
    folders: Vec<PathBuf>,
    skipped: Vec<Skipped>,
    shard: Option<Shard>,
    read: RefCell<HashMap<usize, Arc<[f32]>>>,
}

/// Some rows, in memory or in a file.
#[derive(Debug)]
enum Rows {
    Memory(Block),
    File(Part),
}

impl Rows {
    fn rows(&self) -> &[Row] {
        match self {
            Self::Memory(block) => &block.rows,
            Self::File(part) => &part.rows,
        }
    }
}

impl Store {
    /// Runs a network over the images of a set, but for those that a folder has rows of already, and keeps the rows there, or in
    /// memory without one. Images that cannot be read are skipped. A part of the folder is written whole or not at all: a run
    /// that was stopped goes on where it was.
    ///
    /// # Errors
    /// A layer is another network's; the folder holds what is of something else, or cannot be written; or the run was
    /// interrupted.
    pub fn fill(
        job: &Job,
        model: &Model,
        set: &ImageSet,
        layers: &[Layer],
        maps: bool,
        folder: Option<PathBuf>,
    ) -> Result<Self> {
        check(model, layers)?;
        let about = about(model, set, layers, maps);
        let columns = about.columns();
        let mut have: Vec<Rows> = match &folder {
            Some(folder) => opened(folder, Some(&about))?.into_iter().map(Rows::File).collect(),
            None => Vec::new(),
        };
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).map_err(|error| {
                let message = format!("`{}` cannot be made: {error}", folder.display());
                Error::new(Kind::File, message).at_argument("to")
            })?;
        }
        let shard = job.shard().filter(|_| folder.is_some());
        let known: HashMap<(&str, u64), ()> =
            have.iter().flat_map(Rows::rows).map(|row| ((&*row.name, row.content), ())).collect();
        let bytes: usize = columns.iter().map(|column| 4 * column.width).sum();
        let size = (MOST_BYTES / bytes.max(1)).clamp(1, MOST_ROWS);
        let content: Vec<u64> = set.entries().iter().map(Entry::content).collect();
        let missing: Vec<Vec<usize>> = parts(set.entries().len(), size)
            .enumerate()
            .filter(|(part, _)| shard.is_none_or(|shard| shard.has(*part)))
            .map(|(_, range)| {
                range.filter(|at| !known.contains_key(&(&*set.entries()[*at].name, content[*at]))).collect()
            })
            .filter(|missing: &Vec<usize>| !missing.is_empty())
            .collect();
        drop(known);
        let progress = job.progress("activations", missing.iter().map(Vec::len).sum());
        let filler = Filler::new(job, model, set, layers, &columns);
        let mut skipped = Vec::new();
        for images in &missing {
            job.interrupt().check()?;
            let (block, broken) = filler.block(images, &content, &mut |done| {
                // an interrupt is seen by the next run: what is whole is kept
                let _ = progress.advance(done);
            })?;
            skipped.extend(broken);
            if block.rows.is_empty() {
                continue;
            }
            have.push(match &folder {
                Some(folder) => {
                    let path = folder.join(part_name(&block.rows));
                    Part::write(&path, &about, &block)?;
                    Rows::File(Part { path, about: about.clone(), rows: block.rows })
                }
                None => Rows::Memory(block),
            });
        }
        progress.end();
        let folders = folder.into_iter().collect();
        let store = Self::of(about, have, folders)?;
        store.of_set(model, set, &content, skipped, shard)
    }

    /// The rows of all parts that folders hold.
    ///
    /// # Errors
    /// A folder holds no part, or they are not all of the same.
    pub fn open(folders: &[PathBuf]) -> Result<Self> {
        let mut all: Vec<Part> = Vec::new();
        for folder in folders {
            let own = opened(folder, all.first().map(|part| &part.about))?;
            if own.is_empty() {
                let message = format!("there is no store in `{}`", folder.display());
                return Err(Error::new(Kind::File, message).with_hint("`store(model, images, to=…)` makes one"));
            }
            all.extend(own);
        }
        let first = all.first().map(|part| part.about.clone());
        let about = first.ok_or_else(|| Error::new(Kind::Argument, "merge: there is no folder"))?;
        Self::of(about, all.into_iter().map(Rows::File).collect(), folders.to_vec())
    }

    /// All rows of some parts, each image once.
    fn of(about: About, parts: Vec<Rows>, folders: Vec<PathBuf>) -> Result<Self> {
        let mut places: Vec<(usize, usize)> = Vec::new();
        for (part, rows) in parts.iter().enumerate() {
            places.extend((0..rows.rows().len()).map(|row| (part, row)));
        }
        let row = |(part, row): &(usize, usize)| parts.get(*part).and_then(|part| part.rows().get(*row)).cloned();
        let mut all: Vec<(Row, (usize, usize))> =
            places.iter().filter_map(|place| Some((row(place)?, *place))).collect();
        all.sort_by(|(a, _), (b, _)| (a.index, &a.name, a.content).cmp(&(b.index, &b.name, b.content)));
        let mut seen = std::collections::HashSet::new();
        all.retain(|(row, _)| seen.insert((row.name.clone(), row.content)));
        let (rows, places) = all.into_iter().unzip();
        let (columns, read) = (about.columns(), RefCell::default());
        let (made_of, skipped, shard) = (None, Vec::new(), None);
        let inner = Inner { about, columns, made_of, rows, places, parts, folders, skipped, shard, read };
        Ok(Self { inner: Rc::new(inner), provenance: None })
    }

    /// The rows of the images of a set, in its order.
    fn of_set(
        self,
        model: &Model,
        set: &ImageSet,
        content: &[u64],
        skipped: Vec<Skipped>,
        shard: Option<Shard>,
    ) -> Result<Self> {
        let Ok(inner) = Rc::try_unwrap(self.inner) else {
            return Err(Error::new(Kind::Internal, "a store is in use"));
        };
        let at: HashMap<(&str, u64), usize> =
            inner.rows.iter().enumerate().map(|(at, row)| ((&*row.name, row.content), at)).collect();
        let (mut rows, mut places, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (entry, content)) in set.entries().iter().zip(content).enumerate() {
            let Some(at) = at.get(&(&*entry.name, *content)) else { continue };
            let label = set.class_of(entry).map(str::to_owned);
            rows.push(Row { index: index as u64, name: entry.name.clone(), content: *content, label });
            places.push(inner.places[*at]);
            entries.push(entry.clone());
        }
        if rows.is_empty() && shard.is_none() {
            let error =
                Error::new(Kind::Argument, format!("store: none of {} images can be read", set.entries().len()));
            let why = skipped.first().map(|first| format!("{}: {}", first.name, first.why));
            return Err(error.with_hint(why.unwrap_or_default()).at_argument("images"));
        }
        drop(at);
        let set = if entries.is_empty() { set.clone() } else { set.with_entries(entries)? };
        let made_of = Some((model.clone(), set));
        let inner = Inner { made_of, rows, places, skipped, shard, ..inner };
        Ok(Self { inner: Rc::new(inner), provenance: None })
    }

    /// The images that it has rows of, in order.
    pub fn rows(&self) -> &[Row] {
        &self.inner.rows
    }

    /// The images that could not be read when it was filled.
    pub fn skipped(&self) -> &[Skipped] {
        &self.inner.skipped
    }

    /// The names of its layers, and the shape of each for one image.
    pub fn layers(&self) -> &[(String, Vec<usize>)] {
        &self.inner.about.layers
    }

    /// The layer of a name, which may be any that the network has for it; the first layer if none is named.
    ///
    /// # Errors
    /// The store has no such layer.
    pub fn layer_named(&self, name: Option<&str>) -> Result<String> {
        let Inner { about, made_of, .. } = &*self.inner;
        let names = || about.layers.iter().map(|(name, _)| name.as_str());
        let Some(wanted) = name else {
            let first = names().next().map(str::to_owned);
            return first.ok_or_else(|| Error::new(Kind::Internal, "a store without layers"));
        };
        let known = made_of.as_ref().and_then(|(model, _)| model.layer(wanted).ok());
        let wanted = known.as_ref().map_or(wanted, |layer| layer.known_as());
        if let Some(found) = names().find(|name| *name == wanted) {
            return Ok(found.to_owned());
        }
        let error = Error::new(Kind::Argument, format!("the store has no layer {wanted}")).at_argument("layer");
        Err(error.with_hint(format!("it has {}", names().collect::<Vec<_>>().join(", "))))
    }

    /// The network, and the images that there are rows of.
    ///
    /// # Errors
    /// The store was read from its files alone.
    pub fn made_of(&self) -> Result<(&Model, &ImageSet)> {
        let made_of = self.inner.made_of.as_ref().map(|(model, set)| (model, set));
        made_of.ok_or_else(|| {
            let error = Error::new(Kind::Argument, "the store was read from its files: its images are not known");
            error.with_hint("`store(model, images, to=…)` with the same folder knows them, and computes nothing anew")
        })
    }

    /// The numbers of a column, those of one image after those of the other.
    ///
    /// # Errors
    /// The store does not keep that, or a file cannot be read.
    pub fn numbers(&self, layer: &str, kept: Kept) -> Result<Arc<[f32]>> {
        let inner = &*self.inner;
        let of = |column: &Column| column.layer == layer && column.kept == kept;
        let Some(place) = inner.columns.iter().position(of) else {
            let names: Vec<&str> = inner.about.layers.iter().map(|(name, _)| name.as_str()).collect();
            if names.contains(&layer) {
                let error = Error::new(Kind::Argument, format!("the store has no maps of layer {layer}"));
                return Err(error.with_hint("`store(…, maps=true)` keeps them"));
            }
            let error = Error::new(Kind::Argument, format!("the store has no layer {layer}"));
            return Err(error.with_hint(format!("it has {}", names.join(", "))).at_argument("layer"));
        };
        if let Some(known) = inner.read.borrow().get(&place) {
            return Ok(known.clone());
        }
        let width = inner.columns.get(place).map_or(0, |column| column.width);
        let mut numbers = vec![0f32; inner.rows.len() * width];
        for (part, rows) in inner.parts.iter().enumerate() {
            let own: Vec<(usize, usize)> =
                inner.places.iter().enumerate().filter(|(_, at)| at.0 == part).map(|(to, at)| (to, at.1)).collect();
            if own.is_empty() {
                continue;
            }
            let of_file;
            let from = match rows {
                Rows::Memory(block) => block.columns.get(place).map_or(&[][..], Vec::as_slice),
                Rows::File(part) => {
                    of_file = part.numbers(place)?;
                    &of_file
                }
            };
            for (to, row) in own {
                if let (Some(to), Some(from)) =
                    (numbers.get_mut(to * width..(to + 1) * width), from.get(row * width..(row + 1) * width))
                {
                    to.copy_from_slice(from);
                }
            }
        }
        let numbers: Arc<[f32]> = numbers.into();
        // maps may be more than memory should hold
        if kept != Kept::Map {
            inner.read.borrow_mut().insert(place, numbers.clone());
        }
        Ok(numbers)
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { about, rows, folders, skipped, shard, parts, .. } = &*self.inner;
        let layer = |(name, shape): &(String, Vec<usize>)| {
            let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
            format!("{name} ({})", shape.join("×"))
        };
        let layers: Vec<String> = about.layers.iter().map(layer).collect();
        write!(
            f,
            "activations of {} image{} in {}",
            rows.len(),
            if rows.len() == 1 { "" } else { "s" },
            layers.join(", ")
        )?;
        if about.maps {
            f.write_str(", with maps")?;
        }
        if let Some(shard) = shard {
            write!(f, ", of shard {shard}")?;
        }
        if !folders.is_empty() {
            let names: Vec<String> = folders.iter().map(|folder| format!("`{}`", folder.display())).collect();
            write!(
                f,
                ", kept in {} ({} part{})",
                names.join(", "),
                parts.len(),
                if parts.len() == 1 { "" } else { "s" }
            )?;
        }
        match skipped.as_slice() {
            [] => Ok(()),
            [first, others @ ..] => {
                write!(f, "; skipped {}: {}", first.name, first.why)?;
                match others.len() {
                    0 => Ok(()),
                    1 => f.write_str(", and one more"),
                    more => write!(f, ", and {more} more"),
                }
            }
        }
    }
}

fn about(model: &Model, set: &ImageSet, layers: &[Layer], maps: bool) -> About {
    let name = format!("{}{}", model.name(), model.graph().edit_calls());
    let changed = if set.is_changed() { ", of images that functions of the script change" } else { "" };
    About {
        version: VERSION,
        model: name,
        weights: model.weights().hash().to_owned(),
        recipe: format!("{}{changed}", model.recipe()),
        layers: layers.iter().map(|layer| (layer.known_as().to_owned(), layer.shape().to_vec())).collect(),
        maps,
    }
}

/// What the file of some rows is called: by the place of the first, and by which they are.
fn part_name(rows: &[Row]) -> String {
    let mut hash = Fnv::default();
    for row in rows {
        hash.word(row.name.len() as u64);
        hash.bytes(row.name.as_bytes());
        hash.word(row.content);
    }
    format!("part-{:09}-{:016x}.parquet", rows.first().map_or(0, |row| row.index), hash.value())
}

/// The parts in a folder, in the order of their names; none if there is no folder.
fn opened(folder: &Path, about: Option<&About>) -> Result<Vec<Part>> {
    let listing = match std::fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let message = format!("`{}` cannot be read as a folder: {error}", folder.display());
            return Err(Error::new(Kind::File, message).at_argument("to"));
        }
    };
    let is_part = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("part-") && name.ends_with(".parquet")
    };
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| Some(entry.ok()?.path())).filter(is_part).collect();
    paths.sort_unstable();
    let mut parts = Vec::with_capacity(paths.len());
    for path in paths {
        let part = Part::open(&path)?;
        about
            .or(parts.first().map(|part: &Part| &part.about))
            .map_or(Ok(()), |about| about.check(&part.about, &path))?;
        parts.push(part);
    }
    Ok(parts)
}
