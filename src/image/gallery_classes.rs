//! Which class of ImageNet a cut-out of the gallery has.

/// Cut-outs of the gallery that ImageNet has a class for.
const CLASSES: [(&str, &str); 80] = [
    ("bird/chicken_profile", "hen"),
    ("bird/rooster", "cock"),
    ("bird/hen", "hen"),
    ("bird/drake", "drake"),
    ("bird/gander", "goose"),
    ("bird/penguin", "king penguin"),
    ("bird/magpie", "magpie"),
    ("bird/ostrich", "ostrich"),
    ("bird/peacock", "peacock"),
    ("bird/pelican", "pelican"),
    ("bird/pink_flamingo", "flamingo"),
    ("bird/rainbow_lorikeet", "lorikeet"),
    ("bird/tucan", "toucan"),
    ("bird/vulture", "vulture"),
    ("fish/lionfish", "lionfish"),
    ("fish/lobster", "American lobster"),
    ("fruit/apple_granny_smith", "Granny Smith"),
    ("fruit/apple_green", "Granny Smith"),
    ("fruit/banana", "banana"),
    ("fruit/lemon", "lemon"),
    ("fruit/orange", "orange"),
    ("fruit/pineapple", "pineapple"),
    ("fruit/pomegranate", "pomegranate"),
    ("fruit/strawberry", "strawberry"),
    ("fruit/strawberry2", "strawberry"),
    ("insect/fly", "fly"),
    ("insect/grasshopper", "grasshopper"),
    ("insect/mantis", "mantis"),
    ("instrument/bassoon", "bassoon"),
    ("instrument/cello", "cello"),
    ("instrument/guitar2", "electric guitar"),
    ("instrument/guitar_classical", "acoustic guitar"),
    ("instrument/guitar_electric", "electric guitar"),
    ("instrument/guitar_electric_bass", "electric guitar"),
    ("instrument/violin", "violin"),
    ("mammal/badger", "badger"),
    ("mammal/bear", "brown bear"),
    ("mammal/european_bear", "brown bear"),
    ("mammal/beaver", "beaver"),
    ("mammal/bison", "bison"),
    ("mammal/dromedary", "Arabian camel"),
    ("mammal/chimp", "chimpanzee"),
    ("mammal/dingo", "dingo"),
    ("mammal/elephant", "African elephant"),
    ("mammal/fox", "red fox"),
    ("mammal/gorilla", "gorilla"),
    ("mammal/hippopotamus", "hippopotamus"),
    ("mammal/horse", "sorrel"),
    ("mammal/kangaroo", "wallaby"),
    ("mammal/koala", "koala"),
    ("mammal/lion", "lion"),
    ("mammal/lion_2", "lion"),
    ("mammal/marmot", "marmot"),
    ("mammal/orca", "killer whale"),
    ("mammal/otter", "otter"),
    ("mammal/pig", "hog"),
    ("mammal/rabbit", "wood rabbit"),
    ("mammal/ram", "ram"),
    ("mammal/sea_lion", "sea lion"),
    ("mammal/squirrel", "fox squirrel"),
    ("mammal/tiger", "tiger"),
    ("mammal/tiger_sumatran", "tiger"),
    ("mammal/wildboar", "wild boar"),
    ("mammal/wombat", "wombat"),
    ("mammal/zebra", "zebra"),
    ("tool/hammer", "hammer"),
    ("tool/paintbrush_large", "paintbrush"),
    ("tool/spade", "shovel"),
    ("vegetable/broccoli", "broccoli"),
    ("vegetable/corn", "corn"),
    ("vegetable/mushroom", "mushroom"),
    ("vegetable/pepper", "bell pepper"),
    ("vegetable/yellowpepper", "bell pepper"),
    ("vehicle/747", "airliner"),
    ("vehicle/balloon360", "balloon"),
    ("vehicle/firetruck", "fire engine"),
    ("vehicle/garbagetruck", "garbage truck"),
    ("vehicle/indycar", "racer"),
    ("vehicle/pink_tricycle", "tricycle"),
    ("vehicle/sportscar2", "sports car"),
];

/// The class of ImageNet that a cut-out of the gallery has, if it has one: "koala" for "mammal/koala".
pub fn gallery_class(name: &str) -> Option<&'static str> {
    let full = |known: &str| known == name || known.split_once('/').is_some_and(|(_, stem)| stem == name);
    CLASSES.iter().find(|(known, _)| full(known)).map(|(_, class)| *class)
}

/// The cut-outs of the gallery that ImageNet has a class for, with their full names.
pub fn classed_names() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|(name, _)| *name)
}

#[cfg(test)]
#[cfg(feature = "gallery")]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::gallery_names;

    #[test]
    fn every_classed_cut_out_is_there_and_its_class_is_one_of_imagenets() {
        let names = gallery_names().unwrap();
        let classes: Vec<&str> = include_str!("../../assets/imagenet_classes.txt").lines().collect();
        for (name, class) in CLASSES {
            assert!(names.iter().any(|known| known == name), "{name}");
            assert!(classes.contains(&class), "{class}");
        }
        assert_eq!(gallery_class("koala"), Some("koala"));
        assert_eq!(gallery_class("mammal/koala"), Some("koala"));
        assert_eq!(gallery_class("bird/koala"), None);
    }
}
