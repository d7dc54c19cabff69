//! Sets of scenes: cut-outs on backgrounds, with labels and masks.

use std::sync::Arc;

use super::entry::Source;
use super::formats::sorted;
use super::{Entry, ImageSet};
use crate::error::Result;
use crate::image::{Cutout, SceneOptions, Scenes};
use crate::job::Job;
use crate::lang::{choices, function};
use crate::tensor::Seed;

/// What the labels of scenes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SceneLabels {
    /// The class of ImageNet that the cut-out has, if it is known.
    #[default]
    Class,
    /// The cut-out's category in the gallery.
    Category,
}

choices!(SceneLabels { "class" => Class, "category" => Category });

impl SceneLabels {
    fn of(self, cutout: &Cutout) -> Option<String> {
        match self {
            Self::Class => cutout.class(),
            Self::Category => Some(cutout.name()?.split_once('/')?.0.to_owned()),
        }
    }
}

/// Random scenes: each a cut-out somewhere on a background, wholly inside it, with the pixels that are its own (`mask`). How a
/// method does can be measured on them, since it is known where the thing is. They are made when they are looked at.
///
/// The first scenes of a seed are the same for any `n`.
///
/// ```rhai
/// scenes(n=4, seed=1).labels
/// ```
///
/// ```rhai
/// scenes(n=4, seed=1, labels="category", side="left")[0].mask.mean()
/// ```
#[function]
pub fn scenes(
    job: &Job,
    #[options] options: &SceneOptions,
    /// What the labels are: the "class" of ImageNet, for cut-outs that have one, or the "category" in the gallery.
    #[default("class")]
    labels: SceneLabels,
    #[options] seed: &Seed,
) -> Result<ImageSet> {
    let scenes = Arc::new(Scenes::new(options, seed.get(job))?);
    let mut own = Vec::with_capacity(options.n);
    for index in 0..options.n {
        job.interrupt().check()?;
        let cutout = scenes.cutout(index)?;
        own.push((cutout.name().unwrap_or("scene"), labels.of(cutout)));
    }
    let classes = sorted(own.iter().filter_map(|(_, label)| label.clone()));
    let entry = |(index, (name, label)): (usize, &(&str, Option<String>))| {
        let label = label.as_ref().and_then(|label| classes.binary_search(label).ok()).map(|label| label as u32);
        Entry::new(format!("{name}, scene {index}"), label, Source::Scene(scenes.clone(), index))
    };
    let entries = own.iter().enumerate().map(entry).collect();
    ImageSet::new(entries, classes)
}
