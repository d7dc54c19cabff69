//! Images that a network is asked about: a set, which it looks at when that is needed, or a store.

use super::{ImageSet, Store};
use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Reject};
use crate::model::Layer;

/// A set of images, or what a network has made of one.
#[derive(Clone, Debug)]
pub enum SetOrStore {
    /// Images; what a network makes of them is kept with the set.
    Set(ImageSet),
    /// A store, which knows it already.
    Store(Store),
}

impl FromValue for SetOrStore {
    const EXPECTED: &'static str = "a set of images, a store, or a list of images";
    const TYPES: &'static [&'static str] = &["image set", "store", "array"];
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if let Some(store) = value.clone().try_cast::<Store>() {
            return Ok(Self::Store(store));
        }
        if let Some(set) = value.clone().try_cast::<ImageSet>() {
            return Ok(Self::Set(set));
        }
        let images: Vec<Image> = Vec::from_value(value)?;
        let set = ImageSet::of_images(&images).map_err(|error| Reject::Because(error.message().to_owned(), None))?;
        Ok(Self::Set(set))
    }
}

impl SetOrStore {
    /// What a layer's network makes of the images at that layer.
    ///
    /// # Errors
    /// The store is of another network, has not that layer, or does not know its images; or the run was interrupted.
    pub fn at(&self, job: &Job, layer: &Layer) -> Result<Store> {
        let store = match self {
            Self::Set(set) => return seen_by(job, set, layer),
            Self::Store(store) => store,
        };
        let (model, _) = store.made_of()?;
        if !layer.model().is_same(model) {
            let (own, other) = (layer.model().fingerprint(), model.fingerprint());
            let message = format!("the store is of {other}, not of {own}");
            return Err(Error::new(Kind::Argument, message).at_argument("images"));
        }
        store.layer_named(Some(layer.known_as()))?;
        Ok(store.clone())
    }

    /// The images.
    ///
    /// # Errors
    /// A store that was read from its files does not know them.
    pub fn set(&self) -> Result<&ImageSet> {
        match self {
            Self::Set(set) => Ok(set),
            Self::Store(store) => Ok(store.made_of()?.1),
        }
    }
}

/// What a layer's network makes of the images of a set at that layer; kept with the set, so that it is there at once the next time.
fn seen_by(job: &Job, set: &ImageSet, layer: &Layer) -> Result<Store> {
    let is = |store: &Store| {
        let known = store.made_of().is_ok_and(|(model, _)| model.is_same(layer.model()));
        known && store.layers().iter().any(|(name, _)| name == layer.known_as())
    };
    if let Some(store) = set.kept(is) {
        return Ok(store);
    }
    let store = Store::fill(job, layer.model(), set, std::slice::from_ref(layer), false, None)?;
    set.keep(store.clone());
    Ok(store)
}
