//! What a value is called in the name of a file: what it shows.

use crate::lang::{Dynamic, provenance};
use crate::plot::Plot;
use crate::vis::Classification;
use crate::vis::attribution::Attribution;
use crate::vis::representation::{Activations, Filters};

use super::builtins::Captioned;

/// How many things side by side give their names.
const MOST: usize = 3;

/// A few words for what a value shows: `saliency Egyptian cat`.
pub(super) fn name(value: &Dynamic) -> Option<String> {
    if let Some(captioned) = value.read_lock::<Captioned>() {
        return captioned.title.clone().or_else(|| name(&captioned.value));
    }
    if let Some(plot) = value.read_lock::<Plot>() {
        return Some(plot.name());
    }
    if let Some(value) = value.read_lock::<Attribution>() {
        return Some(format!("{} {}", value.method, value.class_name));
    }
    if let Some(value) = value.read_lock::<Classification>() {
        return Some(format!("classes {}", value.ranked.first().map_or("", |ranked| &ranked.name)));
    }
    if let Some(value) = value.read_lock::<Filters>() {
        return Some(format!("filters {}", value.layer.label()));
    }
    if let Some(value) = value.read_lock::<Activations>() {
        return Some(format!("activations {}", value.layer.label()));
    }
    if let Some(items) = value.read_lock::<rhai::Array>() {
        let mut names: Vec<String> = items.iter().filter_map(name).collect();
        names.dedup();
        names.truncate(MOST);
        return (!names.is_empty()).then(|| names.join(" "));
    }
    provenance(value).map(|call| of_call(&call))
}

/// The function of a call with what it was called on: `dream china` for `dream(photo("china"), layer="fire5")`.
fn of_call(call: &str) -> String {
    let function = call.split('(').next().unwrap_or_default().replace('_', " ");
    let mut texts = call.split('"');
    let mut before = texts.next().unwrap_or_default();
    let mut named: Vec<&str> = Vec::new();
    // what stands between quotes and is no keyword's value
    while let (Some(text), after) = (texts.next(), texts.next()) {
        if before.ends_with(['(', ' ', '[']) {
            // of a path, the name of the file
            let file = text.rsplit('/').next().unwrap_or(text);
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            if !named.contains(&stem) {
                named.push(stem);
            }
        }
        before = after.unwrap_or_default();
    }
    named.truncate(MOST);
    // a photo of this name is shown, not the loading of one
    match (function.as_str(), named.as_slice()) {
        ("photo" | "gallery" | "load image", [_, ..]) => named.join(" "),
        _ => std::iter::once(function.as_str()).chain(named).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_named_by_what_they_show() {
        let pairs = [
            ("photo(\"china\")", "china"),
            ("load_image(\"holiday/at sea.final.jpg\")", "at sea.final"),
            ("dream(resize(photo(\"china\"), 480, 320), layer=\"fire5\", octaves=4)", "dream china"),
            ("compose(photo(\"grass\"), gallery(\"mammal/koala\"), scale=0.8)", "compose grass koala"),
            ("noise(256, 256, seed=3)", "noise"),
            ("dream(noise(96, 96, seed=1), layer=\"fire2\")", "dream"),
            ("to_image(…)", "to image"),
        ];
        for (call, name) in pairs {
            assert_eq!(of_call(call), name);
        }
    }
}
