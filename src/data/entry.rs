//! One image of a set: its name, its label, and where its pixels are.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Kind, Result};
use crate::hash::Fnv;
use crate::image::{Image, Scene, Scenes, gallery};

/// Images of one size as bytes: of each image its channels, one or three, one after the other.
#[derive(Debug)]
pub struct Packed {
    /// All images, one after the other.
    pub bytes: Vec<u8>,
    /// Pixels along the width.
    pub width: usize,
    /// Pixels along the height.
    pub height: usize,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
}

impl Packed {
    /// Bytes of one image.
    pub fn stride(&self) -> usize {
        self.width * self.height * self.channels
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.stride().max(1)
    }

    fn image(&self, index: usize) -> Result<Image> {
        let bytes = self.bytes.chunks_exact(self.stride().max(1)).nth(index).unwrap_or_default();
        let plane: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte) / 255.0).collect();
        let planes = if self.channels == 1 { plane.repeat(3) } else { plane };
        Image::from_planes(self.width, self.height, planes, None)
    }
}

/// Where the pixels of an image are.
#[derive(Clone, Debug)]
pub(super) enum Source {
    File(PathBuf),
    Gallery(String),
    Packed(Arc<Packed>, usize),
    Image(Image),
    Scene(Arc<Scenes>, usize),
}

/// One image of a set, which is read when it is asked for.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is called: the path of its file, its name in the gallery, or its number.
    pub name: Arc<str>,
    /// Its class, as a place in the set's list of classes.
    pub label: Option<u32>,
    pub(super) source: Source,
}

impl Entry {
    pub(super) fn new(name: impl fmt::Display, label: Option<u32>, source: Source) -> Self {
        Self { name: name.to_string().into(), label, source }
    }

    /// Its pixels, read anew each time.
    ///
    /// # Errors
    /// The file cannot be read, or is no image.
    pub fn read(&self) -> Result<Image> {
        match &self.source {
            Source::File(path) => Image::load(path),
            Source::Gallery(name) => gallery(name),
            Source::Packed(packed, index) => packed.image(*index),
            Source::Image(image) => Ok(image.clone()),
            Source::Scene(scenes, index) => Ok(scenes.scene(*index)?.image),
        }
    }

    /// A number that tells its pixels from those of another image of the same name, without reading a file: of a file its size,
    /// of a scene what it is made of, else the pixels themselves.
    pub fn content(&self) -> u64 {
        let mut hash = Fnv::default();
        match &self.source {
            Source::File(path) => hash.word(std::fs::metadata(path).map_or(0, |file| file.len())),
            Source::Gallery(_) => {}
            Source::Packed(packed, index) => {
                hash.bytes(packed.bytes.chunks_exact(packed.stride().max(1)).nth(*index).unwrap_or_default());
            }
            Source::Image(image) => {
                hash.word(image.width() as u64);
                image
                    .channels()
                    .iter()
                    .copied()
                    .chain(image.alpha())
                    .flatten()
                    .for_each(|v| hash.word(v.to_bits().into()));
            }
            Source::Scene(scenes, index) => {
                hash.word(scenes.content());
                hash.word(*index as u64);
            }
        }
        hash.value()
    }

    /// The scene that it is the picture of, with the pixels that are its cut-out's.
    ///
    /// # Errors
    /// It is no scene.
    pub fn scene(&self) -> Result<Scene> {
        match &self.source {
            Source::Scene(scenes, index) => scenes.scene(*index),
            _ => {
                let message = format!("{} is no scene: it is not known which of its pixels are whose", self.name);
                Err(Error::new(Kind::Argument, message).with_hint("`scenes()` makes images with masks"))
            }
        }
    }
}
