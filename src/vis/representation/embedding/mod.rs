//! Maps of points in two or three dimensions. One method, one file.

mod pca;
mod tsne;
mod umap;

use std::fmt;
use std::rc::Rc;

pub use self::pca::pca;
pub use self::tsne::tsne;
pub use self::umap::umap;
use super::space::{FeatureSpace, Space, points};
use crate::data::{ImageSet, SetOrStore};
use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Options, Provenance, Reject, choices, function, value_type};
use crate::model::Layer;
use crate::points::{self, Metric, Points};
use crate::tensor::TensorValue;

/// So many images are drawn as thumbnails unless said otherwise.
const MOST_THUMBNAILS: usize = 400;

/// What is put on a map: images, or the rows of a tensor.
#[derive(Clone, Debug)]
pub enum Rows {
    /// Images, by their features or their pixels.
    Images(SetOrStore),
    /// Numbers `[rows, columns]`.
    Tensor(TensorValue),
}

impl FromValue for Rows {
    const EXPECTED: &'static str = "a set of images, a store, a list of images, or a tensor [rows, columns]";
    const TYPES: &'static [&'static str] = &["image set", "store", "tensor", "array"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        match value.clone().try_cast::<TensorValue>() {
            Some(tensor) => Ok(Self::Tensor(tensor)),
            None => SetOrStore::from_value(value).map(Self::Images),
        }
    }
}

/// How images become points, and how many dimensions the map has.
#[derive(Clone, Debug, Options)]
pub struct MapOptions {
    /// What the points are if images are given: "features" or "pixels".
    #[default("features")]
    pub space: Space,
    /// 2 or 3.
    #[default(2)]
    #[range(2..=3)]
    pub dimensions: usize,
}

/// How a map is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapStyle {
    /// Each image where it is, as far as there is room, else as a point.
    Thumbnails,
    /// Points with the colours of their classes.
    #[default]
    Points,
    /// Their classes or names, written where they are.
    Labels,
}

choices!(MapStyle { "thumbnails" => Thumbnails, "points" => Points, "labels" => Labels });

/// What is known about the points of a map.
#[derive(Clone, Debug, Default)]
struct Known {
    names: Vec<String>,
    labels: Vec<Option<String>>,
    set: Option<ImageSet>,
    /// How images became points.
    space: Option<(Space, Layer)>,
}

/// How new points find their places.
#[derive(Debug)]
enum Placing {
    Pca(points::Pca),
    Tsne,
    Umap(points::UmapOptions),
}

/// Points as points of a map, with what is known about them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// "PCA", "t-SNE" or "UMAP".
    pub method: &'static str,
    /// Where the points are, `[points, dimensions]`.
    pub places: Points,
    /// How it came about: "perplexity 30, 1000 steps".
    pub facts: String,
    /// How it is drawn.
    pub style: MapStyle,
    /// Whether pictures stand in a grid.
    pub in_grid: bool,
    /// So many of the last points were placed into the map of the others.
    pub placed: usize,
    known: Rc<Known>,
    /// The points themselves, as the method saw them.
    old: Rc<Points>,
    /// What they were before that, if it is not the same.
    reduction: Option<Rc<points::Pca>>,
    placing: Rc<Placing>,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(
    Embedding,
    "embedding",
    "an embedding",
    "Points as points of a map of two or three dimensions.",
    provenance
);

impl fmt::Display for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, dimensions) = (self.places.rows(), self.places.columns());
        write!(f, "{} of {count} points in {dimensions} dimensions: {}", self.method, self.facts)
    }
}

/// What a method has made of points.
struct Made {
    method: &'static str,
    places: Points,
    facts: String,
    old: Points,
    reduction: Option<points::Pca>,
    placing: Placing,
}

impl Embedding {
    /// A map, with what is known about its points. A few images are drawn as thumbnails, else points.
    fn of_made(made: Made, known: Known) -> Self {
        let Made { method, places, facts, old, reduction, placing } = made;
        let few = known.set.is_some() && places.rows() <= MOST_THUMBNAILS;
        Self {
            method,
            places,
            facts,
            style: if few { MapStyle::Thumbnails } else { MapStyle::Points },
            in_grid: false,
            placed: 0,
            known: Rc::new(known),
            old: Rc::new(old),
            reduction: reduction.map(Rc::new),
            placing: Rc::new(placing),
            provenance: None,
        }
    }

    /// The name of each point; empty if they have none.
    pub fn names(&self) -> &[String] {
        &self.known.names
    }

    /// The class of each point; empty if none is known.
    pub fn labels(&self) -> &[Option<String>] {
        &self.known.labels
    }

    /// The images that the points are of.
    pub fn set(&self) -> Option<&ImageSet> {
        self.known.set.as_ref()
    }

    /// What the points are: "features of fire9".
    pub fn of(&self) -> Option<String> {
        let (space, layer) = self.known.space.as_ref()?;
        Some(match space {
            Space::Features => format!("features of {}", layer.label()),
            Space::Pixels => "pixels".to_owned(),
        })
    }
}

impl Rows {
    /// The points, and what is known about them.
    fn points(&self, job: &Job, options: &MapOptions, features: &FeatureSpace) -> Result<(Points, Known)> {
        match self {
            Self::Tensor(tensor) => Ok((rows_of(tensor)?, Known::default())),
            Self::Images(images) => {
                let layer = features.layer(job, Some(images))?;
                images_as(job, images, options.space, &layer)
            }
        }
    }
}

fn images_as(job: &Job, images: &SetOrStore, space: Space, layer: &Layer) -> Result<(Points, Known)> {
    let all = points(job, images, space, layer)?;
    let set = images.at(job, layer)?.made_of()?.1.clone();
    let names = set.entries().iter().map(|entry| entry.name.to_string()).collect();
    let labels = set.entries().iter().map(|entry| set.class_of(entry).map(str::to_owned)).collect();
    Ok((all, Known { names, labels, set: Some(set), space: Some((space, layer.clone())) }))
}

/// The rows of a tensor `[rows, columns]` as points.
pub(super) fn rows_of(tensor: &TensorValue) -> Result<Points> {
    match *tensor.inner().dims() {
        [rows, columns] => Points::new(tensor.values()?, rows, columns),
        ref dims => {
            let message = format!("points are a tensor [rows, columns], not of shape {dims:?}");
            Err(Error::new(Kind::Argument, message).with_hint("`reshape` makes one of it").at_argument("x"))
        }
    }
}

/// Where the points of a map are: a tensor [points, dimensions].
///
/// ```rhai
/// pca(gallery()).places.shape
/// ```
#[function(property)]
fn places(
    /// The embedding.
    embedding: &Embedding,
) -> Result<TensorValue> {
    let places = &embedding.places;
    TensorValue::from_values(places.values().to_vec(), &[places.rows(), places.columns()])
}

/// The same map drawn in another way: with "thumbnails" of the images, as "points" with the colours of their classes, or with
/// their "labels" written out. In a grid, each picture has a cell of its own, near its place.
///
/// ```rhai
/// pca(gallery()).style("thumbnails")
/// ```
#[function]
fn style(
    /// The embedding.
    embedding: &Embedding,
    /// "thumbnails", "points" or "labels".
    style: MapStyle,
    /// Whether each picture has a cell of its own.
    #[default(false)]
    grid: bool,
) -> Result<Embedding> {
    if style == MapStyle::Thumbnails && embedding.set().is_none() {
        let message = "the points of this map are no images: they have no thumbnails";
        return Err(Error::new(Kind::Argument, message).at_argument("style"));
    }
    if style == MapStyle::Labels && embedding.labels().is_empty() && embedding.names().is_empty() {
        let message = "the points of this map have neither classes nor names";
        return Err(Error::new(Kind::Argument, message).at_argument("style"));
    }
    if grid && style != MapStyle::Thumbnails {
        let error = Error::new(Kind::Argument, "only thumbnails are put in a grid").at_argument("grid");
        return Err(error.with_hint("style(\"thumbnails\", grid=true)"));
    }
    Ok(Embedding { style, in_grid: grid, ..embedding.clone() })
}

/// New points in an old map, whose points stay where they are. By PCA they are projected; by t-SNE and UMAP each begins among its
/// nearest old neighbours and is moved alone.
///
/// ```rhai
/// let parts = gallery().shuffle(seed=1).split(0.8);
/// pca(parts[0]).place(parts[1])
/// ```
#[function(source = "t-SNE: Poličar, Stražar and Zupan, Embedding to reference t-SNE space, 2021 (openTSNE)")]
fn place(
    job: &Job,
    /// The map.
    embedding: &Embedding,
    /// What is placed, of the kind of what the map was made of: images, or a tensor [rows, columns].
    x: Rows,
) -> Result<Embedding> {
    let Embedding { known, old, .. } = embedding;
    let (new, own) = match (&x, &known.space) {
        (Rows::Tensor(tensor), None) => (rows_of(tensor)?, Known::default()),
        (Rows::Images(images), Some((space, layer))) => images_as(job, images, *space, layer)?,
        (Rows::Tensor(_), Some(_)) => {
            let error = Error::new(Kind::Argument, "place: the map is one of images").at_argument("x");
            return Err(error.with_hint("give images"));
        }
        (Rows::Images(_), None) => {
            let error = Error::new(Kind::Argument, "place: the map is one of the rows of a tensor").at_argument("x");
            return Err(error.with_hint("give a tensor [rows, columns]"));
        }
    };
    let new = match &embedding.reduction {
        Some(reduction) => reduction.place(&new)?,
        None => new,
    };
    let first = embedding.places.rows() - embedding.placed;
    let map = embedding.places.first(first)?;
    let count = new.rows();
    let found = match &*embedding.placing {
        Placing::Pca(pca) => pca.place(&new)?,
        Placing::Tsne => points::place_in_tsne(&new, old, &map, &mut |_, _| interrupted(job))?,
        Placing::Umap(options) => points::place_in_umap(&new, old, &map, options, &mut |_, _| interrupted(job))?,
    };
    job.interrupt().check()?;
    let known = Known {
        names: joined(&known.names, own.names, first),
        labels: joined(&known.labels, own.labels, first),
        set: match (&known.set, own.set) {
            (Some(old), Some(new)) => Some(old.with_more(first, &new)?),
            _ => None,
        },
        space: known.space.clone(),
    };
    let places = [map.values(), found.values()].concat();
    let places = Points::new(places, first + count, map.columns())?;
    let facts = format!("{}; {count} placed into the map of {first} others", embedding.facts);
    Ok(Embedding { places, placed: count, known: Rc::new(known), facts, provenance: None, ..embedding.clone() })
}

fn joined<T: Clone>(old: &[T], new: Vec<T>, first: usize) -> Vec<T> {
    old.iter().take(first).cloned().chain(new).collect()
}

fn interrupted(job: &Job) -> std::ops::ControlFlow<()> {
    if job.interrupt().is_raised() { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
}

/// How well a map keeps neighbours: of the k nearest points of each point in the map, those that are no near ones in truth count by how
/// far away they are. 1 if all are; about 0.5 for a map at random.
///
/// ```rhai
/// trustworthiness(pca(gallery()), k=12)
/// ```
#[function(
    source = "Venna and Kaski, Neighborhood preservation in nonlinear projection methods, 2001; scikit-learn's definition"
)]
fn trustworthiness(
    /// The map.
    embedding: &Embedding,
    /// How many neighbours are looked at.
    #[default(12)]
    #[range(1..=1000)]
    k: usize,
) -> Result<f64> {
    let first = embedding.places.rows() - embedding.placed;
    points::trustworthiness(&embedding.old, &embedding.places.first(first)?, k, Metric::L2)
}
