//! A set of images: names, labels, and pixels that are read when they are looked at.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use rayon::prelude::*;

use super::Entry;
use super::entry::Source;
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, FnPtr, Provenance, describe, value_type};

/// So many things that were made of it are kept with a set.
const MOST_KEPT: usize = 8;

/// Images with names and labels, read when they are looked at; cheap to clone.
#[derive(Clone, Debug)]
pub struct ImageSet {
    entries: Arc<[Entry]>,
    /// The names of the classes; a label is a place in them.
    classes: Arc<[String]>,
    /// Functions of the script that change each image after it was read, first to last.
    changes: Vec<FnPtr>,
    /// What was made of it, the latest last; shared by its clones.
    kept: Rc<RefCell<Vec<Rc<dyn Any>>>>,
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
        Ok(Self {
            entries: entries.into(),
            classes: classes.into(),
            changes: Vec::new(),
            kept: Rc::default(),
            provenance: None,
        })
    }

    /// Images that are there already, named by their numbers.
    ///
    /// # Errors
    /// There is none.
    pub fn of_images(images: &[Image]) -> Result<Self> {
        let entry = |(index, image): (usize, &Image)| Entry::new(index, None, Source::Image(image.clone()));
        Self::new(images.iter().enumerate().map(entry).collect(), Vec::new())
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
        Self { changes, kept: Rc::default(), provenance: None, ..self.clone() }
    }

    /// The first images of this set and all of another one, each as its own set reads it.
    ///
    /// # Errors
    /// Functions of the script change one of them, and not the same ones the other.
    pub fn with_more(&self, first: usize, other: &Self) -> Result<Self> {
        if self.is_changed() || other.is_changed() {
            let message = "sets whose images functions of the script change cannot be joined";
            return Err(Error::new(Kind::Argument, message));
        }
        let mut classes = self.classes.to_vec();
        let mut entries: Vec<Entry> = self.entries.iter().take(first).cloned().collect();
        for entry in other.entries() {
            let label = other.class_of(entry).map(|class| {
                let known = classes.iter().position(|known| known == class);
                known.unwrap_or_else(|| {
                    classes.push(class.to_owned());
                    classes.len() - 1
                })
            });
            entries.push(Entry { label: label.map(|label| label as u32), ..entry.clone() });
        }
        Self::new(entries, classes)
    }

    /// Whether functions of the script change its images.
    pub fn is_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// An image of the set.
    ///
    /// # Errors
    /// There is none at that place, it cannot be read, a function of the script fails or returns no image, or the job was
    /// interrupted.
    pub fn read(&self, job: &Job, index: usize) -> Result<Image> {
        let image = self.read_each(job, &[index], Ok)?.pop();
        image.ok_or_else(|| Error::new(Kind::Internal, format!("there is no image {index} in the set")))?
    }

    /// What `make` makes of the images of some places, side by side, or what is wrong with those that cannot be read. No more
    /// images are in memory at a time than there are threads.
    ///
    /// # Errors
    /// A function of the script fails or returns no image, or the job was interrupted.
    pub fn read_each<T: Send>(
        &self,
        job: &Job,
        indices: &[usize],
        make: impl Fn(Image) -> Result<T> + Sync,
    ) -> Result<Vec<Result<T>>> {
        let interrupt = job.interrupt();
        let entries: Vec<&Entry> = indices.iter().filter_map(|index| self.entries.get(*index)).collect();
        let read = |entry: &&Entry| {
            interrupt.check()?;
            entry.read()
        };
        let made = if self.changes.is_empty() {
            entries.par_iter().map(|entry| read(entry).and_then(&make)).collect()
        } else {
            // functions of the script run on its own thread
            let mut made = Vec::with_capacity(entries.len());
            for entries in entries.chunks(rayon::current_num_threads()) {
                let images: Vec<Result<Image>> = entries.par_iter().map(read).collect();
                for image in images {
                    made.push(match image {
                        Ok(image) => make(self.change(job, image)?),
                        Err(error) => Err(error),
                    });
                }
            }
            made
        };
        interrupt.check()?;
        Ok(made)
    }

    /// As [`read_each`](Self::read_each) without the functions of the script, which a figure cannot call.
    pub fn read_unchanged<T: Send>(
        &self,
        indices: &[usize],
        make: impl Fn(Image) -> Result<T> + Sync,
    ) -> Vec<Result<T>> {
        let entries: Vec<&Entry> = indices.iter().filter_map(|index| self.entries.get(*index)).collect();
        entries.par_iter().map(|entry| entry.read().and_then(&make)).collect()
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

    /// The latest thing that was made of these images and kept with them for which `is` holds.
    pub(super) fn kept<T: Clone + 'static>(&self, is: impl Fn(&T) -> bool) -> Option<T> {
        let kept = self.kept.borrow();
        kept.iter().rev().filter_map(|made| made.downcast_ref::<T>()).find(|made| is(made)).cloned()
    }

    /// Keeps something that was made of these images, which must not hold the set itself; only a few of the latest are kept.
    pub(super) fn keep<T: 'static>(&self, made: T) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_KEPT {
            kept.remove(0);
        }
        kept.push(Rc::new(made));
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
