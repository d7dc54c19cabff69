//! How values are shown: one file for each kind, found by the type of the value.

mod activations;
mod attribution;
mod captioned;
mod channel_shares;
mod classification;
mod embedding;
mod film;
mod filters;
mod findings;
mod fooled;
mod fooling_sets;
mod image;
mod image_set;
mod list;
mod measure;
mod model;
mod naming;
mod neighbors;
mod neuron_groups;
mod page;
mod panels;
mod planted;
mod plot;
mod scene;
mod segmentation;
mod superpixels;
mod table;
mod top_patches;
mod why;

use std::any::TypeId;

use super::Output;
use crate::error::Result;
use crate::lang::{Dynamic, provenance, text};
use crate::render::Figure;

/// How much text a value is shown as at most; `print` writes all of it.
const MOST_CHARACTERS: usize = 20_000;
/// How many channels or pictures one figure shows at most.
const MOST_TILES: usize = 144;

/// Makes the figure of a value; nothing if this one cannot be seen.
type MakeFigure = fn(&Dynamic) -> Result<Option<Figure>>;

/// How one type of value is shown; every form is optional.
struct Presenter {
    id: fn() -> TypeId,
    /// The figure that shows it, if it can be seen.
    figure: Option<MakeFigure>,
    /// Adds other forms, such as HTML, to the text and the figure.
    extend: fn(&Dynamic, &mut Output) -> Result<()>,
    /// A few words for what it shows, for the names of files: `saliency Egyptian cat`.
    name: fn(&Dynamic) -> Option<String>,
    /// How it was made, if that is not what its type says itself.
    provenance: Option<fn(&Dynamic) -> Option<String>>,
}

inventory::collect!(Presenter);

impl Presenter {
    /// A presenter that leaves a value of type `T` as its text.
    const fn of<T: 'static>() -> Self {
        Self { id: TypeId::of::<T>, figure: None, extend: |_, _| Ok(()), name: |_| None, provenance: None }
    }
}

/// Makes a function of a value's own type one of any value, with what is returned for other types; or such a function that
/// extends an output.
macro_rules! on_type {
    ($type:ty, $extend:expr) => {
        |value, output| value.read_lock::<$type>().map_or(Ok(()), |value| $extend(&*value, output))
    };
    ($type:ty, $function:expr, $otherwise:expr) => {
        |value| match value.read_lock::<$type>() {
            Some(value) => $function(&value),
            None => $otherwise,
        }
    };
}
use on_type;

fn find(value: &Dynamic) -> Option<&'static Presenter> {
    let id = value.type_id();
    inventory::iter::<Presenter>().find(|presenter| (presenter.id)() == id)
}

impl Output {
    /// A value in every form that suits it.
    ///
    /// # Errors
    /// Its figure cannot be drawn.
    pub fn of(value: &Dynamic) -> Result<Self> {
        present(value, None)
    }
}

/// A value in every form that suits it.
pub(super) fn present(value: &Dynamic, title: Option<&str>) -> Result<Output> {
    let mut output = Output { title: title.map(str::to_owned), text: bounded(text(value)), ..Output::default() };
    if let Some(presenter) = find(value) {
        (presenter.extend)(value, &mut output)?;
    }
    output.provenance = made_by(value);
    output.name = output.title.clone().or_else(|| name(value));
    if let Some(mut figure) = figure(value)? {
        if let Some(title) = title {
            figure.title = Some(title.to_owned());
        }
        output.title = output.title.or_else(|| figure.title.clone());
        output.figure = Some(figure);
    }
    Ok(output)
}

/// The figure that shows a value, if it can be seen.
pub(super) fn figure(value: &Dynamic) -> Result<Option<Figure>> {
    find(value).and_then(|presenter| presenter.figure).map_or(Ok(None), |figure| figure(value))
}

/// Is there a figure for values of its type?
pub(super) fn has_figure(value: &Dynamic) -> bool {
    find(value).is_some_and(|presenter| presenter.figure.is_some())
}

/// A few words for what a value shows.
fn name(value: &Dynamic) -> Option<String> {
    let own = find(value).and_then(|presenter| (presenter.name)(value));
    own.or_else(|| made_by(value).map(|call| naming::of_call(&call)))
}

/// How a value was made, if it is known.
fn made_by(value: &Dynamic) -> Option<String> {
    match find(value).and_then(|presenter| presenter.provenance) {
        Some(own) => own(value),
        None => provenance(value),
    }
}

/// A text that a person can read: of a longer one, its beginning.
fn bounded(text: String) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        None => text,
        Some((end, _)) => format!(
            "{}…\n({} characters, of which these are the first {MOST_CHARACTERS})",
            &text[..end],
            text.chars().count()
        ),
    }
}

/// A text with its first letter in upper case.
fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_cut_and_say_so() {
        let long = present(&Dynamic::from("é".repeat(30_000)), None).unwrap().text;
        assert!(long.chars().count() < MOST_CHARACTERS + 100);
        assert!(
            long.ends_with("(30002 characters, of which these are the first 20000)"),
            "{}",
            &long[long.len() - 90..]
        );
    }

    /// What can be saved as a figure is completed by its type's name; pictures and films have files of their own.
    #[test]
    fn types_with_figures_are_those_that_save_names() {
        let mut shown: Vec<&str> = crate::lang::value_types()
            .filter(|kind| !["image", "film"].contains(&kind.name))
            .filter(|kind| {
                inventory::iter::<Presenter>()
                    .any(|presenter| (presenter.id)() == (kind.id)() && presenter.figure.is_some())
            })
            .map(|kind| kind.name)
            .chain(["list"])
            .collect();
        let mut named = crate::session::functions::FIGURE_TYPES.to_vec();
        shown.sort_unstable();
        named.sort_unstable();
        assert_eq!(shown, named);
    }

    #[test]
    fn every_type_has_at_most_one_presenter() {
        let ids: Vec<TypeId> = inventory::iter::<Presenter>().map(|presenter| (presenter.id)()).collect();
        assert!(!ids.is_empty());
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id));
        }
    }
}
