//! The photographs and cut-outs inside the binary; each is decoded when it is asked for.

use include_dir::{Dir, include_dir};

use super::Image;
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::lang::{CompletionContext, Dynamic, IntoValue, function};

static PHOTOS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets/photos");

/// One folder a category, one file a cut-out.
#[cfg(feature = "gallery")]
static GALLERY: Option<Dir<'_>> = Some(include_dir!("$CARGO_MANIFEST_DIR/assets/gallery"));
#[cfg(not(feature = "gallery"))]
static GALLERY: Option<Dir<'_>> = None;

/// An embedded photograph, such as `china`.
pub fn photo(name: &str) -> Result<Image> {
    match files(&PHOTOS).find(|(stem, _)| *stem == name) {
        Some((_, bytes)) => Image::decode(bytes, format!("photo {name}")),
        None => Err(unknown("photo", name, &photo_names())),
    }
}

/// The names that [`photo`] knows, sorted.
pub fn photo_names() -> Vec<String> {
    sorted(files(&PHOTOS).map(|(name, _)| name.to_owned()))
}

/// A cut-out of the gallery: `mammal/koala`, or `koala` alone if only one category has it.
pub fn gallery(name: &str) -> Result<Image> {
    let (category, stem, bytes) = in_gallery(name)?;
    Image::decode(bytes, format!("gallery {category}/{stem}"))
}

/// The full name of a cut-out of the gallery, `mammal/koala`, whose category may be left out if only one has it.
pub fn full_gallery_name(name: &str) -> Result<String> {
    let (category, stem, _) = in_gallery(name)?;
    Ok(format!("{category}/{stem}"))
}

/// The category, name and content of a cut-out.
fn in_gallery(name: &str) -> Result<(&'static str, &'static str, &'static [u8])> {
    let (category, stem) = match name.split_once('/') {
        Some((category, stem)) => (Some(category), stem),
        None => (None, name),
    };
    let found: Vec<(&str, &str, &[u8])> = categories()?
        .filter(|(have, _)| category.is_none_or(|wanted| wanted == *have))
        .flat_map(|(have, folder)| files(folder).map(move |(stem, bytes)| (have, stem, bytes)))
        .filter(|(_, have, _)| *have == stem)
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => {
            let names = gallery_names()?;
            let stems = names.iter().filter_map(|full| Some(full.split_once('/')?.1));
            let error = unknown("gallery picture", name, &names);
            Err(match (error.hint(), did_you_mean(stem, stems)) {
                (None, Some(hint)) => error.with_hint(hint),
                _ => error,
            })
        }
        several => {
            let full: Vec<String> = several.iter().map(|(category, ..)| format!("`{category}/{stem}`")).collect();
            Err(Error::new(Kind::Name, format!("`{name}` is in several categories"))
                .with_hint(format!("say {}", full.join(" or "))))
        }
    }
}

/// All cut-outs of a category, such as `bird`, with their full names, sorted.
pub fn gallery_category(category: &str) -> Result<Vec<(String, Image)>> {
    gallery_category_names(category)?
        .into_iter()
        .map(|name| {
            let image = gallery(&name)?;
            Ok((name, image))
        })
        .collect()
}

/// The full names (`bird/owl`) of a category's cut-outs, sorted; nothing is decoded.
pub fn gallery_category_names(category: &str) -> Result<Vec<String>> {
    match categories()?.find(|(name, _)| *name == category) {
        Some((_, folder)) => Ok(sorted(files(folder).map(|(stem, _)| format!("{category}/{stem}")))),
        None => Err(unknown("gallery category", category, &gallery_categories()?)),
    }
}

/// The gallery's categories, sorted.
pub fn gallery_categories() -> Result<Vec<String>> {
    Ok(sorted(categories()?.map(|(name, _)| name.to_owned())))
}

/// The full names (`mammal/koala`) of all cut-outs, sorted.
pub fn gallery_names() -> Result<Vec<String>> {
    let names = categories()?.flat_map(|(category, folder)| {
        files(folder).map(move |(stem, _)| format!("{category}/{stem}")).collect::<Vec<_>>()
    });
    Ok(sorted(names))
}

fn categories() -> Result<impl Iterator<Item = (&'static str, &'static Dir<'static>)>> {
    let Some(gallery) = &GALLERY else {
        return Err(Error::new(Kind::Name, "this build has no gallery")
            .with_hint("build it with the cargo feature `gallery`, which is on by default"));
    };
    Ok(gallery.dirs().filter_map(|folder| Some((folder.path().file_name()?.to_str()?, folder))))
}

/// The files of a folder: name without extension, and content.
fn files(folder: &'static Dir<'static>) -> impl Iterator<Item = (&'static str, &'static [u8])> {
    folder.files().filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents())))
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names
}

fn unknown(what: &str, name: &str, names: &[String]) -> Error {
    let error = Error::new(Kind::Name, format!("there is no {what} `{name}`"));
    match did_you_mean(name, names.iter().map(String::as_str)) {
        Some(hint) => error.with_hint(hint),
        None if names.len() <= 12 => error.with_hint(format!("there are {}", names.join(", "))),
        None => error,
    }
}

/// A photograph that is inside the binary.
///
/// ```rhai
/// photo("chelsea")
/// ```
#[function(name = "photo")]
fn photo_word(
    /// Its name: "astronaut", "brick", "chelsea", "china", "coffee", "grass", "gravel", "hubble" or "rocket".
    #[complete(|_| photo_names())]
    name: String,
) -> Result<Image> {
    photo(&name).map_err(|error| error.at_argument("name"))
}

/// The gallery like a folder of folders, for completion; every name where no category begins as what is typed.
fn gallery_paths(context: &CompletionContext<'_>) -> Vec<String> {
    let categories = gallery_categories().unwrap_or_default();
    match categories.iter().any(|category| category.starts_with(context.typed)) {
        true => categories.into_iter().map(|category| format!("{category}/")).collect(),
        false => gallery_names().unwrap_or_default(),
    }
}

/// A cut-out picture of a thing, or all of a kind as a list.
///
/// ```rhai
/// gallery("mammal/koala")
/// ```
#[function(name = "gallery")]
fn gallery_word(
    /// "mammal/koala" for one; "bird", "fish", "flower", "fruit", "insect", "instrument", "mammal", "tool",
    /// "vegetable" or "vehicle" for all of a kind.
    #[complete(gallery_paths)]
    name: String,
) -> Result<Dynamic> {
    let whole_kind = gallery_categories()?.contains(&name);
    let found = if whole_kind {
        gallery_category(&name).map(|all| all.into_iter().map(|(_, image)| image).collect::<Vec<_>>().into_value())
    } else {
        gallery(&name).map(IntoValue::into_value)
    };
    found.map_err(|error| error.at_argument("name"))
}

/// The names of the pictures that are inside the binary.
///
/// ```rhai
/// pictures().len()
/// ```
#[function]
fn pictures() -> Result<Vec<String>> {
    let mut names = photo_names();
    names.extend(gallery_names().unwrap_or_default());
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn every_photo_decodes() {
        let names = photo_names();
        assert_eq!(names.len(), 9);
        for name in names {
            let image = photo(&name).unwrap();
            assert!(image.width() >= 200 && image.height() >= 200, "{name}: {image:?}");
        }
    }

    #[test]
    fn an_unknown_photo_gets_the_nearest() {
        let error = photo("chelsee").unwrap_err();
        assert_eq!(error.kind(), Kind::Name);
        assert_eq!(error.to_string(), "there is no photo `chelsee` (did you mean `chelsea`?)");
        assert!(photo("zzz").unwrap_err().to_string().contains("there are astronaut, brick"));
    }

    #[cfg(feature = "gallery")]
    #[test]
    fn the_gallery_is_whole() {
        assert_eq!(gallery_names().unwrap().len(), 231);
        assert_eq!(gallery_categories().unwrap().len(), 10);
        let birds = gallery_category("bird").unwrap();
        assert_eq!(birds.len(), 35);
        assert!(
            birds.iter().all(|(name, image)| name.starts_with("bird/") && image.width().max(image.height()) <= 160)
        );
        let koala = gallery("mammal/koala").unwrap();
        assert!(koala.alpha().is_some());
        assert_eq!(koala, gallery("koala").unwrap());
    }

    #[cfg(feature = "gallery")]
    #[test]
    fn unknown_gallery_names_get_the_nearest() {
        assert!(gallery("mammal/koalla").unwrap_err().to_string().contains("`mammal/koala`"));
        assert!(gallery("koalla").unwrap_err().to_string().contains("koala`"));
        assert!(gallery("bird/koala").is_err());
        assert!(gallery_category("birds").unwrap_err().to_string().contains("did you mean `bird`?"));
        assert!(gallery("").is_err());
    }

    #[cfg(not(feature = "gallery"))]
    #[test]
    fn without_the_gallery_it_says_how_to_get_it() {
        assert!(gallery("koala").unwrap_err().to_string().contains("cargo feature `gallery`"));
    }
}
