//! Images that are near an image: by their pixels, and by what a layer makes of them.

use std::fmt;

use super::space::{FeatureSpace, Space, point, points};
use crate::data::{ImageSet, Member, SetOrStore};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Provenance, Reject, Table, function, value_type};
use crate::model::Layer;
use crate::points::{
    ApproximateOptions, Metric, Neighbors as Found, Points, approximate_nearest, approximate_nearest_others, nearest,
    nearest_others, vote,
};

/// The same image is at most so far from itself, by the length of its features: runs of several images round otherwise.
const SAME: f64 = 1e-4;
/// Among more images than that, neighbours are looked for approximately.
const MOST_EXACT: usize = 50_000;

/// An image whose neighbours are looked for.
#[derive(Clone, Debug)]
pub enum Query {
    /// Any image.
    Image(Image),
    /// One of a set, which is no neighbour of its own.
    Member(Box<Member>),
}

impl FromValue for Query {
    const EXPECTED: &'static str = "an image, or an image of a set";
    const TYPES: &'static [&'static str] = &["image", "set member"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(member) = value.clone().try_cast::<Member>() {
            return Ok(Self::Member(Box::new(member)));
        }
        Image::from_value(value).map(Self::Image)
    }
}

/// An image near another.
#[derive(Clone, Debug)]
pub struct Near {
    /// Its pixels.
    pub image: Image,
    /// Its name in the set.
    pub name: String,
    /// Its class, if it has one.
    pub label: Option<String>,
    /// How far it is.
    pub distance: f64,
}

/// The neighbours of an image in one space, the nearest first.
#[derive(Clone, Debug)]
pub struct NearIn {
    /// The space.
    pub space: Space,
    /// The neighbours.
    pub found: Vec<Near>,
    /// Whether some may have been missed.
    pub approximate: bool,
}

/// The neighbours of an image, in one space or in several.
#[derive(Clone, Debug)]
pub struct Neighbors {
    /// The image.
    pub query: Image,
    /// How many images were looked at.
    pub images: usize,
    /// The layer whose features are compared.
    pub layer: Layer,
    /// How they are compared.
    pub metric: Metric,
    /// For each space.
    pub spaces: Vec<NearIn>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Neighbors, "neighbors", "neighbors", "The images of a set that are nearest to an image.", provenance);

impl fmt::Display for Neighbors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the nearest of {} images", self.images)?;
        for near in &self.spaces {
            let all: Vec<String> = near.found.iter().map(|one| format!("{} ({:.3})", one.name, one.distance)).collect();
            let space = match near.space {
                Space::Features => format!("by the features of {}", self.layer.label()),
                Space::Pixels => "by pixels".to_owned(),
            };
            write!(f, "\n{space}: {}", all.join(", "))?;
        }
        Ok(())
    }
}

/// The images of a set that are nearest to an image; the image itself is left out. Those that are near by their pixels have the same colours at the same places;
/// those that are near by the features of a late layer are alike in meaning, if the network has learned that.
///
/// Features are the mean of each channel of a layer; pixels are compared at 32 × 32. Up to 50,000 images they are compared one by
/// one, among more by an index (HNSW), which may miss some.
///
/// ```rhai
/// neighbors(gallery("mammal/koala"), gallery(), k=4)
/// ```
///
/// ```rhai
/// neighbors(digits(part="test")[0], digits(part="test").split(0.05)[0], space="pixels", metric="l2", k=3)
/// ```
#[function(
    source = "Malkov and Yashunin, Hierarchical Navigable Small World Graphs, 2016, arXiv:1603.09320 (above 50,000 images)"
)]
pub fn neighbors(
    job: &Job,
    /// The image, or one of a set, which is no neighbour of its own.
    image: Query,
    /// The images among which neighbours are looked for: a set, a store, or a list.
    images: &SetOrStore,
    /// How many of them.
    #[default(5)]
    #[range(1..=1000)]
    k: usize,
    /// "features" or "pixels"; both, if not given.
    #[default]
    space: Option<Space>,
    /// How two images are compared: "cosine", by the angle between their numbers, or "l2", by the Euclidean distance.
    #[default("cosine")]
    metric: Metric,
    #[options] features: &FeatureSpace,
) -> Result<Neighbors> {
    let layer = features.layer(job, Some(images))?;
    let store = images.at(job, &layer)?;
    let set = store.made_of()?.1;
    let (query, same) = match &image {
        Query::Image(image) => (
            image.clone(),
            same_as(
                job,
                image,
                set,
                &point(job, image, Space::Features, &layer)?,
                &points(job, images, Space::Features, &layer)?,
            )?,
        ),
        Query::Member(member) => (member.set().read(job, member.index())?, place_of(member, set)?),
    };
    let count = set.entries().len() - same.len();
    if count < k {
        let message = format!("neighbors: there are {count} other images, fewer than {k}");
        return Err(Error::new(Kind::Argument, message).with_hint(format!("k={count} at most")).at_argument("k"));
    }
    let approximate = count > MOST_EXACT;
    let mut spaces = Vec::new();
    for space in space.map_or_else(|| vec![Space::Pixels, Space::Features], |space| vec![space]) {
        let all = points(job, images, space, &layer)?;
        let query = point(job, &query, space, &layer)?;
        let wanted = (k + same.len()).min(all.rows());
        let near = if approximate {
            approximate_nearest(&all, &query, wanted, metric, &ApproximateOptions::default())?
        } else {
            nearest(&all, &query, wanted, metric)?
        };
        let others = near.indices(0).iter().zip(near.distances(0)).filter(|(index, _)| !same.contains(index));
        let mut found = Vec::with_capacity(k);
        for (index, distance) in others.take(k) {
            let entry = set.entries().get(*index);
            let entry = entry.ok_or_else(|| Error::new(Kind::Internal, "a neighbour that is not in the set"))?;
            let label = set.class_of(entry).map(str::to_owned);
            let image = set.read(job, *index)?;
            found.push(Near { image, name: entry.name.to_string(), label, distance: *distance });
        }
        spaces.push(NearIn { space, found, approximate });
    }
    Ok(Neighbors { query, images: count, layer, metric, spaces, provenance: None })
}

/// The nearest others of each point.
fn others(points: &Points, k: usize, metric: Metric) -> Result<Found> {
    if points.rows() > MOST_EXACT {
        return approximate_nearest_others(points, k, metric, &ApproximateOptions::default());
    }
    nearest_others(points, k, metric)
}

/// The places of a member in a set.
fn place_of(member: &Member, set: &ImageSet) -> Result<Vec<usize>> {
    let own = member.entry()?;
    let is = |entry: &crate::data::Entry| entry.name == own.name && entry.content() == own.content();
    Ok(set.entries().iter().enumerate().filter(|(_, entry)| is(entry)).map(|(index, _)| index).collect())
}

/// The places in a set at which the very same image stands: of those that a network does not tell from it, those with its pixels.
fn same_as(job: &Job, image: &Image, set: &ImageSet, own: &Points, all: &Points) -> Result<Vec<usize>> {
    let mut same = Vec::new();
    for (index, point) in all.iter().enumerate() {
        if Metric::L2.distance(own.row(0), point) <= SAME * Metric::L2.distance(point, &vec![0.0; point.len()])
            && set.read(job, index)? == *image
        {
            same.push(index);
        }
    }
    Ok(same)
}

/// How often an image's neighbours tell its class: each image is left out in turn, and given the class that most of its `k`
/// nearest neighbours have (of classes with equally many, that of the nearest). A table of the share of images that are told
/// rightly, by the features of a layer and by pixels, beside what always saying the most frequent class would give.
///
/// ```rhai
/// knn_accuracy(gallery())
/// ```
#[function]
pub fn knn_accuracy(
    job: &Job,
    /// Images with labels: a set or a store.
    images: &SetOrStore,
    /// How many neighbours vote.
    #[default(1)]
    #[range(1..=1000)]
    k: usize,
    /// "features" or "pixels"; both, if not given.
    #[default]
    space: Option<Space>,
    /// How two images are compared: "cosine", by the angle between their numbers, or "l2", by the Euclidean distance.
    #[default("cosine")]
    metric: Metric,
    #[options] features: &FeatureSpace,
) -> Result<Table> {
    let layer = features.layer(job, Some(images))?;
    let store = images.at(job, &layer)?;
    let labels = labels(store.made_of()?.1, "knn_accuracy")?;
    let count = labels.len();
    if count <= k {
        let message = format!("knn_accuracy: {count} images have no {k} neighbours each");
        let error = Error::new(Kind::Argument, message).at_argument("k");
        return Err(error.with_hint(format!("k={} at most", count.saturating_sub(1))));
    }
    let mut table = Table::new(&["space", "accuracy", "images"]);
    for space in space.map_or_else(|| vec![Space::Features, Space::Pixels], |space| vec![space]) {
        let all = points(job, images, space, &layer)?;
        let told = vote(&others(&all, k, metric)?, &labels)?;
        let name = match space {
            Space::Features => format!("features of {}", layer.label()),
            Space::Pixels => "pixels".to_owned(),
        };
        table.rows.push(vec![name.into(), told.overall.into(), (count as i64).into()]);
    }
    let mut counts = vec![0usize; labels.iter().max().map_or(0, |most| most + 1)];
    labels.iter().for_each(|label| counts[*label] += 1);
    let most = counts.iter().max().copied().unwrap_or(0);
    table.rows.push(vec!["most frequent class".into(), (most as f64 / count as f64).into(), (count as i64).into()]);
    Ok(table)
}

/// The class of each image of a set.
///
/// # Errors
/// One has none, or all have the same.
pub fn labels(set: &ImageSet, function: &str) -> Result<Vec<usize>> {
    let label = |entry: &crate::data::Entry| {
        entry.label.map(|label| label as usize).ok_or_else(|| {
            let message = format!("{function}: {} has no label", entry.name);
            Error::new(Kind::Argument, message).with_hint("`images(…, labels=…)` gives labels").at_argument("images")
        })
    };
    let labels = set.entries().iter().map(label).collect::<Result<Vec<_>>>()?;
    if labels.windows(2).all(|pair| pair[0] == pair[1]) {
        let message = format!("{function}: all images are of one class");
        return Err(Error::new(Kind::Argument, message).at_argument("images"));
    }
    Ok(labels)
}

/// The names of an image's neighbours in a space, the nearest first.
///
/// ```rhai
/// neighbors(gallery("mammal/koala"), gallery(), k=3).names("features")
/// ```
#[function]
fn names(
    /// The neighbours.
    neighbors: &Neighbors,
    /// "features" or "pixels".
    space: Space,
) -> Result<Vec<String>> {
    Ok(neighbors.found_in(space)?.iter().map(|near| near.name.clone()).collect())
}

/// The classes of an image's neighbours in a space, the nearest first; nothing for those that have none.
///
/// ```rhai
/// neighbors(gallery("mammal/koala"), gallery(), k=3).labels("features")
/// ```
#[function(name = "labels")]
fn labels_word(
    /// The neighbours.
    neighbors: &Neighbors,
    /// "features" or "pixels".
    space: Space,
) -> Result<Vec<Dynamic>> {
    let label = |near: &Near| near.label.clone().map_or(Dynamic::UNIT, Into::into);
    Ok(neighbors.found_in(space)?.iter().map(label).collect())
}

/// How far an image's neighbours are in a space, ascending.
///
/// ```rhai
/// neighbors(gallery("mammal/koala"), gallery(), k=3).distances("pixels")
/// ```
#[function]
fn distances(
    /// The neighbours.
    neighbors: &Neighbors,
    /// "features" or "pixels".
    space: Space,
) -> Result<Vec<f64>> {
    Ok(neighbors.found_in(space)?.iter().map(|near| near.distance).collect())
}

impl Neighbors {
    fn found_in(&self, space: Space) -> Result<&[Near]> {
        let found = self.spaces.iter().find(|near| near.space == space);
        let missing = || Error::new(Kind::Argument, "neighbours in that space were not asked for").at_argument("space");
        found.map(|near| near.found.as_slice()).ok_or_else(missing)
    }
}
