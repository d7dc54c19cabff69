//! Scenes: a cut-out put onto a background at a known place, so that it is known which pixels are the thing's.

use std::fmt;
use std::sync::Arc;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::gallery_classes::{classed_names, gallery_class};
use super::{Image, clouds, compose, compose_mask, full_gallery_name, gallery, gallery_names, photo};
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::hash::Fnv;
use crate::lang::{Dynamic, FromValue, Options, Provenance, Reject, choices, function, value_type};
use crate::tensor::TensorValue;

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

    /// The same as numbers [height, width], 0 and 1.
    ///
    /// # Errors
    /// There is none.
    pub fn mask_values(&self) -> Result<TensorValue> {
        let values = self.mask.iter().map(|inside| f32::from(u8::from(*inside))).collect();
        TensorValue::from_values(values, &[self.image.height(), self.image.width()])
    }
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

    /// With its category, if it is one of the gallery.
    fn with_full_name(self) -> Result<Self> {
        match self {
            Self::Named(name) => full_gallery_name(&name).map(Self::Named),
            image => Ok(image),
        }
    }

    /// Its class of ImageNet, if that is known.
    pub fn class(&self) -> Option<String> {
        match self {
            Self::Named(name) => gallery_class(name).map(str::to_owned),
            Self::Image(_) => None,
        }
    }

    /// Its full name in the gallery, if it is of it: "mammal/koala".
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
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
    /// The half in which the middle of the cut-out is.
    #[default("anywhere")]
    pub side: Side,
}

/// The half of a scene in which the middle of its cut-out is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    /// Either.
    #[default]
    Anywhere,
    /// The left one.
    Left,
    /// The right one.
    Right,
}

choices!(Side { "anywhere" => Anywhere, "left" => Left, "right" => Right });

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

/// Random scenes: each a cut-out somewhere on a background, wholly inside it. They are made when they are asked for; the first of
/// a seed are the same for any number of them.
#[derive(Clone, Debug)]
pub struct Scenes {
    cutouts: Vec<Cutout>,
    backgrounds: Vec<Background>,
    size: usize,
    scale: (f64, f64),
    side: Side,
    seed: u64,
}

impl Scenes {
    /// Scenes of a seed.
    ///
    /// # Errors
    /// There is nothing to choose from, the gallery has no such picture, or the scale is none.
    pub fn new(options: &SceneOptions, seed: u64) -> Result<Self> {
        let scale = options.check()?;
        let all = || classed_names().map(|name| Cutout::Named(name.to_owned())).collect();
        let cutouts: Vec<Cutout> = options.cutouts.clone().unwrap_or_else(all);
        let cutouts = cutouts.into_iter().map(Cutout::with_full_name).collect::<Result<_>>();
        let all = || BACKGROUNDS.map(|name| Background::Named(name.to_owned())).to_vec();
        Ok(Self {
            cutouts: cutouts.map_err(|error| error.at_argument("cutouts"))?,
            backgrounds: options.backgrounds.clone().unwrap_or_else(all),
            size: options.size,
            scale,
            side: options.side,
            seed,
        })
    }

    /// A number that tells these scenes from others: of all that they are made of, but of images only their sizes.
    pub fn content(&self) -> u64 {
        let mut hash = Fnv::default();
        let mut add = |text: &str| hash.bytes(text.as_bytes());
        let sized = |image: &Image| format!("{}×{}", image.width(), image.height());
        for cutout in &self.cutouts {
            add(&match cutout {
                Cutout::Named(name) => name.clone(),
                Cutout::Image(image) => sized(image),
            });
        }
        for background in &self.backgrounds {
            add(&match background {
                Background::Named(name) => name.clone(),
                Background::Image(image) => sized(image),
            });
        }
        add(&format!("{} {:?} {:?} {}", self.size, self.scale, self.side, self.seed));
        hash.value()
    }

    /// One of them.
    ///
    /// # Errors
    /// The cut-out covers no pixel.
    pub fn scene(&self, index: usize) -> Result<Scene> {
        let (cutout, background, mut random) = self.chosen(index)?;
        let image = cutout.image()?;
        let scale = random.random_range(self.scale.0..=self.scale.1);
        let longest = image.width().max(image.height()) as f64;
        // wholly inside
        let mut place = |length: usize, side: Side| {
            let half = 0.5 * scale * length as f64 / longest;
            let (least, most) = match side {
                Side::Anywhere => (half, 1.0 - half),
                Side::Left => (half, 0.5_f64.min(1.0 - half)),
                Side::Right => (0.5_f64.max(half), 1.0 - half),
            };
            random.random_range(least..=most.max(least)) as f32
        };
        let at = (place(image.width(), self.side), place(image.height(), Side::Anywhere));
        let background = background.square(self.size, &mut random)?;
        Scene::new(&background, &image, at, scale as f32, cutout.class())
    }

    /// The cut-out of one of them.
    ///
    /// # Errors
    /// There is nothing to choose from.
    pub fn cutout(&self, index: usize) -> Result<&Cutout> {
        Ok(self.chosen(index)?.0)
    }

    fn chosen(&self, index: usize) -> Result<(&Cutout, &Background, ChaCha8Rng)> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(index as u64);
        match (self.cutouts.choose(&mut random), self.backgrounds.choose(&mut random)) {
            (Some(cutout), Some(background)) => Ok((cutout, background, random)),
            _ => Err(Error::new(Kind::Internal, "scenes of nothing")),
        }
    }
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
/// scene(photo("grass"), "mammal/koala").image
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
/// scene(photo("grass"), "mammal/koala").mask.mean()
/// ```
#[function(property)]
fn mask(
    /// The scene.
    scene: &Scene,
) -> Result<TensorValue> {
    scene.mask_values()
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
    fn a_scene_knows_its_pixels() {
        let some = Scenes::new(&SceneOptions::default(), 3).unwrap();
        for index in 0..5 {
            let one = some.scene(index).unwrap();
            let again = Scenes::new(&SceneOptions::default(), 3).unwrap().scene(index).unwrap();
            assert_eq!((&one.image, &one.text), (&again.image, &again.text));
            let inside = one.mask().iter().filter(|inside| **inside).count() as f64 / (227.0 * 227.0);
            assert!((0.005..0.6).contains(&inside), "{one}: {inside}");
            assert_eq!(one.class, some.cutout(index).unwrap().class());
            assert!(one.class.is_some());
        }
        assert!(some.scene(0).unwrap().image != some.scene(1).unwrap().image);
    }

    #[test]
    fn a_side_is_kept_to() {
        for (side, left) in [(Side::Left, true), (Side::Right, false)] {
            let scenes = Scenes::new(&SceneOptions { side, size: 64, ..SceneOptions::default() }, 1).unwrap();
            for index in 0..8 {
                let scene = scenes.scene(index).unwrap();
                let columns = scene.mask().iter().enumerate().filter(|(_, inside)| **inside).map(|(at, _)| at % 64);
                let columns: Vec<usize> = columns.collect();
                let middle = (columns.iter().min().unwrap() + columns.iter().max().unwrap()) as f64 / 2.0;
                assert!(if left { middle <= 33.0 } else { middle >= 30.0 }, "{scene}: {middle}");
            }
        }
    }
}
