//! The whole gallery as a set.

use std::cell::OnceCell;

use super::entry::Source;
use super::{Entry, ImageSet};
use crate::error::Result;
use crate::image::{gallery_categories, gallery_names};
use crate::lang::function;

/// All cut-outs of the gallery, labelled with their kinds.
///
/// ```rhai
/// gallery()
/// ```
#[function(name = "gallery")]
pub fn gallery_set() -> Result<ImageSet> {
    thread_local! {
        // what networks make of a set is kept with it
        static SET: OnceCell<ImageSet> = const { OnceCell::new() };
    }
    SET.with(|known| match known.get() {
        Some(set) => Ok(set.clone()),
        None => made().map(|set| known.get_or_init(|| set).clone()),
    })
}

fn made() -> Result<ImageSet> {
    let classes = gallery_categories()?;
    let entries = gallery_names()?.into_iter().map(|name| {
        let kind = name.split('/').next().unwrap_or_default();
        let label = classes.iter().position(|class| class == kind).map(|label| label as u32);
        Entry::new(&name, label, Source::Gallery(name.clone()))
    });
    let entries = entries.collect();
    ImageSet::new(entries, classes)
}
