//! What is done with sets of images: looking into them, dividing, mixing, changing and choosing.

use std::fmt;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rhai::{Engine, EvalAltResult, Position};

use super::{Entry, ImageSet};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, Extension, FnPtr, describe, function, value_type};
use crate::tensor::{Seed, TensorValue};

/// One image of a set, which is read when it is asked for.
#[derive(Clone, Debug)]
pub struct Member {
    set: ImageSet,
    index: usize,
}

value_type!(Member, "set member", "an image of a set", "One image of a set, with its name and its label.");

impl Member {
    /// The set that it is of.
    pub fn set(&self) -> &ImageSet {
        &self.set
    }

    /// Its place in the set.
    pub fn index(&self) -> usize {
        self.index
    }

    /// It, as the set has it.
    ///
    /// # Errors
    /// Never: a member is made with its set.
    pub fn entry(&self) -> Result<&Entry> {
        let entry = self.set.entries().get(self.index);
        entry.ok_or_else(|| Error::new(Kind::Internal, "a member of a set is not in it"))
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(entry) = self.set.entries().get(self.index) else { return Ok(()) };
        match self.set.class_of(entry) {
            Some(class) => write!(f, "{}: {class}", entry.name),
            None => f.write_str(&entry.name),
        }
    }
}

inventory::submit! { Extension(indexing) }

/// `set[3]`, and `for member in set`.
fn indexing(engine: &mut Engine) {
    engine.register_indexer_get(|set: &mut ImageSet, index: i64| -> Result<Member, Box<EvalAltResult>> {
        let count = set.entries().len();
        let place = if index < 0 { index + count as i64 } else { index };
        match usize::try_from(place).ok().filter(|place| *place < count) {
            Some(index) => Ok(Member { set: set.clone(), index }),
            None => {
                let message = format!("there is no image {index} in a set of {count}");
                let error = Error::new(Kind::Argument, message).with_hint(format!("the last is {}", count - 1));
                Err(Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE)))
            }
        }
    });
    engine.register_iterator::<ImageSet>();
}

impl IntoIterator for ImageSet {
    type Item = Member;
    type IntoIter = Box<dyn Iterator<Item = Member>>;
    fn into_iter(self) -> Self::IntoIter {
        Box::new((0..self.entries().len()).map(move |index| Member { set: self.clone(), index }))
    }
}

/// The image itself, read from where it is.
///
/// ```rhai
/// digits(part="test")[0].image
/// ```
#[function(property, name = "image")]
fn image_word(
    job: &Job,
    /// One image of a set.
    member: &Member,
) -> Result<Image> {
    member.set.read(job, member.index)
}

/// Which pixels of a scene are its cut-out's: a tensor [height, width] of 0 and 1.
///
/// ```rhai
/// scenes(n=1, seed=1)[0].mask.mean()
/// ```
#[function(property)]
fn mask(
    /// One image of a set of scenes.
    member: &Member,
) -> Result<TensorValue> {
    member.entry()?.scene()?.mask_values()
}

/// The name of its class; nothing if it has none.
///
/// ```rhai
/// digits(part="test")[0].label
/// ```
#[function(property)]
fn label(
    /// One image of a set.
    member: &Member,
) -> Result<Option<String>> {
    Ok(member.set.class_of(member.entry()?).map(str::to_owned))
}

/// What it is called: the path of its file, its name in the gallery, or its number.
///
/// ```rhai
/// gallery()[0].name
/// ```
#[function(property)]
fn name(
    /// One image of a set.
    member: &Member,
) -> Result<String> {
    Ok(member.entry()?.name.to_string())
}

/// How many images a set has.
///
/// ```rhai
/// digits(part="test").count
/// ```
#[function(property)]
fn count(
    /// The set.
    set: &ImageSet,
) -> Result<i64> {
    Ok(set.entries().len() as i64)
}

/// The classes of a set, in the order of their numbers.
///
/// ```rhai
/// gallery().classes
/// ```
#[function(property)]
fn classes(
    /// The set.
    set: &ImageSet,
) -> Result<Vec<String>> {
    Ok(set.classes().to_vec())
}

/// What the images of a set are called.
///
/// ```rhai
/// gallery().split(0.02)[0].names
/// ```
#[function(property)]
fn names(
    /// The set.
    set: &ImageSet,
) -> Result<Vec<String>> {
    Ok(set.entries().iter().map(|entry| entry.name.to_string()).collect())
}

/// The class of each image of a set; nothing for those that have none.
///
/// ```rhai
/// digits(part="test").shuffle(seed=1).split(0.01)[0].labels
/// ```
#[function(property)]
fn labels(
    /// The set.
    set: &ImageSet,
) -> Result<Vec<Dynamic>> {
    let class = |entry: &Entry| set.class_of(entry).map_or(Dynamic::UNIT, |class| class.to_owned().into());
    Ok(set.entries().iter().map(class).collect())
}

/// The images of a set in random order.
///
/// ```rhai
/// digits(part="test").shuffle(seed=1)[0].label
/// ```
#[function]
fn shuffle(
    job: &Job,
    /// The set.
    set: &ImageSet,
    #[options] seed: &Seed,
) -> Result<ImageSet> {
    let mut entries = set.entries().to_vec();
    entries.shuffle(&mut ChaCha8Rng::seed_from_u64(seed.get(job)));
    set.with_entries(entries)
}

/// A set in two: of each class so large a share, from its first images, and the others. Shuffle a set that is in an order.
///
/// ```rhai
/// let parts = digits(part="train").split(0.9);
/// print(`${parts[0].count} and ${parts[1].count}`);
/// ```
#[function]
fn split(
    /// The set.
    set: &ImageSet,
    /// The share of the first part, between 0 and 1.
    #[range(0.0..=1.0)]
    share: f64,
) -> Result<Vec<ImageSet>> {
    let mut counts = set.counts();
    let unlabelled = set.entries().iter().filter(|entry| entry.label.is_none()).count();
    counts.push(unlabelled);
    let mut left: Vec<usize> = counts.iter().map(|count| (share * *count as f64).round() as usize).collect();
    let of_class = |entry: &Entry| entry.label.map_or(counts.len() - 1, |label| label as usize);
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for entry in set.entries() {
        let left = &mut left[of_class(entry)];
        if *left > 0 {
            *left -= 1;
            first.push(entry.clone());
        } else {
            second.push(entry.clone());
        }
    }
    if first.is_empty() || second.is_empty() {
        let message = format!("split: a share of {share} of {} images leaves one part empty", set.entries().len());
        return Err(Error::new(Kind::Argument, message).at_argument("share"));
    }
    Ok(vec![set.with_entries(first)?, set.with_entries(second)?])
}

/// A set in parts of so many images, the last one of what is left.
///
/// ```rhai
/// digits(part="test").batch(64).len()
/// ```
#[function]
fn batch(
    /// The set.
    set: &ImageSet,
    /// Images of a part.
    #[range(1..=1000000)]
    size: usize,
) -> Result<Vec<ImageSet>> {
    set.entries().chunks(size).map(|entries| set.with_entries(entries.to_vec())).collect()
}

/// The images of a set, each changed by a function when it is read.
///
/// ```rhai
/// digits(part="test").map(|image| image.resize(56, 56))[0].image
/// ```
#[function]
fn map(
    /// The set.
    set: &ImageSet,
    /// From an image to the changed one.
    change: FnPtr,
) -> Result<ImageSet> {
    Ok(set.changed_by(change))
}

/// The images of a set for which a function says `true`. It gets each with its `name`, its `label` and its `image`, which is
/// read if it is asked for.
///
/// ```rhai
/// digits(part="test").filter(|one| one.label == "7").count
/// ```
#[function]
fn filter(
    job: &Job,
    /// The set.
    set: &ImageSet,
    /// Whether an image stays.
    keep: FnPtr,
) -> Result<ImageSet> {
    let mut kept = Vec::new();
    for (index, entry) in set.entries().iter().enumerate() {
        job.interrupt().check()?;
        let answer = job.call(&keep, vec![Dynamic::from(Member { set: set.clone(), index })])?;
        match answer.as_bool() {
            Ok(true) => kept.push(entry.clone()),
            Ok(false) => {}
            Err(_) => {
                let message = format!("filter: the function must return true or false, not {}", describe(&answer));
                return Err(Error::new(Kind::Argument, message).at_argument("keep"));
            }
        }
    }
    if kept.is_empty() {
        let message = format!("filter: none of {} images is left", set.entries().len());
        return Err(Error::new(Kind::Argument, message).at_argument("keep"));
    }
    set.with_entries(kept)
}
