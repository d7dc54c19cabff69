//! Scenes: a cut-out put onto a background at a known place, so that it is known which pixels are the thing's.

use std::fmt;
use std::sync::Arc;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Image, clouds, compose, compose_mask, gallery, gallery_names, photo};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::job::Job;
use crate::lang::{Dynamic, FromValue, Options, Provenance, Reject, function, value_type};
use crate::tensor::{Seed, TensorValue};

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

/// The backgrounds that scenes have if none are given: textures, things far away, and a sky.
const BACKGROUNDS: [&str; 6] = ["grass", "gravel", "brick", "china", "hubble", "clouds"];
/// The least part of a photograph's shorter side that becomes a background.
const LEAST_PART: f64 = 0.6;
/// A pixel is the thing's if it is at least so opaque there.
const OPAQUE: f32 = 0.5;

/// A cut-out on a background, with the pixels that are its own.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The picture.
    pub image: Image,
    mask: Arc<Vec<bool>>,
    /// The class of the cut-out, if it is known.
    pub class: Option<String>,
    /// What was put where: "koala, 0.60 of the background, at 0.40, 0.55".
    pub text: String,
    /// The call that made it.
    pub provenance: Provenance,
}

value_type!(Scene, "scene", "a scene", "A cut-out on a background, with the pixels that are its own.", provenance);

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Scene {
    /// A scene: as [`compose`] puts the cut-out onto the background.
    ///
    /// # Errors
    /// As for [`compose`], or no pixel of the background is covered.
    pub fn new(
        background: &Image,
        cutout: &Image,
        (x, y): (f32, f32),
        scale: f32,
        class: Option<String>,
    ) -> Result<Self> {
        let image = compose(background, cutout, x, y, scale)?;
        let opacity = compose_mask(background, cutout, x, y, scale)?;
        let mask: Vec<bool> = opacity.iter().map(|opacity| *opacity >= OPAQUE).collect();
        if !mask.contains(&true) {
            let message = "the cut-out covers no pixel of the background";
            return Err(Error::new(Kind::Argument, message).with_hint("make `scale` larger").at_argument("scale"));
        }
        let what = class.as_deref().unwrap_or("cut-out");
        let text = format!("{what}, {scale:.2} of the background, at {x:.2}, {y:.2}");
        Ok(Self { image, mask: Arc::new(mask), class, text, provenance: None })
    }

    /// Which pixels of the image are the cut-out's: those it covers at least half, row by row.
    pub fn mask(&self) -> &[bool] {
        &self.mask
    }
}

/// The class of ImageNet that a cut-out of the gallery has, if it has one: "koala" for "mammal/koala".
pub fn gallery_class(name: &str) -> Option<&'static str> {
    let full = |known: &str| known == name || known.split_once('/').is_some_and(|(_, stem)| stem == name);
    CLASSES.iter().find(|(known, _)| full(known)).map(|(_, class)| *class)
}

/// The cut-outs of the gallery that ImageNet has a class for, with their full names.
pub fn classed_names() -> impl Iterator<Item = &'static str> {
    CLASSES.iter().map(|(name, _)| *name)
}

/// A cut-out: of the gallery, or an image.
#[derive(Clone, Debug)]
pub enum Cutout {
    /// One of the gallery, by its name.
    Named(String),
    /// Any image; its transparent parts show the background.
    Image(Image),
}

impl FromValue for Cutout {
    const EXPECTED: &'static str = "the name of a gallery picture or an image";
    const TYPES: &'static [&'static str] = &["string", "image"];
    const COMPLETE: Option<crate::lang::Completer> = Some(|_| gallery_names().unwrap_or_default());
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if value.is_string() {
            String::from_value(value).map(Self::Named)
        } else {
            Image::from_value(value).map(Self::Image)
        }
    }
}

impl Cutout {
    fn image(&self) -> Result<Image> {
        match self {
            Self::Named(name) => gallery(name),
            Self::Image(image) => Ok(image.clone()),
        }
    }

    fn class(&self) -> Option<String> {
        match self {
            Self::Named(name) => gallery_class(name).map(str::to_owned),
            Self::Image(_) => None,
        }
    }
}

/// A background: a photograph or the sky by its name, or an image.
#[derive(Clone, Debug)]
pub enum Background {
    /// A photograph, or "clouds".
    Named(String),
    /// Any image.
    Image(Image),
}

impl FromValue for Background {
    const EXPECTED: &'static str = "the name of a photograph, \"clouds\" or an image";
    const TYPES: &'static [&'static str] = &["string", "image"];
    const COMPLETE: Option<crate::lang::Completer> = Some(|_| background_names());
    fn from_value(value: &Dynamic) -> Result<Self, Reject> {
        if !value.is_string() {
            return Image::from_value(value).map(Self::Image);
        }
        let name = value.to_string();
        let names = background_names();
        if names.contains(&name) {
            return Ok(Self::Named(name));
        }
        let hint = did_you_mean(&name, names.iter().map(String::as_str));
        Err(Reject::Because(format!("must be {}, not {name:?}", Self::EXPECTED), hint))
    }
}

fn background_names() -> Vec<String> {
    let mut names = super::photo_names();
    names.push("clouds".to_owned());
    names
}

impl Background {
    /// A square of it: a random part of a photograph, a sky of its own.
    fn square(&self, side: usize, random: &mut ChaCha8Rng) -> Result<Image> {
        let whole = match self {
            Self::Named(name) if name == "clouds" => return clouds(side, side, random.random()),
            Self::Named(name) => photo(name)?,
            Self::Image(image) => image.clone(),
        };
        let shorter = whole.width().min(whole.height());
        let part = ((shorter as f64 * random.random_range(LEAST_PART..=1.0)) as usize).max(1);
        let (x, y) = (random.random_range(0..=whole.width() - part), random.random_range(0..=whole.height() - part));
        whole.crop(x, y, part, part)?.resize(side, side)
    }
}

/// What random scenes are made of.
#[derive(Clone, Debug, Options)]
pub struct SceneOptions {
    /// How many scenes.
    #[default(10)]
    #[range(1..=100000)]
    pub n: usize,
    /// Names of gallery pictures, or images, of which each scene gets one at random; those that have a class of ImageNet
    /// if not given.
    #[default]
    pub cutouts: Option<Vec<Cutout>>,
    /// Names of photographs, "clouds", or images, of which each scene gets one at random, or a random part of it; "grass",
    /// "gravel", "brick", "china", "hubble" and "clouds" if not given.
    #[default]
    pub backgrounds: Option<Vec<Background>>,
    /// The side of the square pictures, in pixels.
    #[default(227)]
    #[range(16..=4096)]
    pub size: usize,
    /// The longest side of a cut-out as a share of the picture's: from the first number to the second.
    #[default([0.4, 0.8])]
    pub scale: Vec<f64>,
}

impl SceneOptions {
    fn check(&self) -> Result<(f64, f64)> {
        for (name, is_empty) in [
            ("cutouts", self.cutouts.as_ref().is_some_and(Vec::is_empty)),
            ("backgrounds", self.backgrounds.as_ref().is_some_and(Vec::is_empty)),
        ] {
            if is_empty {
                let message = format!("scenes: `{name}` is empty");
                return Err(Error::new(Kind::Argument, message).with_hint("leave it out for all").at_argument(name));
            }
        }
        match self.scale.as_slice() {
            [least, most] if 0.05 <= *least && least <= most && *most <= 1.0 => Ok((*least, *most)),
            other => {
                let message = format!("scenes: `scale` must be two numbers from 0.05 to 1, not {other:?}");
                Err(Error::new(Kind::Argument, message).with_hint("such as [0.4, 0.8]").at_argument("scale"))
            }
        }
    }
}

/// Random scenes: each a cut-out somewhere on a background, wholly inside it, with the pixels that are its own. How a
/// method does can be measured on them, since it is known where the thing is.
///
/// The first scenes of a seed are the same for any `n`.
///
/// ```rhai
/// scenes(n=4, seed=1).map(|scene| scene.class)
/// ```
#[function]
pub fn scenes(job: &Job, #[options] options: &SceneOptions, #[options] seed: &Seed) -> Result<Vec<Scene>> {
    let (least, most) = options.check()?;
    let seed = seed.get(job);
    let all = || classed_names().map(|name| Cutout::Named(name.to_owned())).collect();
    let cutouts: Vec<Cutout> = options.cutouts.clone().unwrap_or_else(all);
    let all = || BACKGROUNDS.map(|name| Background::Named(name.to_owned())).to_vec();
    let backgrounds = options.backgrounds.clone().unwrap_or_else(all);
    let mut scenes = Vec::with_capacity(options.n);
    for index in 0..options.n {
        job.interrupt().check()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(index as u64);
        let (Some(cutout), Some(background)) = (cutouts.choose(&mut random), backgrounds.choose(&mut random)) else {
            break;
        };
        let image = cutout.image().map_err(|error| error.at_argument("cutouts"))?;
        let scale = random.random_range(least..=most);
        let longest = image.width().max(image.height()) as f64;
        // wholly inside
        let mut place = |length: usize| {
            let half = 0.5 * scale * length as f64 / longest;
            random.random_range(half..=(1.0 - half).max(half)) as f32
        };
        let at = (place(image.width()), place(image.height()));
        let background = background.square(options.size, &mut random)?;
        scenes.push(Scene::new(&background, &image, at, scale as f32, cutout.class())?);
    }
    Ok(scenes)
}

/// A scene: a cut-out put onto a background at a given place, with the pixels that are its own.
///
/// ```rhai
/// scene(clouds(227, 227, seed=1), "bird/owl", x=0.3, scale=0.5).mask.mean()
/// ```
#[function(name = "scene")]
fn scene_word(
    /// What is behind.
    background: &Image,
    /// The name of a gallery picture, or an image whose transparent parts show the background.
    cutout: Cutout,
    /// Where the middle of the cut-out goes, from 0 (left) to 1 (right).
    #[default(0.5)]
    x: f64,
    /// Where the middle of the cut-out goes, from 0 (top) to 1 (bottom).
    #[default(0.5)]
    y: f64,
    /// The longest side of the cut-out as a share of the background's shorter side.
    #[default(0.6)]
    #[range(0.01..=10.0)]
    scale: f64,
) -> Result<Scene> {
    let image = cutout.image().map_err(|error| error.at_argument("cutout"))?;
    Scene::new(background, &image, (x as f32, y as f32), scale as f32, cutout.class())
}

/// The picture of a scene.
///
/// ```rhai
/// scenes(n=1, seed=1)[0].image
/// ```
#[function(property, name = "image")]
fn image_word(
    /// The scene.
    scene: &Scene,
) -> Result<Image> {
    Ok(scene.image.clone())
}

/// Which pixels of a scene are the cut-out's: a tensor [height, width] of 0 and 1.
///
/// ```rhai
/// scenes(n=1, seed=1)[0].mask.mean()
/// ```
#[function(property)]
fn mask(
    /// The scene.
    scene: &Scene,
) -> Result<TensorValue> {
    let values = scene.mask.iter().map(|inside| f32::from(u8::from(*inside))).collect();
    TensorValue::from_values(values, &[scene.image.height(), scene.image.width()])
}

/// The name of the class of a scene's cut-out; nothing if it has none that is known.
///
/// ```rhai
/// scene(photo("grass"), "mammal/koala").class
/// ```
#[function(property)]
fn class(
    /// The scene.
    scene: &Scene,
) -> Result<Option<String>> {
    Ok(scene.class.clone())
}

#[cfg(test)]
#[cfg(feature = "gallery")]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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

    #[test]
    fn a_scene_knows_its_pixels() {
        let options = SceneOptions { n: 5, ..SceneOptions::default() };
        let seed = Seed { seed: Some(3) };
        let some = scenes(&Job::detached(), &options, &seed).unwrap();
        let more = scenes(&Job::detached(), &SceneOptions { n: 7, ..options }, &seed).unwrap();
        for (one, other) in some.iter().zip(&more) {
            assert_eq!((&one.image, &one.text), (&other.image, &other.text));
            let inside = one.mask().iter().filter(|inside| **inside).count() as f64 / (227.0 * 227.0);
            assert!((0.005..0.6).contains(&inside), "{one}: {inside}");
            assert!(one.class.is_some());
        }
        assert!(some[0].image != some[1].image);
    }
}
