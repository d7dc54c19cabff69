//! A set of images: names, labels, and pixels that are read when they are looked at.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::Entry;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, FnPtr, Provenance, describe, value_type};

/// Images with names and labels, read when they are looked at; cheap to clone.
#[derive(Clone, Debug)]
pub struct ImageSet {
    entries: Arc<[Entry]>,
    /// The names of the classes; a label is a place in them.
    classes: Arc<[String]>,
    /// Functions of the script that change each image after it was read, first to last.
    changes: Vec<FnPtr>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    ImageSet,
    "image set",
    "a set of images",
    "Images with names and labels, which are read when they are looked at.",
    provenance
);

impl ImageSet {
    /// A set of entries whose labels are places in `classes`.
    ///
    /// # Errors
    /// There is no entry, or one has a label that is no class.
    pub fn new(entries: Vec<Entry>, classes: Vec<String>) -> Result<Self> {
        if entries.is_empty() {
            return Err(Error::new(Kind::Argument, "a set of images needs at least one image"));
        }
        if let Some(entry) = entries.iter().find(|entry| entry.label.is_some_and(|l| l as usize >= classes.len())) {
            let message = format!("the label of {} is none of the {} classes", entry.name, classes.len());
            return Err(Error::new(Kind::Argument, message));
        }
        Ok(Self { entries: entries.into(), classes: classes.into(), changes: Vec::new(), provenance: None })
    }

    /// Its images, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of its classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The name of an entry's class, if it has one.
    pub fn class_of(&self, entry: &Entry) -> Option<&str> {
        self.classes.get(entry.label? as usize).map(String::as_str)
    }

    /// The same classes and changes with other entries.
    ///
    /// # Errors
    /// There is none.
    pub fn with_entries(&self, entries: Vec<Entry>) -> Result<Self> {
        let set = Self::new(entries, self.classes.to_vec())?;
        Ok(Self { changes: self.changes.clone(), ..set })
    }

    /// The same images, each changed by a function of the script after it was read.
    pub fn changed_by(&self, change: FnPtr) -> Self {
        let changes = self.changes.iter().cloned().chain([change]).collect();
        Self { changes, provenance: None, ..self.clone() }
    }

    /// Whether functions of the script change its images.
    pub fn is_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The images of some places, read side by side, with what is wrong with those that cannot be read.
    ///
    /// # Errors
    /// A function of the script fails or returns no image, or the job was interrupted.
    pub fn read(&self, job: &Job, range: Range<usize>) -> Result<Vec<Result<Image>>> {
        let entries = self.entries.get(range).unwrap_or_default();
        let interrupt = job.interrupt();
        let images: Vec<Result<Image>> = entries
            .par_iter()
            .map(|entry| {
                interrupt.check()?;
                entry.read()
            })
            .collect();
        interrupt.check()?;
        images
            .into_iter()
            .map(|image| image.map_or_else(|e| Ok(Err(e)), |image| self.change(job, image).map(Ok)))
            .collect()
    }

    /// An image after the changes.
    fn change(&self, job: &Job, image: Image) -> Result<Image> {
        self.changes.iter().try_fold(image, |image, change| {
            let changed = job.call(change, vec![Dynamic::from(image)])?;
            let what = describe(&changed);
            changed.try_cast::<Image>().ok_or_else(|| {
                Error::new(Kind::Argument, format!("map: the function must return an image, not {what}"))
                    .with_hint("such as |image| image.resize(64, 64)")
            })
        })
    }

    /// How many images each class has, in the order of the classes.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for entry in self.entries.iter() {
            if let Some(count) = entry.label.and_then(|label| counts.get_mut(label as usize)) {
                *count += 1;
            }
        }
        counts
    }
}

impl fmt::Display for ImageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, classes) = (self.entries.len(), self.classes.len());
        write!(f, "{count} image{}", if count == 1 { "" } else { "s" })?;
        match classes {
            0 => Ok(()),
            1..=12 => {
                let each = self.classes.iter().zip(self.counts()).map(|(class, count)| format!("{class} ({count})"));
                write!(f, ": {}", each.collect::<Vec<_>>().join(", "))
            }
            _ => write!(f, " of {classes} classes"),
        }
    }
}
