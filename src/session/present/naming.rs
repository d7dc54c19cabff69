//! What a value that only knows how it was made is called in the name of a file.

/// How many things a name mentions.
const MOST: usize = 3;

/// The function of a call with what it was called on: `dream china` for `dream(photo("china"), layer="fire5")`.
pub(super) fn of_call(call: &str) -> String {
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
